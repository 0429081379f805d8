//! Every decision that needs no look at the disk: pure functions from a request and the state to what is to be done.

use std::collections::BTreeMap;

use csi_client::csi::volume_capability::AccessType as Access;
use csi_client::csi::volume_content_source::Type as Source;
use csi_client::csi::{CapacityRange, CreateVolumeRequest, VolumeCapability};

use csi_driver_kit::filesystem::Kind;

use crate::config::Config;
use crate::data::Shape;
use crate::error::Error;
use crate::state::{AccessType, State, Volume};
use sidecar_core::quantity::binary_si;

/// The parameter that names a capacity pool.
pub const KIND: &str = "kind";

/// The parameter that asks for a volume with a filesystem of its own, and of its own size, instead of a directory of
/// the node's filesystem. Upstream's driver ignores it.
pub const FILESYSTEM: &str = "filesystem";

/// The parameter of snapshot classes.
const IGNORE_FAILED_READ: &str = "ignoreFailedRead";

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
    /// The filesystem to make in the image of a mounted volume; `None` for a directory.
    pub filesystem: Option<Kind>,
    /// What it is to be filled with.
    pub source: Option<Source>,
    /// Opaque parameters, echoed as the volume's context.
    pub parameters: BTreeMap<String, String>,
}

impl Wanted {
    /// Reads a validated request.
    pub fn from_request(request: CreateVolumeRequest, config: &Config) -> Result<Self, Error> {
        check_mutable_parameters(&request.mutable_parameters, config)?;
        if request.volume_content_source.as_ref().is_some_and(|source| source.r#type.is_none()) {
            return Err(Error::Invalid("volume content source has neither a snapshot nor a volume".into()));
        }
        let range = request.capacity_range.unwrap_or_default();
        let access_type = access_type(&request.volume_capabilities);
        Ok(Self {
            access_type,
            filesystem: filesystem(access_type, &request.parameters)?,
            name: request.name,
            size: size_of(&range),
            limit: range.limit_bytes,
            source: request.volume_content_source.and_then(|source| source.r#type),
            parameters: request.parameters,
        })
    }

    /// The capacity pool that was asked for; empty for any.
    pub fn kind(&self) -> &str {
        self.parameters.get(KIND).map_or("", String::as_str)
    }
}

/// A class may serve block volumes as well, which have no filesystem.
fn filesystem(access_type: AccessType, parameters: &BTreeMap<String, String>) -> Result<Option<Kind>, Error> {
    match (access_type, parameters.get(FILESYSTEM).map(String::as_str)) {
        (AccessType::Block, _) | (_, None | Some("")) => Ok(None),
        (AccessType::Mount, Some(name)) => Kind::named(name).map(Some).ok_or_else(|| {
            Error::Invalid(format!(
                "parameter {FILESYSTEM:?}: this driver cannot make the filesystem {name:?}"
            ))
        }),
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
    check_same_source(existing, wanted.source.as_ref())
}

/// Upstream's driver means to record where a volume came from, and does not: of its volumes nothing is known.
fn check_same_source(existing: &Volume, wanted: Option<&Source>) -> Result<(), Error> {
    let (snapshot, volume) = match wanted {
        Some(Source::Snapshot(source)) => (source.snapshot_id.as_str(), ""),
        Some(Source::Volume(source)) => ("", source.volume_id.as_str()),
        None => ("", ""),
    };
    let differs =
        |kept: &str, asked: &str| kept != asked && (existing.parameters.is_some() || !kept.is_empty());
    if differs(&existing.parent_snapshot, snapshot) {
        return Err(Error::Exists("existing volume source snapshot id not matching".into()));
    }
    if differs(&existing.parent_volume, volume) {
        return Err(Error::Exists("existing volume source volume id not matching".into()));
    }
    Ok(())
}

/// What a new volume is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `snapshot` or `volume`, for messages.
    pub what: &'static str,
    /// Its handle.
    pub id: String,
    /// Bytes.
    pub size: i64,
    /// Directory or image.
    pub access_type: AccessType,
    /// The filesystem in the image.
    pub filesystem: Option<Kind>,
}

/// The size of a volume that is filled from `origin`: what was asked for, or else as large as the origin.
pub fn filled_size(wanted: &Wanted, origin: &Origin) -> Result<i64, Error> {
    let Origin { what, id, size, .. } = origin;
    if origin.access_type != wanted.access_type {
        return Err(Error::Invalid(format!("{what} {id} mode is not compatible with requested mode")));
    }
    if origin.filesystem != wanted.filesystem {
        let has = origin.filesystem.map_or("none", Kind::name);
        let asked = wanted.filesystem.map_or("none", Kind::name);
        let text = format!("{what} {id} has the filesystem {has}, the request has the parameter for {asked}");
        return Err(Error::Invalid(text));
    }
    let asked = if wanted.size == 0 { *size } else { wanted.size };
    if *size > asked || (wanted.limit > 0 && *size > wanted.limit) {
        let text = format!("{what} {id} size {size} is greater than requested volume size {asked}");
        return Err(Error::OutOfRange(text));
    }
    Ok(asked)
}

/// Whether files that cannot be read are to be left out of a snapshot. Images have no files.
pub fn ignore_failed_read(
    volume: &Volume,
    parameters: &BTreeMap<String, String>,
    class: &str,
) -> Result<bool, Error> {
    let Some(text) = parameters.get(IGNORE_FAILED_READ).filter(|_| !volume.has_image()) else {
        return Ok(false);
    };
    match text.as_str() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Error::Invalid(format!(
            "invalid {class} class parameters: parameter {IGNORE_FAILED_READ}: {text:?} is neither true nor false"
        ))),
    }
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

/// What the data of a new volume is to be.
pub(crate) fn shape(volume: &Volume, limit: i64) -> Result<Shape, Error> {
    match volume.filesystem() {
        Some(kind) => {
            let size = volume.size.max(i64::try_from(kind.smallest()).unwrap_or(i64::MAX));
            image_size(size, limit).map(Shape::Image)
        }
        None if volume.access_type == AccessType::Block => image_size(volume.size, limit).map(Shape::Image),
        None => Ok(Shape::Directory),
    }
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

/// Whether a volume of this size is allowed at all.
pub fn check_expandable(wanted: i64, max: i64) -> Result<(), Error> {
    if wanted > max {
        return Err(Error::OutOfRange(format!("Requested capacity {wanted} exceeds maximum allowed {max}")));
    }
    Ok(())
}

/// The new size of a volume: never smaller than it is.
pub fn expanded(
    state: &State,
    config: &Config,
    volume: &Volume,
    range: &CapacityRange,
) -> Result<i64, Error> {
    let wanted = range.required_bytes;
    if range.limit_bytes > 0 && volume.size > range.limit_bytes {
        let (size, limit) = (volume.size, range.limit_bytes);
        return Err(Error::OutOfRange(format!("the volume has {size} bytes already, more than {limit}")));
    }
    let more = wanted.saturating_sub(volume.size);
    if more > 0
        && let Some(total) = config.capacity.get(&volume.kind)
        && state.used(&volume.kind).saturating_add(more) > *total
    {
        return Err(Error::NoCapacity(format!(
            "requested capacity {wanted} exceeds remaining capacity for \"{}\", {} out of {} already used",
            volume.kind,
            binary_si(state.used(&volume.kind)),
            binary_si(*total)
        )));
    }
    Ok(volume.size.max(wanted))
}

/// Whether one more volume can be attached to the node.
pub fn check_attach_limit(state: &State, config: &Config) -> Result<(), Error> {
    let attached = state.volumes().filter(|volume| volume.attached).count();
    let full = usize::try_from(config.attach_limit).is_ok_and(|limit| limit > 0 && attached >= limit);
    if full {
        let node = &config.node_id;
        return Err(Error::NoCapacity(format!("Cannot attach any more volumes to this node ('{node}')")));
    }
    Ok(())
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
    Ok(cut_page(total, start, max_entries, 1))
}

/// The same for snapshots, whose tokens count from 0 and must not be past the end.
pub fn snapshot_page(total: usize, token: &str, max_entries: i32) -> Result<Page, Error> {
    let start = match token {
        "" => 0,
        token => match token.parse::<u32>().ok().and_then(|index| usize::try_from(index).ok()) {
            Some(index) if index <= total => index,
            Some(index) => {
                return Err(Error::BadToken(format!("startingToken={index} > len(snapshots)={total}")));
            }
            None => return Err(Error::BadToken(format!("startingToken {token:?} is not a number"))),
        },
    };
    Ok(cut_page(total, start, max_entries, 0))
}

fn cut_page(total: usize, start: usize, max_entries: i32, first: usize) -> Page {
    let left = total.saturating_sub(start);
    let count = match usize::try_from(max_entries) {
        Ok(max) if max > 0 => left.min(max),
        _ => left,
    };
    let next = if count < left { (start + count + first).to_string() } else { String::new() };
    Page { start, count, next }
}

#[cfg(test)]
mod tests;
