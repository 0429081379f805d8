//! Which volumes are this node's, where each node has a resizer of its own (`--node-deployment`, sheet 13.18).
//!
//! Upstream's rules let no resizer read nodes. What can be known of its own node without that is enough for the drivers whose
//! volumes stay on a node: the driver says where it runs (`NodeGetInfo`), in the words in which it says where its volumes can be
//! reached, and from which their node affinity is made.

use std::collections::BTreeMap;

use sidecar_core::objects::{SelectorRequirement, Volume};

/// The field of a node that a volume can name.
const NAME: &str = "metadata.name";

/// The node that the resizer runs on, as far as it knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Its name.
    pub name: String,
    /// Those of its labels that the driver tells: its topology.
    pub segments: BTreeMap<String, String>,
}

impl Here {
    /// Whether the volume can surely be reached from here. One that says nothing about nodes is no node's own; and a label
    /// that the driver does not tell may be there or not, so nothing is taken for met that is about one.
    pub fn reaches(&self, volume: &Volume) -> bool {
        let terms = volume.affinity.as_deref();
        terms.is_some_and(|terms| terms.iter().any(|term| self.meets_all(term)))
    }

    /// An empty term is met by no node.
    fn meets_all(&self, term: &[SelectorRequirement]) -> bool {
        !term.is_empty() && term.iter().all(|requirement| self.meets(requirement))
    }

    fn meets(&self, requirement: &SelectorRequirement) -> bool {
        let value = if requirement.field {
            (&*requirement.key == NAME).then_some(&self.name)
        } else {
            self.segments.get(&*requirement.key)
        };
        value.is_some_and(|value| requirement.is_met_by(Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures::volume;

    fn reached(terms: &Value) -> bool {
        let segments =
            [("csi/node", "n1"), ("zone", "a")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let here = Here { name: "node-1".to_owned(), segments: segments.into_iter().collect() };
        here.reaches(&volume(&json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})))
    }

    fn label(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn a_volume_is_reached_where_one_term_is_met_as_a_whole() {
        assert!(reached(&json!([label("csi/node", "In", &["n1"])])));
        assert!(!reached(&json!([label("csi/node", "In", &["n2"])])));
        assert!(reached(&json!([label("csi/node", "In", &["n2"]), label("zone", "Exists", &[])])));
        let mut both = label("csi/node", "In", &["n1"]);
        both["matchExpressions"].as_array_mut().unwrap().push(json!({
            "key": "zone", "operator": "In", "values": ["b"],
        }));
        assert!(!reached(&json!([both])));
    }

    #[test]
    fn a_node_is_known_by_its_name_too() {
        let named =
            |name: &str| json!([{"matchFields": [{"key": NAME, "operator": "In", "values": [name]}]}]);
        assert!(reached(&named("node-1")));
        assert!(!reached(&named("node-2")));
    }

    #[test]
    fn what_cannot_be_known_is_not_met() {
        assert!(!reached(&json!([label("other", "In", &["x"])])));
        assert!(!reached(&json!([label("other", "NotIn", &["x"])])), "it may well be there");
        assert!(!reached(&json!([label("other", "DoesNotExist", &[])])));
        assert!(!reached(&json!([])));
        assert!(!Here::default().reaches(&volume(&json!({}))), "a volume that can be reached from anywhere");
    }
}
