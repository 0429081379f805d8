//! What is written into a volume: W6 and W7 of an expansion and M2 of a modification (sheet 5.7).
//!
//! No version guards them; the UID makes a patch miss a volume that was replaced.

use serde_json::{Map, Value, json};
use sidecar_core::objects::Volume;

use super::sizes::amount;

/// The size of the claim before the node's part of an expansion, for a claim that is bound to the volume anew meanwhile.
const PRE_RESIZE_CAPACITY: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

fn annotated_capacity(volume: &Volume) -> Option<&str> {
    volume.source.as_deref().and_then(|source| source.pre_resize_capacity.as_deref())
}

/// W6: the volume has this size; `before` is to be noted as the size that the claim had.
pub fn resized(volume: &Volume, size: &str, before: Option<&str>) -> Option<Value> {
    let mut patch = Map::new();
    let mut metadata = json!({"uid": volume.meta.uid.to_string()});
    let before = before.filter(|_| annotated_capacity(volume).is_none());
    if let (Some(before), Some(fields)) = (before, metadata.as_object_mut()) {
        fields.insert("annotations".to_owned(), json!({PRE_RESIZE_CAPACITY: before}));
    }
    let grows = volume.capacity.is_none() || amount(volume.capacity.as_deref()) != amount(Some(size));
    if grows {
        patch.insert("spec".to_owned(), json!({"capacity": {"storage": size}}));
    }
    if !grows && before.is_none() {
        return None;
    }
    patch.insert("metadata".to_owned(), metadata);
    Some(patch.into())
}

/// W7: nothing has to be remembered any more, for the claim's size has caught up.
pub fn caught_up(volume: &Volume) -> Option<Value> {
    annotated_capacity(volume)?;
    let annotations = json!({PRE_RESIZE_CAPACITY: null});
    Some(json!({"metadata": {"uid": volume.meta.uid.to_string(), "annotations": annotations}}))
}

/// M2: the volume is of this attributes class now.
pub fn modified(volume: &Volume, class: &str) -> Option<Value> {
    if volume.attributes_class.as_deref() == Some(class) {
        return None;
    }
    let spec = json!({"volumeAttributesClassName": class});
    Some(json!({"metadata": {"uid": volume.meta.uid.to_string()}, "spec": spec}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures;

    #[test]
    fn w6_sets_the_size_and_remembers_the_one_before() {
        let volume = fixtures::volume(&json!({}));
        assert_eq!(
            resized(&volume, "2Gi", Some("1Gi")).unwrap(),
            json!({
                "metadata": {"uid": "volume-uid", "annotations": {PRE_RESIZE_CAPACITY: "1Gi"}},
                "spec": {"capacity": {"storage": "2Gi"}},
            })
        );
        assert_eq!(
            resized(&volume, "2Gi", None).unwrap(),
            json!({"metadata": {"uid": "volume-uid"}, "spec": {"capacity": {"storage": "2Gi"}}})
        );
        assert_eq!(resized(&volume, "1024Mi", None), None, "the same amount");
    }

    #[test]
    fn an_annotation_that_is_there_stays_until_w7() {
        let annotated =
            fixtures::volume(&json!({"metadata": {"annotations": {PRE_RESIZE_CAPACITY: "512Mi"}}}));
        assert_eq!(resized(&annotated, "1Gi", Some("1Gi")), None);
        assert_eq!(
            caught_up(&annotated).unwrap(),
            json!({"metadata": {"uid": "volume-uid", "annotations": {PRE_RESIZE_CAPACITY: null}}})
        );
        assert_eq!(caught_up(&fixtures::volume(&json!({}))), None);
    }

    #[test]
    fn m2_names_the_class() {
        let volume = fixtures::volume(&json!({"spec": {"volumeAttributesClassName": "silver"}}));
        assert_eq!(modified(&volume, "silver"), None);
        assert_eq!(
            modified(&volume, "gold").unwrap(),
            json!({"metadata": {"uid": "volume-uid"}, "spec": {"volumeAttributesClassName": "gold"}})
        );
    }
}
