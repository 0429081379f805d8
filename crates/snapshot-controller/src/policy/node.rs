//! Which node's snapshotter is in charge, where each node has its own (sheet 5.5.1, distributed snapshotting).

use sidecar_core::objects::{Interned, Node, SelectorOperator, SelectorRequirement, Volume};

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
    let listed = |value: &Interned| requirement.values.contains(value);
    match requirement.operator {
        SelectorOperator::In => value.is_some_and(listed),
        SelectorOperator::NotIn => !value.is_some_and(listed),
        SelectorOperator::Exists => value.is_some(),
        SelectorOperator::DoesNotExist => value.is_none(),
        SelectorOperator::Gt => compare(value, &requirement.values, |a, b| a > b),
        SelectorOperator::Lt => compare(value, &requirement.values, |a, b| a < b),
        SelectorOperator::Unknown => false,
    }
}

fn compare(value: Option<&Interned>, values: &[Interned], holds: fn(i64, i64) -> bool) -> bool {
    let number = |text: &Interned| text.parse::<i64>().ok();
    match (value.and_then(number), values) {
        (Some(value), [bound]) => number(bound).is_some_and(|bound| holds(value, bound)),
        _ => false,
    }
}
