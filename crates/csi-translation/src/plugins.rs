//! One module per plugin. They differ in everything but the outline: the source as the API has it, then the three ways.

mod aws_ebs;
mod azure_disk;
mod azure_file;
mod cinder;
mod gce_pd;
mod portworx;
mod vsphere;

pub(crate) use aws_ebs::AwsEbs;
pub(crate) use azure_disk::AzureDisk;
pub(crate) use azure_file::AzureFile;
pub(crate) use cinder::Cinder;
pub(crate) use gce_pd::GcePd;
pub(crate) use portworx::Portworx;
pub(crate) use vsphere::Vsphere;

use std::collections::BTreeMap;

use crate::TranslationError;

/// The attribute in which the two oldest plugins keep the number of a partition.
const PARTITION: &str = "partition";

/// The partition that the attributes name; 0 is the whole disk.
fn partition(attributes: &BTreeMap<String, String>) -> Result<i32, TranslationError> {
    match attributes.get(PARTITION).map(String::as_str) {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| TranslationError::Partition(text.to_owned())),
    }
}

/// A zero is left out of JSON, as Go does it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// A map of one entry.
fn attribute(key: &str, value: String) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value)])
}
