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

/// Which of two ids is detached from where a node has another one than at the time of the attachment, because it was made
/// anew under its old name (sheet 6.3, 13.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetachFrom {
    /// What the node's CSINode says now, as upstream has it; the driver may then never hear of the old machine again.
    #[default]
    Present,
    /// What it said at the time of the attachment: where the volume really was attached (`--detach-by-annotation`).
    Annotated,
}

/// The id of the node to detach from. Where only one of the two sources knows an id, it is that one.
///
/// An empty annotation counts as none: for the driver an empty id means every node.
pub fn to_detach(
    attachment: &Attachment,
    node: Option<&CsiNode>,
    driver: &str,
    from: DetachFrom,
) -> Result<String, Failure> {
    let annotated = annotated(attachment).map(str::to_owned);
    match (from, annotated) {
        (DetachFrom::Annotated, Some(annotated)) => Ok(annotated),
        (_, annotated) => to_attach(attachment, node, driver).or_else(|failure| annotated.ok_or(failure)),
    }
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

    fn annotated_with(id: &str) -> Attachment {
        attachment(&json!({"metadata": {"annotations": {super::super::status::NODE_ID: id}}}))
    }

    #[test]
    fn the_csinode_wins_over_the_annotation() {
        let (annotated, node) = (annotated_with("old"), csi_node("csi/test", "new"));
        let detach = |node| to_detach(&annotated, node, "csi/test", DetachFrom::Present);
        assert_eq!(detach(Some(&node)).unwrap(), "new");
        assert_eq!(to_attach(&annotated, Some(&node), "csi/test").unwrap(), "new");
        assert_eq!(detach(None).unwrap(), "old");
        assert!(
            to_attach(&annotated, None, "csi/test").is_err(),
            "an attachment needs the node as it is now"
        );
    }

    #[test]
    fn the_annotation_wins_if_so_chosen() {
        let node = csi_node("csi/test", "new");
        let detach = |id, node| to_detach(&annotated_with(id), node, "csi/test", DetachFrom::Annotated);
        assert_eq!(detach("old", Some(&node)).unwrap(), "old");
        assert_eq!(detach("old", None).unwrap(), "old");
        assert_eq!(detach("", Some(&node)).unwrap(), "new", "an empty one counts as none");
    }

    #[test]
    fn an_empty_annotation_counts_as_none() {
        let failure = to_detach(&annotated_with(""), None, "csi/test", DetachFrom::Present).unwrap_err();
        assert_eq!(failure.message, "csinode.storage.k8s.io \"node1\" not found");
        assert_eq!(failure.waits_for, Some(WaitsFor::Node));
    }
}
