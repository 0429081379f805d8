//! OpenStack's Cinder.

use serde::{Deserialize, Serialize};

use crate::class::StorageClass;
use crate::plugin::Translate;
use crate::volume::is_false;
use crate::{CsiSource, CsiVolume, InTreeVolume, TranslationError, topology};

pub(crate) struct Cinder;

const ZONE: &str = "topology.cinder.csi.openstack.org/zone";

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

impl Cinder {
    pub(crate) const DRIVER: &str = "cinder.csi.openstack.org";
    pub(crate) const SOURCE: &str = "cinder";
}

impl Translate for Cinder {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let cinder: Source = volume.read()?;
        let mut object = volume.object.clone();
        topology::to_csi(&mut object, ZONE);
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle: cinder.volume_id,
            read_only: cinder.read_only,
            fs_type: cinder.fs_type,
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let cinder = Source {
            volume_id: csi.volume_handle.clone(),
            fs_type: csi.fs_type.clone(),
            read_only: csi.read_only,
        };
        let mut object = volume.object.clone();
        topology::to_in_tree(&mut object, ZONE);
        InTreeVolume::with(Self::SOURCE, &cinder, object)
    }

    // The parameter `availability` goes to the driver as it is: it is no zone of the nodes.
    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        class.rename_fs_type();
        class.rename_zones(ZONE);
        Ok(class)
    }
}
