//! References to Secrets in StorageClass parameters: which keys hold them, how templates are filled in, and what makes
//! one invalid (sheet 6.2, "Secret reference resolution").

use std::collections::{BTreeMap, BTreeSet};

use super::expand::expand;
use super::parameters::Parameters;

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecretRef {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// What a Secret is for. The order is the one in which references are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// CreateVolume and DeleteVolume.
    Provisioner,
    /// ControllerPublishVolume.
    ControllerPublish,
    /// NodeStageVolume.
    NodeStage,
    /// NodePublishVolume.
    NodePublish,
    /// ControllerExpandVolume.
    ControllerExpand,
    /// NodeExpandVolume.
    NodeExpand,
    /// ControllerModifyVolume.
    ControllerModify,
}

/// The keys of one purpose.
struct Keys {
    title: &'static str,
    name: &'static str,
    namespace: &'static str,
    deprecated: Option<(&'static str, &'static str)>,
}

/// The pair that stands in for every purpose without its own.
const DEFAULT: Keys = Keys {
    title: "Default",
    name: "csi.storage.k8s.io/secret-name",
    namespace: "csi.storage.k8s.io/secret-namespace",
    deprecated: None,
};

impl Purpose {
    /// Every purpose.
    pub(crate) const ALL: [Self; 7] = [
        Self::Provisioner,
        Self::ControllerPublish,
        Self::NodeStage,
        Self::NodePublish,
        Self::ControllerExpand,
        Self::NodeExpand,
        Self::ControllerModify,
    ];

    fn keys(self) -> Keys {
        match self {
            Self::Provisioner => Keys {
                title: "Provisioner",
                name: "csi.storage.k8s.io/provisioner-secret-name",
                namespace: "csi.storage.k8s.io/provisioner-secret-namespace",
                deprecated: Some(("csiProvisionerSecretName", "csiProvisionerSecretNamespace")),
            },
            Self::ControllerPublish => Keys {
                title: "ControllerPublish",
                name: "csi.storage.k8s.io/controller-publish-secret-name",
                namespace: "csi.storage.k8s.io/controller-publish-secret-namespace",
                deprecated: Some(("csiControllerPublishSecretName", "csiControllerPublishSecretNamespace")),
            },
            Self::NodeStage => Keys {
                title: "NodeStage",
                name: "csi.storage.k8s.io/node-stage-secret-name",
                namespace: "csi.storage.k8s.io/node-stage-secret-namespace",
                deprecated: Some(("csiNodeStageSecretName", "csiNodeStageSecretNamespace")),
            },
            Self::NodePublish => Keys {
                title: "NodePublish",
                name: "csi.storage.k8s.io/node-publish-secret-name",
                namespace: "csi.storage.k8s.io/node-publish-secret-namespace",
                deprecated: Some(("csiNodePublishSecretName", "csiNodePublishSecretNamespace")),
            },
            Self::ControllerExpand => Keys {
                title: "ControllerExpand",
                name: "csi.storage.k8s.io/controller-expand-secret-name",
                namespace: "csi.storage.k8s.io/controller-expand-secret-namespace",
                deprecated: None,
            },
            Self::NodeExpand => Keys {
                title: "NodeExpand",
                name: "csi.storage.k8s.io/node-expand-secret-name",
                namespace: "csi.storage.k8s.io/node-expand-secret-namespace",
                deprecated: None,
            },
            Self::ControllerModify => Keys {
                title: "ControllerModify",
                name: "csi.storage.k8s.io/controller-modify-secret-name",
                namespace: "csi.storage.k8s.io/controller-modify-secret-namespace",
                deprecated: None,
            },
        }
    }
}

/// Whether `key` is one of the reserved secret keys (the deprecated ones are not reserved).
pub(crate) fn is_known_key(key: &str) -> bool {
    let has = |keys: &Keys| key == keys.name || key == keys.namespace;
    has(&DEFAULT) || Purpose::ALL.iter().any(|purpose| has(&purpose.keys()))
}

/// Whether a template needs the annotations of the claim, which no cache keeps.
pub(crate) fn needs_annotations(parameters: &Parameters) -> bool {
    parameters.iter().any(|(key, value)| {
        value.contains("pvc.annotations[") && (is_known_key(key) || key.starts_with("csi"))
    })
}

/// What templates may say about the claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimTokens<'a> {
    /// Namespace of the claim.
    pub namespace: &'a str,
    /// Name of the claim.
    pub name: &'a str,
    /// Its annotations, as far as they are known.
    pub annotations: Option<&'a BTreeMap<String, String>>,
}

/// Why there is no usable reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// The keys of the purpose are at odds.
    #[error("failed to get name and namespace template from params: {0}")]
    Template(TemplateError),
    /// The default keys are at odds.
    #[error("failed to get default name and namespace template from params: {0}")]
    DefaultTemplate(TemplateError),
    /// A token that does not exist here.
    #[error("error resolving value {0:?}: invalid tokens: {1}")]
    InvalidTokens(String, String),
    /// The value cannot name an object, and was no template.
    #[error("{0:?} is not a valid {1} name")]
    Invalid(String, &'static str),
    /// What came out of a template cannot name an object.
    #[error("{0:?} resolved to {1:?} which is not a valid {2} name")]
    ResolvedInvalid(String, String, &'static str),
}

/// How a pair of keys can be at odds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// Deprecated and present key say the same thing.
    #[error("{0} secrets specified in parameters with both \"csi\" and \"csi.storage.k8s.io/\" keys")]
    Both(&'static str),
    /// Only one half is there.
    #[error("either name and namespace for {0} secrets specified, Both must be specified")]
    Half(&'static str),
    /// One half is empty.
    #[error("{0} secrets specified in parameters but value of either namespace or name is empty")]
    Empty(&'static str),
}

/// The Secret that `parameters` name for `purpose`, if any.
pub(crate) fn resolve(
    purpose: Purpose,
    parameters: &Parameters,
    volume_name: &str,
    claim: Option<&ClaimTokens<'_>>,
) -> Result<Option<SecretRef>, SecretError> {
    let own = template(&purpose.keys(), parameters).map_err(SecretError::Template)?;
    let found = match own {
        Some(found) => Some(found),
        None => template(&DEFAULT, parameters).map_err(SecretError::DefaultTemplate)?,
    };
    let Some((name, namespace)) = found else {
        return Ok(None);
    };
    let namespace = fill(namespace, "namespace", is_dns_label, |token| match (token, claim) {
        ("pv.name", _) => Some(volume_name.to_owned()),
        ("pvc.namespace", Some(claim)) => Some(claim.namespace.to_owned()),
        _ => None,
    })?;
    let name = fill(name, "secret", is_dns_subdomain, |token| match (token, claim) {
        ("pv.name", _) => Some(volume_name.to_owned()),
        ("pvc.name", Some(claim)) => Some(claim.name.to_owned()),
        ("pvc.namespace", Some(claim)) => Some(claim.namespace.to_owned()),
        (_, Some(claim)) => claim.annotations?.get(annotation_key(token)?).cloned(),
        _ => None,
    })?;
    Ok(Some(SecretRef { name, namespace }))
}

/// Name and namespace templates under `keys`.
fn template<'a>(
    keys: &Keys,
    parameters: &'a Parameters,
) -> Result<Option<(&'a str, &'a str)>, TemplateError> {
    let half = |current: &str, deprecated: Option<&str>| -> Result<Option<&'a str>, TemplateError> {
        let old = deprecated.and_then(|key| parameters.get(key));
        match (parameters.get(current), old) {
            (Some(_), Some(_)) => Err(TemplateError::Both(keys.title)),
            (found, other) => Ok(found.or(other).map(|value| &**value)),
        }
    };
    let name = half(keys.name, keys.deprecated.map(|(name, _)| name))?;
    let namespace = half(keys.namespace, keys.deprecated.map(|(_, namespace)| namespace))?;
    match (name, namespace) {
        (None, None) => Ok(None),
        (Some(name), Some(namespace)) if !name.is_empty() && !namespace.is_empty() => {
            Ok(Some((name, namespace)))
        }
        (Some(_), Some(_)) => Err(TemplateError::Empty(keys.title)),
        _ => Err(TemplateError::Half(keys.title)),
    }
}

/// Fills in a template and checks that the outcome can name an object.
fn fill(
    template: &str,
    what: &'static str,
    valid: fn(&str) -> bool,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, SecretError> {
    let mut missing = BTreeSet::new();
    let resolved = expand(template, |token| {
        lookup(token).unwrap_or_else(|| {
            missing.insert(token.to_owned());
            String::new()
        })
    });
    if !missing.is_empty() {
        let quoted: Vec<_> = missing.iter().map(|token| format!("{token:?}")).collect();
        return Err(SecretError::InvalidTokens(template.to_owned(), format!("[{}]", quoted.join(" "))));
    }
    match (valid(&resolved), resolved == template) {
        (true, _) => Ok(resolved),
        (false, true) => Err(SecretError::Invalid(resolved, what)),
        (false, false) => Err(SecretError::ResolvedInvalid(template.to_owned(), resolved, what)),
    }
}

/// The key in `pvc.annotations['key']`.
fn annotation_key(token: &str) -> Option<&str> {
    token.strip_prefix("pvc.annotations['")?.strip_suffix("']")
}

/// A DNS-1123 label: what a namespace may be called.
fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_label_shaped(text)
}

/// A DNS-1123 subdomain: what a Secret may be called. Its parts have no limit of their own.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_shaped)
}

fn is_label_shaped(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;
