//! Which contents are ours (sheet 5.3).

use sidecar_core::objects::SnapshotClass;

use crate::content::View;

/// Whether a content is for this driver, and on this node where every node has its own snapshotter. `class` is the
/// content's, if it is known.
pub fn is_ours(view: &View<'_>, driver: &str, node: Option<&str>, class: Option<&SnapshotClass>) -> bool {
    let has_source = view.is_dynamic || view.given.is_some();
    let same_class = class.is_none_or(|class| *class.driver == *driver);
    let here = node.is_none_or(|node| view.managed_by.is_some_and(|manager| **manager == *node));
    has_source && view.driver == driver && same_class && here
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::Content;
    use crate::policy::fixtures::{class, content, group};

    fn matches(view: &View<'_>, class: Option<&SnapshotClass>) -> bool {
        is_ours(view, "mock", None, class)
    }

    /// Row G-DM, for groups and for single snapshots.
    #[test]
    fn driver_match() {
        let (ours, foreign) = (class(&json!({})), class(&json!({"driver": "other"})));
        let sources = json!({"spec": {"source": {"volumeHandles": null, "volumeHandle": null}}});
        assert!(!matches(&group(&sources).view(), None), "no source");
        assert!(!matches(&content(&sources).view(), None), "no source");
        let elsewhere = json!({"spec": {"driver": "other"}});
        assert!(!matches(&group(&elsewhere).view(), Some(&ours)), "other driver");
        assert!(!matches(&content(&elsewhere).view(), Some(&ours)), "other driver");
        assert!(!matches(&group(&json!({})).view(), Some(&foreign)), "class of another driver");
        assert!(!matches(&content(&json!({})).view(), Some(&foreign)), "class of another driver");
        assert!(matches(&group(&json!({})).view(), Some(&ours)), "dynamic");
        assert!(matches(&content(&json!({})).view(), Some(&ours)), "dynamic");
        let given = json!({"spec": {"source": {
            "volumeHandles": null, "volumeHandle": null, "snapshotHandle": "s",
            "groupSnapshotHandles": {"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["s"]},
        }}});
        assert!(matches(&group(&given).view(), None), "static");
        assert!(matches(&content(&given).view(), None), "static, class missing");
    }

    #[test]
    fn in_node_deployment_only_the_nodes_own() {
        let here =
            content(&json!({"metadata": {"labels": {"snapshot.storage.kubernetes.io/managed-by": "n1"}}}));
        assert!(is_ours(&here.view(), "mock", Some("n1"), None));
        assert!(!is_ours(&here.view(), "mock", Some("n2"), None));
        assert!(!is_ours(&content(&json!({})).view(), "mock", Some("n1"), None));
    }
}
