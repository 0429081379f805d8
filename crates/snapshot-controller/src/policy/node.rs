//! Which node's snapshotter is in charge, where each node has its own (sheet 5.5.1, distributed snapshotting).

use sidecar_core::objects::{Interned, Node, SelectorRequirement, Volume};

/// The first node, by name, from which the volume can be reached. None for a volume that says nothing about nodes: nobody
/// is in charge of its content then.
///
/// Upstream takes the first in no order at all.
pub fn of<'n>(volume: &Volume, nodes: impl IntoIterator<Item = &'n Node>) -> Option<Interned> {
    of_all([volume], nodes)
}

/// The first node from which all of these volumes can be reached.
///
/// Upstream puts nobody in charge of a group, so that groups do not work where each node has its own snapshotter.
pub fn of_all<'v, 'n>(
    volumes: impl IntoIterator<Item = &'v Volume>,
    nodes: impl IntoIterator<Item = &'n Node>,
) -> Option<Interned> {
    let volumes: Option<Vec<_>> = volumes.into_iter().map(|volume| volume.affinity.as_deref()).collect();
    let volumes = volumes.filter(|volumes| !volumes.is_empty())?;
    let reaches = |node: &&Node| volumes.iter().all(|terms| terms.iter().any(|term| matches(term, node)));
    nodes.into_iter().find(reaches).map(|node| node.meta.name.clone())
}

/// Whether a node meets all requirements of a term. An empty term is met by none.
fn matches(term: &[SelectorRequirement], node: &Node) -> bool {
    !term.is_empty() && term.iter().all(|requirement| meets(requirement, node))
}

fn meets(requirement: &SelectorRequirement, node: &Node) -> bool {
    let value = if requirement.field {
        (&*requirement.key == "metadata.name").then_some(&node.meta.name)
    } else {
        node.label(&requirement.key)
    };
    requirement.is_met_by(value.map(|value| &**value))
}
