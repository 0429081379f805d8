//! Azure's managed disks.

use serde::{Deserialize, Serialize};

use super::attribute;
use crate::class::StorageClass;
use crate::plugin::Translate;
use crate::{CsiSource, CsiVolume, InTreeVolume, TranslationError};

pub(crate) struct AzureDisk;

const ZONE: &str = "topology.disk.csi.azure.com/zone";
const MANAGED: &str = "Managed";
const KIND: &str = "kind";
const CACHING_MODE: &str = "cachingmode";
const FS_TYPE: &str = "fstype";
const MANAGED_PATH: &str = "/microsoft.compute/disks/";
const UNMANAGED_PATH: &str = "/vhds/";

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    disk_name: String,
    #[serde(rename = "diskURI")]
    disk_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caching_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fs_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

impl AzureDisk {
    pub(crate) const DRIVER: &str = "disk.csi.azure.com";
    pub(crate) const SOURCE: &str = "azureDisk";
}

impl Translate for AzureDisk {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let disk: Source = volume.read()?;
        if let Some(kind) = disk.kind.filter(|kind| !kind.eq_ignore_ascii_case(MANAGED)) {
            return Err(TranslationError::AzureDiskKind(kind));
        }
        let mut volume_attributes = attribute(KIND, MANAGED.to_owned());
        volume_attributes.extend(disk.caching_mode.map(|mode| (CACHING_MODE.to_owned(), mode)));
        volume_attributes.extend(disk.fs_type.clone().map(|fs_type| (FS_TYPE.to_owned(), fs_type)));
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle: disk.disk_uri,
            read_only: disk.read_only.unwrap_or_default(),
            fs_type: disk.fs_type.unwrap_or_default(),
            volume_attributes,
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object: volume.object.clone() })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let disk = Source {
            disk_name: disk_name(&csi.volume_handle)?,
            disk_uri: csi.volume_handle.clone(),
            caching_mode: csi.attribute(CACHING_MODE),
            fs_type: Some(csi.attribute(FS_TYPE).unwrap_or_else(|| csi.fs_type.clone())),
            read_only: Some(csi.read_only),
            kind: Some(MANAGED.to_owned()),
        };
        InTreeVolume::with(Self::SOURCE, &disk, volume.object.clone())
    }

    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        class.place_zones(ZONE)?;
        // Numbers are fault domains of regions without zones; the driver calls that place the empty zone.
        let zones =
            class.allowed_topologies.iter_mut().flatten().filter(|requirement| requirement.key == ZONE);
        for value in zones.flat_map(|requirement| &mut requirement.values) {
            if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
                value.clear();
            }
        }
        Ok(class)
    }
}

/// What follows the path of disks in the handle. Azure does not care about case.
fn disk_name(uri: &str) -> Result<String, TranslationError> {
    let lower = uri.to_ascii_lowercase();
    let is_managed = !lower.starts_with("http");
    let marker = if is_managed { MANAGED_PATH } else { UNMANAGED_PATH };
    let at = lower.rfind(marker).filter(|at| !is_managed || lower[..*at].contains("/subscriptions/"));
    let name = at.and_then(|at| uri.get(at + marker.len()..)).filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| {
        let format = if is_managed {
            ".*/subscriptions/(?:.*)/resourceGroups/(?:.*)/providers/Microsoft.Compute/disks/(.+)"
        } else {
            "http(?:.*)://(?:.*)/vhds/(.+)"
        };
        TranslationError::AzureDiskUri(uri.to_owned(), format)
    })
}

impl CsiSource {
    /// An attribute by its lower-case name, unless it is empty. Drivers spell them in any case.
    pub(super) fn attribute(&self, lower: &str) -> Option<String> {
        let mut found = self.volume_attributes.iter().filter(|(key, _)| key.to_lowercase() == lower);
        found.next().map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}
