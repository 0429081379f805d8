//! Who may use what of another namespace: ReferenceGrants (sheet 5.6.1).

use serde::Deserialize;

use super::Reference;

/// A ReferenceGrant, as far as it matters here. What lies in its namespace may be used as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Grant {
    metadata: Meta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Meta {
    namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Spec {
    from: Vec<From>,
    to: Vec<To>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct From {
    group: String,
    kind: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct To {
    group: String,
    kind: String,
    name: Option<String>,
}

/// Whether one of `grants` lets claims of `namespace` use what they refer to. Both sides must be in the same grant.
pub(crate) fn permit(grants: &[Grant], namespace: &str, reference: &Reference<'_>) -> bool {
    grants.iter().any(|grant| {
        grant.metadata.namespace == reference.namespace
            && grant.spec.from.iter().any(|from| from.is_claim_of(namespace))
            && grant.spec.to.iter().any(|to| to.covers(reference))
    })
}

/// Why a claim may not use what it refers to.
pub(crate) fn refusal(namespace: &str, claim: &str, reference: &Reference<'_>) -> String {
    let Reference { namespace: source_namespace, name, kind, .. } = reference;
    format!("accessing {source_namespace}/{name} of {kind} dataSource from {namespace}/{claim} isn't allowed")
}

impl From {
    fn is_claim_of(&self, namespace: &str) -> bool {
        self.group.is_empty() && self.kind == "PersistentVolumeClaim" && self.namespace == namespace
    }
}

impl To {
    fn covers(&self, reference: &Reference<'_>) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        self.group == reference.group
            && self.kind == reference.kind
            && (name.is_empty() || name == reference.name)
    }
}

#[cfg(test)]
mod tests;
