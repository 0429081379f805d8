//! Which changes of an attachment need a look (sheet 5.1).
//!
//! What changes only errors is our own report, and must not undo the back-off that it reports.

use sidecar_core::objects::{Attachment, AttachmentStatus};

/// Whether the change from `old` to `new` says anything but how the last try went.
///
/// `own`: it is, or may be, the echo of a write of ours, about which nothing but somebody else's deletion is news.
pub fn needs_look(old: &Attachment, new: &Attachment, own: bool) -> bool {
    if old.meta.resource_version == new.meta.resource_version {
        return true;
    }
    if old.meta.deleting != new.meta.deleting {
        return true;
    }
    !own && (!has_errors(old) && !has_errors(new) || without_errors(old) != without_errors(new))
}

fn has_errors(attachment: &Attachment) -> bool {
    attachment.status.as_ref().is_some_and(|s| s.attach_error.is_some() || s.detach_error.is_some())
}

/// The attachment as it would be without errors and at no particular version. Fields that nobody reads, managedFields
/// among them, are not in it anyway.
fn without_errors(attachment: &Attachment) -> Attachment {
    let mut plain = attachment.clone();
    plain.meta.resource_version = 0;
    plain.status = plain
        .status
        .map(|status| Box::new(AttachmentStatus { attach_error: None, detach_error: None, ..*status }));
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::status::NODE_ID;
    use super::*;
    use crate::policy::fixtures::attachment;

    fn at(version: &str, overlay: Value) -> Attachment {
        let mut overlay = overlay;
        overlay["metadata"]["resourceVersion"] = json!(version);
        attachment(&overlay)
    }

    fn error(message: &str) -> Value {
        json!({"message": message, "time": "2026-01-02T03:04:05Z"})
    }

    #[test]
    fn identical_same_resource_version() {
        assert!(needs_look(&at("1", json!({})), &at("1", json!({})), false));
    }

    #[test]
    fn spec_changed_annotation_changed_errors_present() {
        let old = at("1", json!({"status": {"attachError": error("a")}}));
        let spec = json!({"status": {"attachError": error("a")}, "spec": {"nodeName": "other"}});
        assert!(needs_look(&old, &at("2", spec), false));
        let annotated =
            json!({"status": {"attachError": error("a")}, "metadata": {"annotations": {NODE_ID: "x"}}});
        assert!(needs_look(&old, &at("2", annotated), false));
    }

    #[test]
    fn attach_error_added_or_changed_detach_error_added_or_changed() {
        for kind in ["attachError", "detachError"] {
            let none = at("1", json!({}));
            let first = at("2", json!({"status": {kind: error("a")}}));
            let second = at("3", json!({"status": {kind: error("b")}}));
            assert!(!needs_look(&none, &first, false) && !needs_look(&first, &second, false), "{kind}");
        }
    }

    #[test]
    fn only_managed_fields_appended_errors_present() {
        let old = at("1", json!({"status": {"attachError": error("a")}}));
        let managed =
            json!({"status": {"attachError": error("a")}, "metadata": {"managedFields": [{"manager": "x"}]}});
        assert!(!needs_look(&old, &at("2", managed), false));
    }

    #[test]
    fn an_own_write_is_news_only_if_somebody_deleted_meanwhile() {
        let old = at("1", json!({}));
        let marked = at("2", json!({"metadata": {"finalizers": ["f"]}}));
        assert!(needs_look(&old, &marked, false) && !needs_look(&old, &marked, true));
        let going = at("2", json!({"metadata": {"finalizers": ["f"], "deletionTimestamp": "t"}}));
        assert!(needs_look(&old, &going, true));
    }
}
