//! Sheet 11, table VS, the rows about classes; and those of 7 that are called past the choice of a class.

use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json, Store};
use sidecar_core::objects::{Claim, Interest, Kind, Projected, Snapshot, SnapshotClass, Volume};
use snapshot_controller::policy::{Stores, create};

use crate::setup::{DRIVER, Setup, VSC, pass};

fn default(value: &str) -> Value {
    json!({"metadata": {"annotations": {"snapshot.storage.kubernetes.io/is-default-class": value}}})
}

const NO_CLASS: fn() -> Value = || json!({"spec": {"volumeSnapshotClassName": null}});

#[tokio::test(start_paused = true)]
async fn row_1_1c_no_class_exactly_one_default_for_pv_driver() {
    let setup = Setup::new();
    setup.claim("claim");
    setup.class("default", "Delete", &default("true"));
    setup.class("not", "Delete", &default("false"));
    setup.class("nor", "Delete", &default("TRUE"));
    let mut foreign = default("true");
    foreign["driver"] = json!("other");
    setup.class("foreign", "Delete", &foreign);
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &NO_CLASS());
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(setup.vs("snap")["spec"]["volumeSnapshotClassName"], "default");
    assert_eq!(setup.content("snap")["spec"]["volumeSnapshotClassName"], "default");
    // Written together with the finalizers.
    assert_eq!(setup.writes().iter().filter(|call| *call == "patch volumesnapshots -> 200").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_1_2c_class_already_set() {
    let setup = Setup::new();
    setup.claim("claim");
    setup.class("default", "Delete", &default("true"));
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(setup.vs("snap")["spec"]["volumeSnapshotClassName"], "class");
}

#[tokio::test(start_paused = true)]
async fn row_1_3c_named_class_missing() {
    let setup = Setup::new();
    setup.claim("claim");
    let overlay =
        json!({"spec": {"volumeSnapshotClassName": "missing-class"}, "status": {"readyToUse": true}});
    setup.snapshot("snap", "claim", &overlay);
    let _controller = setup.start(&[]);
    let message = "Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io \"missing-class\" not found";
    setup.until_error("snap", message).await;
    setup.event("snap", "GetSnapshotClassFailed", message).await;
    assert!(setup.is_ready("snap"), "what it says about that is left alone");
}

#[tokio::test(start_paused = true)]
async fn row_1_5c_pvc_missing() {
    let setup = Setup::new();
    let mut overlay = NO_CLASS();
    overlay["status"] = json!({"readyToUse": true});
    setup.snapshot("snap", "claim1-5", &overlay);
    let _controller = setup.start(&[]);
    let message = "Failed to set default snapshot class with error failed to retrieve PVC claim1-5 from the lister: \"persistentvolumeclaim \\\"claim1-5\\\" not found\"";
    setup.until_error("snap", message).await;
    setup.event("snap", "SetDefaultSnapshotClassFailed", message).await;
    assert!(setup.is_ready("snap"));
}

#[tokio::test(start_paused = true)]
async fn no_default_class_or_two_of_them() {
    for number in [0, 2] {
        let setup = Setup::new();
        setup.claim("claim");
        for class in 0..number {
            setup.class(&format!("default-{class}"), "Delete", &default("true"));
        }
        setup.snapshot("snap", "claim", &NO_CLASS());
        let _controller = setup.start(&[]);
        let error = if number == 0 {
            "cannot find default snapshot class"
        } else {
            "2 default snapshot classes were found"
        };
        setup.until_error("snap", &format!("Failed to set default snapshot class with error {error}")).await;
        pass(60).await;
        assert!(setup.server.list(VSC).is_empty());
    }
}

fn object<T: Kind>(manifest: &Value) -> T {
    match Json.object(manifest.to_string().as_bytes(), &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        _ => panic!("not ours"),
    }
}

/// The content that would be made for a snapshot with this class name.
fn plan(class: Option<&str>) -> Result<create::Plan, String> {
    let snapshot: Snapshot = object(&json!({
        "metadata": {"name": "snap", "namespace": "default", "uid": "snapuid"},
        "spec": {"source": {"persistentVolumeClaimName": "claim"}, "volumeSnapshotClassName": class},
    }));
    let claim: Claim = object(&json!({
        "metadata": {"name": "claim", "namespace": "default", "uid": "claimuid"}, "spec": {"volumeName": "pv"},
        "status": {"phase": "Bound"},
    }));
    let volume: Volume = object(&json!({
        "metadata": {"name": "pv"},
        "spec": {
            "csi": {"driver": DRIVER, "volumeHandle": "handle"}, "volumeMode": "Block",
            "claimRef": {"namespace": "default", "name": "claim", "uid": "claimuid"},
        },
    }));
    let class: SnapshotClass =
        object(&json!({"metadata": {"name": "class"}, "driver": DRIVER, "deletionPolicy": "Retain"}));
    let stores = Stores {
        claims: Store::of([claim]),
        volumes: Store::of([volume]),
        classes: Store::of([class]),
        ..Stores::default()
    };
    create::plan(&snapshot, &stores, true)
}

#[tokio::test]
async fn row_7_1_class_missing() {
    assert_eq!(
        plan(Some("non-existing")).unwrap_err(),
        r#"failed to get input parameters to create snapshot snap: "volumesnapshotclass.snapshot.storage.k8s.io \"non-existing\" not found""#
    );
}

#[tokio::test]
async fn row_7_3_no_class_name() {
    assert_eq!(
        plan(None).unwrap_err(),
        r#"failed to get input parameters to create snapshot snap: "failed to take snapshot snap without a snapshot class""#
    );
    let content = plan(Some("class")).unwrap().content;
    assert_eq!(content.spec.source_volume_mode.as_deref(), Some("Block"));
    assert_eq!(content.metadata.name.as_deref(), Some("snapcontent-snapuid"));
}

#[tokio::test(start_paused = true)]
async fn the_volume_s_mode_is_noted_unless_that_is_switched_off() {
    for (flag, mode) in [("true", json!("Block")), ("false", Value::Null)] {
        let setup = Setup::new();
        setup.claim_with(
            "claim",
            &json!({"spec": {"volumeMode": "Block"}}),
            &json!({"spec": {"volumeMode": "Block"}}),
        );
        let _controller = setup.start(&[&format!("--prevent-volume-mode-conversion={flag}")]);
        setup.snapshot("snap", "claim", &json!({}));
        setup.until("it is bound", || !setup.content("snap").is_null()).await;
        assert_eq!(setup.content("snap")["spec"]["sourceVolumeMode"], mode);
    }
}
