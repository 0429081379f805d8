//! Our finalizers on attachments and volumes, and the patches that add and remove them (sheet 5.0, 5.7, 5.8, 13.15).

use serde_json::{Value, json};
use sidecar_core::election::names::sanitize;
use sidecar_core::objects::{Attachment, Meta, Volume};

use super::status::NODE_ID;
use super::translation;

/// The finalizer of a driver's attacher.
pub fn name(driver: &str) -> String {
    format!("external-attacher/{}", sanitize(driver))
}

/// JSON patch: adds our finalizer to a volume that does not have it.
///
/// The test names the whole list as we know it: if anybody has changed it, the patch fails and nothing is added twice.
pub fn add_to_volume(volume: &Volume, finalizer: &str) -> Value {
    let known: Vec<&str> = volume.meta.finalizers.iter().collect();
    if known.is_empty() {
        return json!([
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": [finalizer]},
        ]);
    }
    json!([
        {"op": "test", "path": "/metadata/finalizers", "value": known},
        {"op": "add", "path": "/metadata/finalizers/-", "value": finalizer},
    ])
}

/// Strategic merge patch: removes our finalizer from this very volume, wherever it stands in the list.
///
/// When a volume is deleted, the provisioner and the controller manager take their finalizers off at the same moment.
/// Upstream names ours by its place, which has moved by then, and is refused (422) until it guesses right.
pub fn remove_from_volume(volume: &Volume, finalizer: &str) -> Value {
    json!({"metadata": {
        "uid": volume.meta.uid.to_string(),
        "$deleteFromPrimitiveList/finalizers": [finalizer],
    }})
}

/// JSON patch: removes our finalizer, from this very attachment; `None` if it is not there.
pub fn remove(meta: &Meta, finalizer: &str) -> Option<Value> {
    let index = meta.finalizers.position(finalizer)?;
    let path = format!("/metadata/finalizers/{index}");
    Some(json!([
        {"op": "test", "path": "/metadata/uid", "value": meta.uid.to_string()},
        {"op": "test", "path": path, "value": finalizer},
        {"op": "remove", "path": path},
    ]))
}

/// What an attachment must carry before the driver is asked to attach: our finalizer and the node's id. `None` if it
/// does already.
///
/// To be sent as a strategic merge patch. Without finalizers of others its body is upstream's; with them it says nothing
/// about them, so that none is lost or revived. The UID makes it miss an attachment that was replaced.
pub fn prepare_attachment(attachment: &Attachment, finalizer: &str, node_id: &str) -> Option<Value> {
    let marked = attachment.meta.finalizers.has(finalizer);
    let noted = attachment.status.as_ref().and_then(|status| status.node_id.as_deref()) == Some(node_id);
    if marked && noted {
        return None;
    }
    let mut metadata = json!({"uid": attachment.meta.uid.to_string()});
    if let Some(fields) = metadata.as_object_mut() {
        if !noted {
            fields.insert("annotations".into(), json!({NODE_ID: node_id}));
        }
        if !marked {
            fields.insert("finalizers".into(), json!([finalizer]));
        }
    }
    Some(json!({"metadata": metadata}))
}

/// Whether a volume may lose our finalizer as soon as no attachment names it: it goes, or its migration to CSI was rolled
/// back.
pub fn is_removable(volume: &Volume, finalizer: &str, driver: &str) -> bool {
    let rolled_back = || translation::is_migratable(volume) && volume.migrated_to.as_deref() != Some(driver);
    volume.meta.finalizers.has(finalizer) && (volume.meta.deleting || rolled_back())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::fixtures::{attachment, volume};

    const F: &str = "external-attacher/pd-csi-storage-gke-io";
    const DRIVER: &str = "pd.csi.storage.gke.io";

    #[test]
    fn finalizer_of_a_driver_with_special_characters() {
        assert_eq!(name("s!a@n#i$t(i%z^e&d*"), "external-attacher/s-a-n-i-t-i-z-e-d-X");
        assert_eq!(name("ebs.csi.aws.com"), "external-attacher/ebs-csi-aws-com");
        assert_eq!(name("csi/test"), "external-attacher/csi-test");
    }

    #[test]
    fn sanitize_no_change_not_allowed_characters_trailing() {
        for (given, clean) in [
            ("no-Change", "no-Change"),
            ("not!allowed/characters", "not-allowed-characters"),
            ("trailing\\", "trailing-X"),
        ] {
            assert_eq!(name(given), format!("external-attacher/{clean}"));
        }
    }

    #[test]
    fn json_patches_nil_empty_non_empty_add() {
        let add =
            |finalizers: Value| add_to_volume(&volume(&json!({"metadata": {"finalizers": finalizers}})), F);
        let nil = json!([
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": [F]},
        ]);
        // The API server never writes an empty list.
        assert_eq!((add(Value::Null), add(json!([]))), (nil.clone(), nil));
        assert_eq!(
            add(json!(["a", "b"])),
            json!([
                {"op": "test", "path": "/metadata/finalizers", "value": ["a", "b"]},
                {"op": "add", "path": "/metadata/finalizers/-", "value": F},
            ])
        );
    }

    #[test]
    fn json_patches_remove_sole_first_middle_last_not_found_nil() {
        let index = |finalizers: Value| {
            let attachment = attachment(&json!({"metadata": {"finalizers": finalizers}}));
            remove(&attachment.meta, F).map(|patch| patch[2]["path"].as_str().unwrap().to_owned())
        };
        let path = |index: usize| Some(format!("/metadata/finalizers/{index}"));
        assert_eq!(index(json!([F])), path(0));
        assert_eq!(index(json!([F, "a", "b"])), path(0));
        assert_eq!(index(json!(["a", F, "b"])), path(1));
        assert_eq!(index(json!(["a", "b", F])), path(2));
        assert_eq!((index(json!(["a"])), index(Value::Null)), (None, None));
    }

    /// Others take their finalizers off at the same moment, so that a place in the list says nothing.
    #[test]
    fn a_volume_loses_our_finalizer_wherever_it_stands() {
        for finalizers in [json!([F]), json!(["a", F, "b"])] {
            let volume = volume(&json!({"metadata": {"finalizers": finalizers}}));
            let uid = volume.meta.uid.to_string();
            assert_eq!(
                remove_from_volume(&volume, F),
                json!({"metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [F]}})
            );
        }
    }

    #[test]
    fn an_attachment_is_prepared_once() {
        let bare = attachment(&json!({}));
        assert_eq!(
            prepare_attachment(&bare, F, "id"),
            Some(json!({"metadata": {"uid": "va-uid", "annotations": {NODE_ID: "id"}, "finalizers": [F]}}))
        );
        let ready =
            attachment(&json!({"metadata": {"finalizers": ["x", F], "annotations": {NODE_ID: "id"}}}));
        assert_eq!(prepare_attachment(&ready, F, "id"), None);
        assert_eq!(
            prepare_attachment(&ready, F, "id2"),
            Some(json!({"metadata": {"uid": "va-uid", "annotations": {NODE_ID: "id2"}}}))
        );
    }

    #[test]
    fn process_finalizers() {
        let gce = json!({"csi": null, "gcePersistentDisk": {"pdName": "x"}});
        let rows = [
            ("empty PV", json!({}), false),
            ("F only", json!({"metadata": {"finalizers": [F]}}), false),
            ("F and deleting", json!({"metadata": {"finalizers": [F], "deletionTimestamp": "t"}}), true),
            ("F and GCE source, no annotation", json!({"metadata": {"finalizers": [F]}, "spec": gce}), true),
            (
                "the same with an unrelated annotation",
                json!({"metadata": {"finalizers": [F], "annotations": {"a": "b"}}, "spec": gce}),
                true,
            ),
            (
                "the same migrated to the driver",
                json!({"metadata": {"finalizers": [F], "annotations": {"pv.kubernetes.io/migrated-to": DRIVER}}, "spec": gce}),
                false,
            ),
        ];
        for (row, overlay, expected) in rows {
            assert_eq!(is_removable(&volume(&overlay), F, DRIVER), expected, "{row}");
        }
    }
}
