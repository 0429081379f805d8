//! The driver's own view of what is attached where, and whether it agrees with an attachment (sheet 5.11, 13.9).

use std::collections::{BTreeMap, BTreeSet};

use csi_client::csi::ListVolumesResponse;

/// Nodes that each volume is attached to, by handle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    nodes: BTreeMap<String, BTreeSet<String>>,
}

impl Published {
    /// Takes over a page. A volume that is listed twice is attached to the nodes of both entries; upstream believes the
    /// last one.
    pub fn add(&mut self, page: ListVolumesResponse) {
        for entry in page.entries {
            if let (Some(volume), Some(status)) = (entry.volume, entry.status) {
                self.nodes.entry(volume.volume_id).or_default().extend(status.published_node_ids);
            }
        }
    }

    /// Whether the volume is attached to the node.
    pub fn has(&self, handle: &str, node_id: &str) -> bool {
        self.nodes.get(handle).is_some_and(|nodes| nodes.contains(node_id))
    }
}

#[cfg(test)]
mod tests {
    use csi_client::csi::Volume;
    use csi_client::csi::list_volumes_response::{Entry, VolumeStatus};

    use super::*;

    fn entry(id: &str, nodes: Option<&[&str]>) -> Entry {
        let status = nodes.map(|nodes| VolumeStatus {
            published_node_ids: nodes.iter().map(|node| (*node).to_owned()).collect(),
            ..VolumeStatus::default()
        });
        Entry { volume: Some(Volume { volume_id: id.to_owned(), ..Volume::default() }), status }
    }

    #[test]
    fn duplicate_list_ids_are_merged() {
        let mut published = Published::default();
        let page = |entries| ListVolumesResponse { entries, next_token: String::new() };
        published.add(page(vec![entry("v", Some(&["a"])), entry("w", None)]));
        published.add(page(vec![entry("v", Some(&["b"])), Entry { volume: None, status: None }]));
        assert!(published.has("v", "a") && published.has("v", "b"));
        assert!(!published.has("w", "a") && !published.has("x", "a"));
    }
}
