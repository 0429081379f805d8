//! Which node an attachment is about, as the driver knows it (sheet 6.3).

use sidecar_core::objects::{Attachment, CsiNode};

use super::failure::{Failure, WaitsFor};

/// The id of the node to attach to: what the node's CSINode says now.
pub fn to_attach(attachment: &Attachment, node: Option<&CsiNode>, driver: &str) -> Result<String, Failure> {
    let name = &attachment.node;
    let Some(node) = node else {
        let message = format!("csinode.storage.k8s.io \"{name}\" not found");
        return Err(Failure::waiting(message, WaitsFor::Node));
    };
    node.driver(driver).map(|entry| entry.node_id.to_string()).ok_or_else(|| {
        let message = format!("CSINode {name} does not contain driver {driver}");
        Failure::waiting(message, WaitsFor::Node)
    })
}

/// The id of the node to detach from: what its CSINode says now, else what it said at the time of the attachment.
///
/// An empty annotation counts as none: for the driver an empty id means every node.
pub fn to_detach(attachment: &Attachment, node: Option<&CsiNode>, driver: &str) -> Result<String, Failure> {
    to_attach(attachment, node, driver)
        .or_else(|failure| annotated(attachment).map(str::to_owned).ok_or(failure))
}

/// The id at the time of the attachment.
pub fn annotated(attachment: &Attachment) -> Option<&str> {
    attachment.status.as_ref()?.node_id.as_deref().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::fixtures::{attachment, csi_node};

    #[test]
    fn the_csinode_wins_over_the_annotation() {
        let annotated =
            attachment(&json!({"metadata": {"annotations": {super::super::status::NODE_ID: "old"}}}));
        let node = csi_node("csi/test", "new");
        assert_eq!(to_detach(&annotated, Some(&node), "csi/test").unwrap(), "new");
        assert_eq!(to_attach(&annotated, Some(&node), "csi/test").unwrap(), "new");
        assert_eq!(to_detach(&annotated, None, "csi/test").unwrap(), "old");
        assert!(
            to_attach(&annotated, None, "csi/test").is_err(),
            "an attachment needs the node as it is now"
        );
    }

    #[test]
    fn an_empty_annotation_counts_as_none() {
        let empty = attachment(&json!({"metadata": {"annotations": {super::super::status::NODE_ID: ""}}}));
        let failure = to_detach(&empty, None, "csi/test").unwrap_err();
        assert_eq!(failure.message, "csinode.storage.k8s.io \"node1\" not found");
        assert_eq!(failure.waits_for, Some(WaitsFor::Node));
    }
}
