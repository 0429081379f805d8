//! Google's persistent disks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PARTITION, attribute, is_zero, partition};
use crate::class::StorageClass;
use crate::error::RegionError;
use crate::plugin::Translate;
use crate::topology::{SEPARATOR, ZONE as ZONE_LABEL, ZONE_BETA};
use crate::volume::is_false;
use crate::{CsiSource, CsiVolume, InTreeVolume, TranslationError, VolumeObject, topology};

pub(crate) struct GcePd;

const ZONE: &str = "topology.gke.io/zone";
/// In the place of what the plugin never knew: the project, and the zone of a volume without label.
const UNSPECIFIED: &str = "UNSPECIFIED";
/// `projects`, project, `zones` or `regions`, place, `disks`, name.
const ELEMENTS: usize = 6;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    pd_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fs_type: String,
    #[serde(skip_serializing_if = "is_zero")]
    partition: i32,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
}

impl GcePd {
    pub(crate) const DRIVER: &str = "pd.csi.storage.gke.io";
    pub(crate) const SOURCE: &str = "gcePersistentDisk";
}

impl Translate for GcePd {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let disk: Source = volume.read()?;
        let volume_handle = handle(&volume.object, &disk.pd_name)?;
        let mut object = volume.object.clone();
        topology::to_csi(&mut object, ZONE);
        object.access_modes = access_modes(&volume.object.access_modes);
        let partition = if disk.partition == 0 { String::new() } else { disk.partition.to_string() };
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle,
            read_only: disk.read_only,
            fs_type: disk.fs_type,
            volume_attributes: attribute(PARTITION, partition),
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let disk = Source {
            pd_name: disk_name(&csi.volume_handle)?,
            fs_type: csi.fs_type.clone(),
            partition: partition(&csi.volume_attributes)?,
            read_only: csi.read_only,
        };
        let mut object = volume.object.clone();
        topology::to_in_tree_with_region(&mut object, ZONE, region)?;
        InTreeVolume::with(Self::SOURCE, &disk, object)
    }

    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        class.place_zones(ZONE)?;
        class.rename_fs_type();
        Ok(class)
    }

    fn repair(&self, handle: &str, node_id: &str) -> Result<String, TranslationError> {
        let [_, project, kind, place, _, disk] = elements("volume handle", handle)?;
        if project != UNSPECIFIED {
            return Ok(handle.to_owned());
        }
        let [_, node_project, _, node_zone, _, _] = elements("node handle", node_id)?;
        let place = match kind {
            "zones" if place == UNSPECIFIED => node_zone.to_owned(),
            "regions" if place == UNSPECIFIED => region(&[node_zone.to_owned()])
                .map_err(|error| TranslationError::RegionOfNode { zone: node_zone.to_owned(), error })?,
            "zones" | "regions" => place.to_owned(),
            other => return Err(TranslationError::Regionality(other.to_owned())),
        };
        Ok(join(node_project, kind, &place, disk))
    }
}

/// The handle, as far as the volume says where its disk is.
fn handle(object: &VolumeObject, disk: &str) -> Result<String, TranslationError> {
    let label = |key| object.labels.get(key).map(String::as_str).filter(|label| !label.is_empty());
    let zones: Vec<String> = label(ZONE_BETA)
        .or_else(|| label(ZONE_LABEL))
        .map(|label| label.split(SEPARATOR).map(str::to_owned).collect())
        .unwrap_or_default();
    Ok(match zones.as_slice() {
        [] => join(UNSPECIFIED, "zones", UNSPECIFIED, disk),
        [zone] => join(UNSPECIFIED, "zones", zone, disk),
        _ => join(UNSPECIFIED, "regions", &region(&zones).map_err(TranslationError::Regions)?, disk),
    })
}

fn join(project: &str, kind: &str, place: &str, disk: &str) -> String {
    format!("projects/{project}/{kind}/{place}/disks/{disk}")
}

fn disk_name(handle: &str) -> Result<String, TranslationError> {
    match handle.split('/').collect::<Vec<_>>().as_slice() {
        [_, _, _, _, _, name] => Ok((*name).to_owned()),
        _ => Err(TranslationError::DiskHandle(handle.to_owned())),
    }
}

/// The first six elements of a handle of a volume or a node.
fn elements<'h>(what: &'static str, handle: &'h str) -> Result<[&'h str; ELEMENTS], TranslationError> {
    let parts: Vec<&str> = handle.split('/').collect();
    let error = TranslationError::TooFewElements { what, got: parts.len(), wanted: ELEMENTS };
    parts.first_chunk::<ELEMENTS>().copied().ok_or(error)
}

/// The plugin let many write who shared one node's mount, and never checked a mix of reading and writing.
fn access_modes(modes: &[String]) -> Vec<String> {
    if modes.is_empty() {
        return Vec::new();
    }
    let has = |name: &str| modes.iter().any(|mode| mode == name);
    let only_read = has("ReadOnlyMany") && !has("ReadWriteOnce") && !has("ReadWriteMany");
    vec![if only_read { "ReadOnlyMany" } else { "ReadWriteOnce" }.to_owned()]
}

/// `us-central1-a` is in `us-central1`.
fn region(zones: &[String]) -> Result<String, RegionError> {
    let regions: Result<BTreeSet<String>, RegionError> = zones
        .iter()
        .map(|zone| match zone.split('-').collect::<Vec<_>>().as_slice() {
            [locale, region, _] => Ok(format!("{locale}-{region}")),
            _ => Err(RegionError::GcpZone(zone.clone())),
        })
        .collect();
    topology::only(regions?)
}
