//! References to Secrets in StorageClass parameters: which keys hold them and which tokens their templates may have
//! (sheet 6.2, "Secret reference resolution").

use std::collections::BTreeMap;

use sidecar_core::secret_reference::Keys;
#[cfg(test)]
use sidecar_core::secret_reference::TemplateError;
pub(crate) use sidecar_core::secret_reference::{SecretError, SecretRef};

use super::parameters::Parameters;

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
    DEFAULT.has(key) || Purpose::ALL.iter().any(|purpose| purpose.keys().has(key))
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

/// The Secret that `parameters` name for `purpose`, if any.
pub(crate) fn resolve(
    purpose: Purpose,
    parameters: &Parameters,
    volume_name: &str,
    claim: Option<&ClaimTokens<'_>>,
) -> Result<Option<SecretRef>, SecretError> {
    let own = purpose.keys().template(parameters).map_err(SecretError::Template)?;
    let found = match own {
        Some(found) => Some(found),
        None => DEFAULT.template(parameters).map_err(SecretError::DefaultTemplate)?,
    };
    let Some(template) = found else {
        return Ok(None);
    };
    let namespace_token = |token: &str| match (token, claim) {
        ("pv.name", _) => Some(volume_name.to_owned()),
        ("pvc.namespace", Some(claim)) => Some(claim.namespace.to_owned()),
        _ => None,
    };
    let name_token = |token: &str| match (token, claim) {
        ("pvc.name", Some(claim)) => Some(claim.name.to_owned()),
        ("pv.name" | "pvc.namespace", _) => namespace_token(token),
        (_, Some(claim)) => claim.annotations?.get(annotation_key(token)?).cloned(),
        _ => None,
    };
    template.resolve(name_token, namespace_token).map(Some)
}

/// The key in `pvc.annotations['key']`.
fn annotation_key(token: &str) -> Option<&str> {
    token.strip_prefix("pvc.annotations['")?.strip_suffix("']")
}

#[cfg(test)]
mod tests;
