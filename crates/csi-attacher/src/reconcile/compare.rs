//! The comparison of all attachments with the driver's own list (sheet 5.11, 13.9).

use std::sync::Arc;

use csi_client::csi::ListVolumesRequest;
use csi_client::{CallOptions, status_text};
use sidecar_core::objects::Attachment;
use tokio::time::sleep;
use tracing::{error, info};

use super::Shared;
use crate::policy::failure::Failure;
use crate::policy::listing::Published;
use crate::policy::node::{self, DetachFrom};
use crate::policy::target::{self, Source};
use crate::policy::{Operation, translation};

/// Compares for as long as it is polled; waits for ever where the driver cannot tell.
pub(super) async fn run(shared: Arc<Shared>) {
    if !shared.driver.capabilities.list_published_nodes {
        std::future::pending::<()>().await;
    }
    loop {
        info!(v = 4, "Reconciling VolumeAttachments with driver backend state");
        if let Err(problem) = shared.compare().await {
            error!(err = problem, "Failed to reconcile VolumeAttachment");
        }
        sleep(shared.flags.reconcile_sync).await;
    }
}

impl Shared {
    async fn compare(&self) -> Result<(), String> {
        self.memory.list_begins();
        let published = self.published().await;
        let touched = self.memory.list_ends();
        let published = published?;
        for attachment in self.stores.attachments.list() {
            // What was worked on meanwhile may be newer than the list; the next pass will see it.
            if self.is_ours(&attachment) && !touched.contains(&attachment.meta.name) {
                self.compare_one(&attachment, &published);
            }
        }
        Ok(())
    }

    /// The driver's list, page by page, each with its own deadline.
    async fn published(&self) -> Result<Published, String> {
        let mut published = Published::default();
        let mut token = String::new();
        loop {
            let request =
                ListVolumesRequest { max_entries: self.flags.max_entries, starting_token: token.clone() };
            let page = self
                .connection
                .list_volumes(request, CallOptions::timeout(self.flags.common.timeout))
                .await
                .map_err(|status| {
                    format!("failed to ListVolumes: failed to list volumes: {}", status_text(&status))
                })?;
            let next = page.next_token.clone();
            published.add(page);
            if next.is_empty() {
                return Ok(published);
            }
            if next == token {
                return Err(format!("failed to ListVolumes: the driver repeats the token {token:?}"));
            }
            token = next;
        }
    }

    fn compare_one(&self, attachment: &Arc<Attachment>, published: &Published) {
        let name = &attachment.meta.name;
        let (handle, node_id) = match self.as_listed(attachment) {
            Ok(both) => both,
            Err(problem) => {
                info!(v = 4, VolumeAttachment = %name, err = problem, "VolumeAttachment cannot be compared");
                return;
            }
        };
        let attached = attachment.status.as_ref().is_some_and(|status| status.attached);
        if published.has(&handle, &node_id) == attached {
            self.memory.matches(name);
            return;
        }
        self.metrics.mismatch();
        if self.memory.mismatch(name, &attachment.meta.uid) {
            error!(
                VolumeAttachment = %name, attached,
                "VolumeAttachment attached status and actual state do not match. \
                 Adding back to VolumeAttachment queue for forced reprocessing"
            );
            self.attachments.add(name.clone());
        }
    }

    /// Handle and node id as they stand in the list, where the handle of a translated volume is complete.
    fn as_listed(&self, attachment: &Attachment) -> Result<(String, String), String> {
        let node_id = self.listed_node(attachment).map_err(|failure| failure.message)?;
        let target = self.target_to_detach(attachment).map_err(|failure| failure.message)?;
        let inline = matches!(target::source(attachment), Ok(Source::Inline(_)));
        if !target.migrated && !inline {
            return Ok((target.handle, node_id));
        }
        let repaired = translation::repair_handle(&self.driver.name, &target.handle, &node_id)?;
        Ok((repaired, node_id))
    }

    /// A wanted attachment is compared with the node as it is now, for there it is wanted; one that goes, with the node
    /// from which it is detached.
    fn listed_node(&self, attachment: &Attachment) -> Result<String, Failure> {
        match Operation::of(attachment) {
            Operation::Detach => self.node_to_detach(attachment),
            Operation::Attach => {
                let node = self.node(&attachment.node);
                node::to_detach(attachment, node.as_deref(), &self.driver.name, DetachFrom::Present)
            }
        }
    }
}
