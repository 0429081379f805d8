//! Whether a volume has to leave a node before it may come to another (sheet 13.8).

use std::sync::Arc;
use std::time::Duration;

use sidecar_core::objects::Attachment;

/// The detachment for which `attachment` has to wait, if it is the turn of any: one of the same volume (`others` are its
/// attachments), by the same driver, that may not be done yet, which our finalizer tells.
///
/// Attachments wait for detachments and these for nobody, so nobody waits in a circle.
pub fn first<'a>(
    attachment: &Attachment,
    others: &'a [Arc<Attachment>],
    finalizer: &str,
) -> Option<&'a Arc<Attachment>> {
    others.iter().find(|other| {
        other.meta.uid != attachment.meta.uid
            && other.attacher == attachment.attacher
            && other.meta.deleting
            && other.meta.finalizers.has(finalizer)
    })
}

/// How much longer an attachment waits that has waited for `waited`; `None`: it waits no more.
pub fn patience(limit: Duration, waited: Duration) -> Option<Duration> {
    limit.checked_sub(waited).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures::attachment;

    const F: &str = "external-attacher/csi-test";

    fn other(fields: &Value) -> Vec<Arc<Attachment>> {
        let mut going = json!({"metadata": {"uid": "other", "deletionTimestamp": "now", "finalizers": [F]}});
        testkit::manifests::merge(&mut going, fields);
        vec![Arc::new(attachment(&going))]
    }

    #[test]
    fn only_a_detachment_that_may_not_be_done_comes_first() {
        let ours = attachment(&json!({"metadata": {"uid": "ours"}}));
        let waits = |fields: &Value| first(&ours, &other(fields), F).is_some();
        assert!(waits(&json!({})));
        assert!(!waits(&json!({"metadata": {"uid": "ours"}})), "nobody waits for himself");
        assert!(!waits(&json!({"metadata": {"deletionTimestamp": null}})), "wanted there, too");
        assert!(!waits(&json!({"metadata": {"finalizers": ["x/y"]}})), "detached, and held by somebody else");
        assert!(!waits(&json!({"spec": {"attacher": "other"}})));
    }

    #[test]
    fn patience_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(patience(second * 10, second * 4), Some(second * 6));
        assert_eq!(patience(second * 10, second * 10), None);
        assert_eq!(patience(second * 10, second * 11), None);
    }
}
