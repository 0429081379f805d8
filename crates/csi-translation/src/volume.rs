//! A volume on both sides of the translation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TranslationError;

/// A volume with an in-tree source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InTreeVolume {
    /// The JSON name of the source, such as `gcePersistentDisk`.
    pub kind: String,
    /// The source itself, in JSON.
    pub source: String,
    /// The rest.
    pub object: VolumeObject,
}

/// A volume with a CSI source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiVolume {
    /// `spec.csi`.
    pub source: CsiSource,
    /// The rest. Its access modes are what the driver is to be asked for.
    pub object: VolumeObject,
}

/// What translation reads or changes of a PersistentVolume besides its source.
///
/// Callers that need only handle, attributes and secrets may leave the affinity empty: nothing fails for the lack of it
/// on the way to CSI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeObject {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`; only those for zones and regions are read.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`; read are `kubernetes.io/azure-file-resource-group` and the two of
    /// `openstorage.io/auth-secret-…`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.claimRef.namespace`.
    pub claim_namespace: Option<String>,
    /// `spec.accessModes` as the API writes them, such as `ReadWriteOnce`.
    pub access_modes: Vec<String>,
    /// `spec.nodeAffinity.required.nodeSelectorTerms`.
    pub affinity: Vec<Term>,
}

/// `spec.csi` of a PersistentVolume. Serialised as the API has it; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiSource {
    /// The driver.
    pub driver: String,
    /// The volume's id in the driver.
    pub volume_handle: String,
    /// Whether the volume may only be read.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// The file system; empty if nobody said.
    #[serde(rename = "fsType", skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// The driver's attributes of the volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volume_attributes: BTreeMap<String, String>,
    /// Secret for ControllerPublishVolume and ControllerUnpublishVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_publish_secret_ref: Option<SecretRef>,
    /// Secret for NodeStageVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_stage_secret_ref: Option<SecretRef>,
    /// Secret for NodePublishVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<SecretRef>,
    /// Secret for ControllerExpandVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_expand_secret_ref: Option<SecretRef>,
    /// Secret for NodeExpandVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_expand_secret_ref: Option<SecretRef>,
}

/// A secret by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretRef {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// One term of a node affinity: all its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Term {
    /// About labels of the node.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
    /// About fields of the node; never touched.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub match_fields: Vec<Requirement>,
}

/// One requirement of a term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label's or field's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    pub operator: String,
    /// The values.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl InTreeVolume {
    /// The source in the shape of its plugin.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, TranslationError> {
        serde_json::from_str(&self.source)
            .map_err(|error| TranslationError::Malformed { what: self.kind.clone(), error })
    }

    /// A volume with `source` in the place of its CSI source.
    pub(crate) fn with<T: Serialize>(
        kind: &str,
        source: &T,
        object: VolumeObject,
    ) -> Result<Self, TranslationError> {
        let source = serde_json::to_string(source)
            .map_err(|error| TranslationError::Malformed { what: kind.to_owned(), error })?;
        Ok(Self { kind: kind.to_owned(), source, object })
    }
}

// Serde hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

/// `null` reads as empty, as it does in Go.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
