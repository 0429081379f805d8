//! Amazon EBS.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PARTITION, attribute, is_zero, partition};
use crate::class::StorageClass;
use crate::error::RegionError;
use crate::plugin::Translate;
use crate::volume::is_false;
use crate::{CsiSource, CsiVolume, InTreeVolume, TranslationError, topology};

pub(crate) struct AwsEbs;

const ZONE: &str = "topology.ebs.csi.aws.com/zone";
const SCHEME: &str = "aws://";
const IOPS_PER_GB: &str = "iopspergb";
/// Tells the driver to raise the rate to its minimum instead of failing, as the plugin did.
const ALLOW_IOPS_INCREASE: &str = "allowautoiopspergbincrease";

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    #[serde(rename = "volumeID")]
    volume_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fs_type: String,
    #[serde(skip_serializing_if = "is_zero")]
    partition: i32,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
}

impl AwsEbs {
    pub(crate) const DRIVER: &str = "ebs.csi.aws.com";
    pub(crate) const SOURCE: &str = "awsElasticBlockStore";
}

impl Translate for AwsEbs {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let ebs: Source = volume.read()?;
        let mut object = volume.object.clone();
        topology::to_csi(&mut object, ZONE);
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle: volume_id(&ebs.volume_id)?,
            read_only: ebs.read_only,
            fs_type: ebs.fs_type,
            volume_attributes: attribute(PARTITION, ebs.partition.to_string()),
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let ebs = Source {
            volume_id: csi.volume_handle.clone(),
            fs_type: csi.fs_type.clone(),
            partition: partition(&csi.volume_attributes)?,
            read_only: csi.read_only,
        };
        let mut object = volume.object.clone();
        topology::to_in_tree_with_region(&mut object, ZONE, region)?;
        InTreeVolume::with(Self::SOURCE, &ebs, object)
    }

    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        class.place_zones(ZONE)?;
        class.rename_fs_type();
        if class.parameters.keys().any(|key| key.eq_ignore_ascii_case(IOPS_PER_GB)) {
            class.parameters.insert(ALLOW_IOPS_INCREASE.to_owned(), "true".to_owned());
        }
        Ok(class)
    }
}

/// The plugin takes a bare id or a URL that ends in one.
fn volume_id(id: &str) -> Result<String, TranslationError> {
    let Some(rest) = id.strip_prefix(SCHEME) else { return Ok(id.to_owned()) };
    // What stands between the scheme and the next slash is a zone, and may be empty.
    let path = rest.split_once('/').map_or("", |(_zone, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.starts_with("vol-") && !path.contains('/') {
        Ok(path.to_owned())
    } else {
        Err(TranslationError::EbsVolumeId(id.to_owned()))
    }
}

/// `us-west-2a` and `us-gov-east-1a` lose their letter; local zones (`us-west-2-lax-1a`) and those of carriers
/// (`us-east-1-wl1-bos-wlz-1`) begin with their region.
fn region(zones: &[String]) -> Result<String, RegionError> {
    let regions: Result<BTreeSet<String>, RegionError> =
        zones.iter().map(|zone| region_of(zone).ok_or_else(|| RegionError::AwsZone(zone.clone()))).collect();
    topology::only(regions?)
}

fn region_of(zone: &str) -> Option<String> {
    let parts: Vec<&str> = zone.split('-').collect();
    match parts.as_slice() {
        [.., last] if matches!(parts.len(), 3 | 4) && last.len() == 2 => {
            let mut kept = zone.to_owned();
            kept.pop();
            Some(kept)
        }
        [continent, direction, number, _, _] | [continent, direction, number, _, _, _, _] => {
            Some([*continent, *direction, *number].join("-"))
        }
        _ => None,
    }
}
