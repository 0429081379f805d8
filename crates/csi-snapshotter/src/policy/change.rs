//! Which changes of a content are worth a look (sheet 4, update filter).
//!
//! What we write ourselves is none: a look because of it would be one too many, and would come before its time. Annotations,
//! labels and fields that no snapshotter reads are not in the cache and so change nothing.

use crate::content::Content;

/// Whether somebody else has changed something that matters, or nothing has changed at all, which is how a relist shows.
pub fn needs_look<C: Content + PartialEq>(old: &C, new: &C) -> bool {
    let (before, after) = (old.view(), new.view());
    before.meta.resource_version == after.meta.resource_version
        // Whatever was put off until it is ready can be done now.
        || (!before.is_ready() && after.is_ready())
        // A member of a group waits for the snapshot controller to write this down.
        || (after.is_member && before.handle().is_none() && after.handle().is_some())
        || old.of_others() != new.of_others()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sidecar_core::objects::SnapshotContent;

    use super::*;
    use crate::policy::fixtures::{content, group};

    fn at(version: &str, mut overlay: Value) -> SnapshotContent {
        overlay["metadata"]["resourceVersion"] = json!(version);
        content(&overlay)
    }

    fn matters(old: Value, new: Value) -> bool {
        needs_look(&at("1", old), &at("2", new))
    }

    fn annotated(key: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {key: value}}})
    }

    /// Row F. Of "other annotations" those count that somebody reads: no projection has the rest.
    #[test]
    fn should_enqueue_content_change() {
        assert!(matters(json!({}), json!({"spec": {"deletionPolicy": "Retain"}})), "spec");
        assert!(!matters(json!({}), json!({"status": {"error": {"message": "x"}}})), "status");
        assert!(!matters(json!({}), json!({"metadata": {"finalizers": ["f"]}})), "finalizers");
        assert!(
            !matters(json!({}), json!({"metadata": {"managedFields": [{"manager": "m"}]}})),
            "managed fields"
        );
        let created = "snapshot.storage.kubernetes.io/volumesnapshot-being-created";
        assert!(!matters(json!({}), annotated(created, "yes")), "being-created added");
        assert!(!matters(annotated(created, "yes"), annotated(created, "no")), "being-created changed");
        assert!(!matters(annotated(created, "yes"), json!({})), "being-created removed");
        let other = "snapshot.storage.kubernetes.io/deletion-secret-name";
        assert!(matters(json!({}), annotated(other, "a")), "other annotation added");
        assert!(matters(annotated(other, "a"), annotated(other, "b")), "other annotation changed");
        assert!(matters(annotated(other, "a"), json!({})), "other annotation removed");
        assert!(!matters(json!({}), annotated("example.com/other", "a")), "one that nobody reads");
        let deleted = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";
        assert!(matters(json!({}), annotated(deleted, "yes")), "being-deleted");
        assert!(needs_look(&at("1", json!({})), &at("1", json!({}))), "same version");
        let ready = |ready: bool| json!({"status": {"readyToUse": ready}});
        assert!(matters(ready(false), ready(true)) && !matters(ready(true), ready(false)), "ready");
        assert!(!matters(json!({}), json!({})), "version only");
        assert!(matters(json!({}), json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
        assert!(matters(
            json!({}),
            json!({"metadata": {"labels": {"snapshot.storage.kubernetes.io/managed-by": "n"}}})
        ));
    }

    #[test]
    fn groups_are_filtered_alike() {
        let at = |version: &str, overlay: &Value| {
            let mut overlay = overlay.clone();
            overlay["metadata"]["resourceVersion"] = json!(version);
            group(&overlay)
        };
        let marked =
            annotated("groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-created", "yes");
        let unready = json!({"status": {"readyToUse": false}});
        for own in [marked, unready] {
            assert!(!needs_look(&at("1", &json!({})), &at("2", &own)));
        }
        let deleted =
            annotated("groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted", "yes");
        assert!(needs_look(&at("1", &json!({})), &at("2", &deleted)));
    }

    #[test]
    fn a_member_s_handle_is_news() {
        let member = annotated("groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle", "g");
        let mut known = member.clone();
        known["status"] = json!({"snapshotHandle": "s", "volumeGroupSnapshotHandle": "g"});
        assert!(matters(member, known));
    }
}
