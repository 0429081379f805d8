//! Every decision that needs no look at the disk: pure functions from a request and the state to what is to be done.

use std::collections::BTreeMap;

use csi_client::csi::volume_capability::AccessType as Access;
use csi_client::csi::{CapacityRange, CreateVolumeRequest, VolumeCapability};

use crate::config::Config;
use crate::error::Error;
use crate::state::{AccessType, State, Volume};
use sidecar_core::quantity::binary_si;

/// The parameter that names a capacity pool.
pub const KIND: &str = "kind";

/// Images are made of whole pages, which every block size divides.
const IMAGE_UNIT: i64 = 4096;

/// The size of an image when no size is asked for: a block device without blocks is of no use.
const SMALLEST_IMAGE: i64 = 1 << 20;

/// A volume as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Name, the key of idempotency.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// The most bytes that will do; 0 for no limit.
    pub limit: i64,
    /// Directory or image.
    pub access_type: AccessType,
    /// Opaque parameters, echoed as the volume's context.
    pub parameters: BTreeMap<String, String>,
}

impl Wanted {
    /// Reads a validated request.
    pub fn from_request(request: CreateVolumeRequest, config: &Config) -> Result<Self, Error> {
        check_mutable_parameters(&request.mutable_parameters, config)?;
        if request.volume_content_source.is_some() {
            return Err(Error::Unsupported(
                "creating a volume from a snapshot or volume is not supported".into(),
            ));
        }
        let range = request.capacity_range.unwrap_or_default();
        Ok(Self {
            access_type: access_type(&request.volume_capabilities),
            name: request.name,
            size: size_of(&range),
            limit: range.limit_bytes,
            parameters: request.parameters,
        })
    }

    /// The capacity pool that was asked for; empty for any.
    pub fn kind(&self) -> &str {
        self.parameters.get(KIND).map_or("", String::as_str)
    }
}

/// What is required, or else the limit.
fn size_of(range: &CapacityRange) -> i64 {
    if range.required_bytes > 0 { range.required_bytes } else { range.limit_bytes }
}

/// An image if any capability says so. Validation has refused mixtures.
pub fn access_type(capabilities: &[VolumeCapability]) -> AccessType {
    let block = |capability: &VolumeCapability| matches!(capability.access_type, Some(Access::Block(_)));
    if capabilities.iter().any(block) { AccessType::Block } else { AccessType::Mount }
}

/// Whether mutable parameters may be given at all, and these in particular.
pub fn check_mutable_parameters(parameters: &BTreeMap<String, String>, config: &Config) -> Result<(), Error> {
    if parameters.is_empty() {
        return Ok(());
    }
    if !config.enable_modify {
        return Err(Error::Invalid("unsupported capability MODIFY_VOLUME".into()));
    }
    let Some(accepted) = &config.accepted_mutable_parameters else { return Ok(()) };
    let refused: Vec<_> =
        parameters.keys().filter(|key| !accepted.contains(key)).map(String::as_str).collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!("invalid parameters: [{}]", refused.join(" "))))
}

/// Whether the volume that has the name already is the one that is asked for.
pub fn check_same(existing: &Volume, wanted: &Wanted) -> Result<(), Error> {
    let name = &wanted.name;
    let too_large = wanted.limit > 0 && existing.size > wanted.limit;
    if existing.size < wanted.size || too_large {
        return Err(Error::Exists(format!(
            "Volume with the same name: {name} but with different size already exist"
        )));
    }
    if existing.access_type != wanted.access_type || existing.ephemeral {
        let text = format!("Volume with the same name: {name} but with different access type already exist");
        return Err(Error::Exists(text));
    }
    // Upstream did not record parameters, only what came out of one of them.
    let other = match &existing.parameters {
        Some(parameters) => *parameters != wanted.parameters,
        None => !wanted.kind().is_empty() && wanted.kind() != existing.kind,
    };
    if other {
        let text = format!("Volume with the same name: {name} but with different parameters already exist");
        return Err(Error::Exists(text));
    }
    Ok(())
}

/// Finds the capacity pool for a new volume (sheet, 5.3); empty without capacity simulation.
pub fn place(state: &State, config: &Config, size: i64, kind: &str) -> Result<String, Error> {
    if size > config.max_volume_size {
        let max = config.max_volume_size;
        return Err(Error::OutOfRange(format!("Requested capacity {size} exceeds maximum allowed {max}")));
    }
    if config.capacity.is_empty() {
        if kind.is_empty() {
            return Ok(String::new());
        }
        let text = format!("capacity tracking disabled, specifying kind \"{kind}\" is invalid");
        return Err(Error::Invalid(text));
    }
    if kind.is_empty() {
        let fits = |(kind, total): &(&String, &i64)| state.used(kind).saturating_add(size) <= **total;
        return config.capacity.iter().find(fits).map(|(kind, _)| kind.clone()).ok_or_else(|| {
            Error::NoCapacity(format!(
                "requested capacity {size} of arbitrary storage exceeds all remaining capacity"
            ))
        });
    }
    let total = config.capacity.get(kind).copied().unwrap_or(0);
    let used = state.used(kind);
    if used.saturating_add(size) > total {
        return Err(Error::NoCapacity(format!(
            "requested capacity {size} exceeds remaining capacity for \"{kind}\", {} out of {} already used",
            binary_si(used),
            binary_si(total)
        )));
    }
    Ok(kind.to_owned())
}

/// Bytes of a pool that are left; never negative, whatever the pool was shrunk to.
pub fn available(state: &State, config: &Config, kind: &str) -> i64 {
    if config.capacity.is_empty() {
        return config.max_volume_size;
    }
    let total = config.capacity.get(kind).copied().unwrap_or(0);
    total.saturating_sub(state.used(kind)).max(0)
}

/// The size of the image for a volume of `size` bytes: no smaller, and never above the limit.
pub fn image_size(size: i64, limit: i64) -> Result<u64, Error> {
    let least = if size > 0 { size } else { SMALLEST_IMAGE };
    let units = least / IMAGE_UNIT + i64::from(least % IMAGE_UNIT != 0);
    let bytes =
        units.checked_mul(IMAGE_UNIT).filter(|bytes| limit == 0 || *bytes <= limit).ok_or_else(|| {
            let text =
                format!("a block volume of {least} to {limit} bytes has no multiple of {IMAGE_UNIT} bytes");
            Error::OutOfRange(text)
        })?;
    u64::try_from(bytes).map_err(|_| Error::OutOfRange(format!("Requested capacity {size} is negative")))
}

/// One page of a list: which entries, and the token of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Index of the first entry.
    pub start: usize,
    /// Number of entries.
    pub count: usize,
    /// Where the next page starts; empty on the last page.
    pub next: String,
}

/// Reads a token (the 1-based index of a page's first entry, as upstream has it) and cuts the page.
///
/// A token past the end is an empty page: volumes can have been deleted since it was given out.
pub fn page(total: usize, token: &str, max_entries: i32) -> Result<Page, Error> {
    let start = match token {
        "" => 0,
        token => {
            let number: i64 = token
                .parse()
                .map_err(|_| Error::BadToken("The type of startingToken should be integer".into()))?;
            let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
            index.ok_or_else(|| Error::BadToken(format!("startingToken {number} should be at least 1")))?
        }
    };
    let left = total.saturating_sub(start);
    let count = match usize::try_from(max_entries) {
        Ok(max) if max > 0 => left.min(max),
        _ => left,
    };
    let next = if count < left { (start + count + 1).to_string() } else { String::new() };
    Ok(Page { start, count, next })
}

#[cfg(test)]
mod tests;
