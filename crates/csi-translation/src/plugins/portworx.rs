//! Portworx.

use serde::{Deserialize, Serialize};

use crate::class::StorageClass;
use crate::plugin::Translate;
use crate::volume::is_false;
use crate::{CsiSource, CsiVolume, InTreeVolume, SecretRef, TranslationError, VolumeObject};

pub(crate) struct Portworx;

/// Names the secret with the token of the storage's user: parameter of a class, annotation of a volume.
const SECRET_NAME: &str = "openstorage.io/auth-secret-name";
/// Where that secret is.
const SECRET_NAMESPACE: &str = "openstorage.io/auth-secret-namespace";

/// The calls that get the secret, as the parameters of CSI classes name them.
const PURPOSES: [&str; 6] =
    ["provisioner", "controller-publish", "node-publish", "node-stage", "controller-expand", "node-expand"];

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    #[serde(rename = "volumeID")]
    volume_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fs_type: String,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
}

impl Portworx {
    pub(crate) const DRIVER: &str = "pxd.portworx.com";
    pub(crate) const SOURCE: &str = "portworxVolume";
}

impl Translate for Portworx {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let px: Source = volume.read()?;
        let secret = secret(&volume.object);
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle: px.volume_id,
            // The driver reads it from the volume itself.
            read_only: false,
            fs_type: px.fs_type,
            controller_publish_secret_ref: secret.clone(),
            node_stage_secret_ref: secret.clone(),
            node_publish_secret_ref: secret.clone(),
            controller_expand_secret_ref: secret.clone(),
            node_expand_secret_ref: secret,
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object: volume.object.clone() })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let px = Source {
            volume_id: csi.volume_handle.clone(),
            fs_type: csi.fs_type.clone(),
            read_only: csi.read_only,
        };
        InTreeVolume::with(Self::SOURCE, &px, volume.object.clone())
    }

    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        for (key, value) in std::mem::take(&mut class.parameters) {
            let suffix = match key.to_lowercase().as_str() {
                SECRET_NAME => "name",
                SECRET_NAMESPACE => "namespace",
                _ => {
                    class.parameters.insert(key, value);
                    continue;
                }
            };
            for purpose in PURPOSES {
                let key = format!("csi.storage.k8s.io/{purpose}-secret-{suffix}");
                class.parameters.insert(key, value.clone());
            }
        }
        Self::DRIVER.clone_into(&mut class.provisioner);
        Ok(class)
    }
}

/// The secret that the volume's annotations name, if both of them are there.
fn secret(object: &VolumeObject) -> Option<SecretRef> {
    let name = object.annotations.get(SECRET_NAME)?.clone();
    let namespace = object.annotations.get(SECRET_NAMESPACE)?.clone();
    Some(SecretRef { name, namespace })
}
