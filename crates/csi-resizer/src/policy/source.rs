//! The volume as the driver knows it: handle, how it is used, and which secrets its calls take (sheet 5.9, 6.2, 6.3).

use csi_translation::{CsiVolume, InTreeVolume, VolumeObject, translate_volume};
use sidecar_core::objects::{InTreeSource, Interned, SecretRef, Volume, VolumeMode};

/// What calls about a volume need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The driver's name of the volume.
    pub handle: String,
    /// File system, empty if unset.
    pub fs_type: String,
    /// Secret for expansions.
    pub expand_secret: Option<SecretRef>,
    /// Names of the access modes.
    pub access_modes: Vec<String>,
    /// Mount options.
    pub mount_options: Vec<String>,
    /// File system or block device.
    pub volume_mode: Option<VolumeMode>,
    /// Whether this was the source of an in-tree plugin.
    pub translated: bool,
}

/// Why a volume cannot be handed to the driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// An in-tree volume, and the driver replaces no plugin.
    #[error("volume {0} is not migrated to CSI")]
    NotMigrated(String),
    /// An in-tree volume that cannot be expressed in CSI.
    #[error("failed to translate persistent volume: {0}")]
    Untranslatable(String),
    /// The driver has no name for it.
    #[error("empty volume handle")]
    EmptyHandle,
}

impl Source {
    /// The volume as the driver knows it.
    pub fn of(volume: &Volume) -> Result<Self, SourceError> {
        let source = match (&volume.driver, &volume.in_tree) {
            (Some(_), _) => Self { handle: volume.handle.to_string(), ..Self::common(volume) },
            (None, Some(in_tree)) => Self::translated(volume, in_tree)?,
            (None, None) => return Err(SourceError::NotMigrated(volume.meta.name.to_string())),
        };
        if source.handle.is_empty() { Err(SourceError::EmptyHandle) } else { Ok(source) }
    }

    fn common(volume: &Volume) -> Self {
        let Some(source) = volume.source.as_deref() else { return Self::default() };
        Self {
            handle: String::new(),
            fs_type: source.fs_type.to_string(),
            expand_secret: source.expand_secret.clone(),
            access_modes: source.access_modes.iter().map(str::to_owned).collect(),
            mount_options: source.mount_options.iter().map(ToString::to_string).collect(),
            volume_mode: source.volume_mode,
            translated: false,
        }
    }

    /// In memory only: the object stays as it is.
    fn translated(volume: &Volume, in_tree: &InTreeSource) -> Result<Self, SourceError> {
        let common = Self::common(volume);
        let pairs = |list: &[(Interned, Interned)]| {
            list.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        let object = VolumeObject {
            name: volume.meta.name.to_string(),
            labels: pairs(&in_tree.labels),
            annotations: pairs(&in_tree.annotations),
            claim_namespace: volume.claim.as_ref().map(|claim| claim.namespace.to_string()),
            access_modes: common.access_modes.clone(),
            affinity: Vec::new(),
        };
        let wanted = InTreeVolume { kind: in_tree.kind.to_owned(), source: in_tree.json.to_string(), object };
        let CsiVolume { source, object } =
            translate_volume(&wanted).map_err(|error| SourceError::Untranslatable(error.to_string()))?;
        let secret = |secret: csi_translation::SecretRef| SecretRef {
            namespace: Interned::from(secret.namespace),
            name: Interned::from(secret.name),
        };
        Ok(Self {
            handle: source.volume_handle,
            fs_type: source.fs_type,
            expand_secret: source.controller_expand_secret_ref.map(secret),
            access_modes: object.access_modes,
            translated: true,
            ..common
        })
    }
}

/// The secret for modifications: both annotations of the volume, or else the one for expansions.
pub fn modify_secret(volume: &Volume) -> Option<SecretRef> {
    let source = volume.source.as_deref()?;
    let given = |annotation: &Option<_>| annotation.clone().filter(|text: &Interned| !text.is_empty());
    match (given(&source.modify_secret.0), given(&source.modify_secret.1)) {
        (Some(name), Some(namespace)) => Some(SecretRef { namespace, name }),
        _ => source.expand_secret.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures;

    const NAME: &str = "volume.kubernetes.io/controller-modify-secret-name";
    const NAMESPACE: &str = "volume.kubernetes.io/controller-modify-secret-namespace";

    #[test]
    fn csi_source() {
        let volume = fixtures::volume(&json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "mountOptions": ["o"], "volumeMode": "Block",
            "csi": {"fsType": "xfs", "controllerExpandSecretRef": {"namespace": "ns", "name": "s"}},
        }}));
        let source = Source::of(&volume).unwrap();
        assert_eq!((&*source.handle, &*source.fs_type, source.translated), ("handle", "xfs", false));
        assert_eq!(source.volume_mode, Some(VolumeMode::Block));
        assert_eq!((source.access_modes.len(), source.mount_options.len()), (1, 1));
        assert!(source.expand_secret.is_some());
    }

    #[test]
    fn in_tree_pv_unknown_driver() {
        let volume = fixtures::volume(&json!({"spec": {"csi": null, "nfs": {}}}));
        assert_eq!(Source::of(&volume).unwrap_err().to_string(), "volume pv is not migrated to CSI");
    }

    #[test]
    fn in_tree_volumes_are_translated() {
        let volume = fixtures::volume(&json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "mountOptions": ["o"], "csi": null,
            "awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-1", "fsType": "ext4"},
        }}));
        let source = Source::of(&volume).unwrap();
        assert_eq!((&*source.handle, &*source.fs_type, source.translated), ("vol-1", "ext4", true));
        assert_eq!((source.access_modes.len(), source.mount_options.len()), (1, 1));
        let volume = fixtures::volume(&json!({
            "metadata": {"labels": {"topology.kubernetes.io/zone": "us-central1-a"}},
            "spec": {"csi": null, "accessModes": ["ReadWriteMany"], "gcePersistentDisk": {"pdName": "disk"}},
        }));
        let source = Source::of(&volume).unwrap();
        assert_eq!(source.handle, "projects/UNSPECIFIED/zones/us-central1-a/disks/disk");
        assert_eq!(source.access_modes, ["ReadWriteOnce"], "what the plugin could do");
        let azure = json!({"spec": {"csi": null, "azureDisk": {"diskURI": "u", "diskName": "d", "kind": "Dedicated"}}});
        let error = Source::of(&fixtures::volume(&azure)).unwrap_err().to_string();
        assert!(error.starts_with("failed to translate persistent volume: "), "{error}");
    }

    #[test]
    fn a_volume_without_handle_cannot_be_asked_for() {
        let volume = fixtures::volume(&json!({"spec": {"csi": {"volumeHandle": ""}}}));
        assert_eq!(Source::of(&volume), Err(SourceError::EmptyHandle));
    }

    #[test]
    fn both_secrets_annotations_are_required() {
        let secret = |annotations: Value| {
            let volume = fixtures::volume(&json!({
                "metadata": {"annotations": annotations},
                "spec": {"csi": {"controllerExpandSecretRef": {"namespace": "ns", "name": "expand"}}},
            }));
            modify_secret(&volume).unwrap().name.to_string()
        };
        assert_eq!(secret(json!({NAME: "modify", NAMESPACE: "ns"})), "modify");
        assert_eq!(secret(json!({NAME: "modify"})), "expand");
        assert_eq!(secret(json!({NAMESPACE: "ns"})), "expand");
        assert_eq!(secret(json!({NAME: "modify", NAMESPACE: ""})), "expand");
        assert_eq!(modify_secret(&fixtures::volume(&json!({}))), None);
    }
}
