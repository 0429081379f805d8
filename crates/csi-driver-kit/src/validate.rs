//! What the CSI specification demands of every request, checked once for all drivers.
//!
//! A driver's own code sees only requests that passed. What depends on the driver's state (unknown volume,
//! incompatible capability) stays with the driver. The texts are those that the hostpath driver has always
//! answered; users find them in events.

mod controller;
mod group;
mod node;

use std::collections::BTreeMap;

use csi_client::csi::{CapacityRange, VolumeCapability, volume_capability};

/// A request that breaks the specification: INVALID_ARGUMENT with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<Invalid> for tonic::Status {
    fn from(error: Invalid) -> Self {
        Self::invalid_argument(error.0)
    }
}

/// A request that can be checked by itself.
pub trait Validate {
    /// Whether the request is one that the specification allows.
    fn validate(&self, limits: &Limits) -> Result<(), Invalid>;
}

/// Sizes that a driver accepts, in bytes. The default is the least that the specification lets a driver accept
/// (csi-proto 7), which is also the most that it lets a caller send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Strings that have no limit of their own.
    pub text: usize,
    /// Node identifiers.
    pub node_id: usize,
    /// Paths.
    pub path: usize,
    /// Keys and values of one map together.
    pub map: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: 128, node_id: 256, path: 4096, map: 4096 }
    }
}

type Checked = Result<(), Invalid>;

fn invalid(text: impl Into<String>) -> Checked {
    Err(Invalid(text.into()))
}

/// Refuses the empty value: proto3 cannot tell it from a missing one.
fn required(value: &str, text: &str) -> Checked {
    if value.is_empty() { invalid(text) } else { Ok(()) }
}

fn at_most(value: &str, limit: usize, field: &str) -> Checked {
    if value.len() > limit {
        return invalid(format!("{field} has {} bytes, more than the {limit} allowed", value.len()));
    }
    Ok(())
}

fn not_negative(value: i64, text: &str) -> Checked {
    if value < 0 { invalid(text) } else { Ok(()) }
}

impl Limits {
    /// An identifier made by the driver.
    fn id(&self, value: &str, field: &str) -> Checked {
        at_most(value, self.text, field)
    }

    /// A name chosen by the caller: bounded, and free of control characters except TAB, LF and CR.
    fn name(&self, value: &str) -> Checked {
        at_most(value, self.text, "name")?;
        match value.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            Some(found) => invalid(format!("name has the control character U+{:04X}", u32::from(found))),
            None => Ok(()),
        }
    }

    /// A path on the node: absolute and without parts that lead elsewhere.
    fn path(&self, value: &str, field: &str) -> Checked {
        at_most(value, self.path, field)?;
        if !value.starts_with('/') {
            return invalid(format!("{field} {value:?} must be an absolute path"));
        }
        if value.contains('\0') {
            return invalid(format!("{field} has a NUL character"));
        }
        if value.split('/').any(|part| part == "..") {
            return invalid(format!("{field} {value:?} must not have a \"..\" part"));
        }
        Ok(())
    }

    /// Parameters, contexts: bounded as a whole.
    fn map(&self, map: &BTreeMap<String, String>, field: &str) -> Checked {
        let size: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > self.map {
            return invalid(format!("{field} have {size} bytes, more than the {} allowed", self.map));
        }
        Ok(())
    }

    /// Secrets: bounded, with plain keys. Neither keys nor values go into the text.
    fn secrets(&self, secrets: &BTreeMap<String, String>) -> Checked {
        self.map(secrets, "secrets")?;
        let plain =
            |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !secrets.keys().all(plain) {
            return invalid("a key of secrets has other characters than letters, digits, '-', '_' and '.'");
        }
        Ok(())
    }

    /// One access type and one known access mode.
    fn capability(&self, capability: &VolumeCapability) -> Checked {
        use volume_capability::AccessType;
        match &capability.access_type {
            None => return invalid("cannot have both mount and block access type be undefined"),
            Some(AccessType::Block(_)) => {}
            Some(AccessType::Mount(mount)) => {
                at_most(&mount.fs_type, self.text, "fs_type")?;
                at_most(&mount.volume_mount_group, self.text, "volume_mount_group")?;
                let flags: usize = mount.mount_flags.iter().map(String::len).sum();
                if flags > self.map {
                    return invalid(format!(
                        "mount_flags have {flags} bytes, more than the {} allowed",
                        self.map
                    ));
                }
            }
        }
        let mode = capability.access_mode.map_or(0, |access| access.mode);
        if mode == 0 {
            return invalid("access mode missing in volume capability");
        }
        if volume_capability::access_mode::Mode::try_from(mode).is_err() {
            return invalid(format!("access mode {mode} of volume capability is unknown"));
        }
        Ok(())
    }

    /// The capabilities that one volume is to have together.
    fn capabilities(&self, capabilities: &[VolumeCapability]) -> Checked {
        use volume_capability::AccessType;
        capabilities.iter().try_for_each(|capability| self.capability(capability))?;
        let is_block = |c: &VolumeCapability| matches!(c.access_type, Some(AccessType::Block(_)));
        if capabilities.iter().any(is_block) && !capabilities.iter().all(is_block) {
            return invalid("cannot have both block and mount access type");
        }
        Ok(())
    }
}

/// Sizes that can be met at all.
fn capacity_range(range: Option<&CapacityRange>) -> Checked {
    let Some(range) = range else { return Ok(()) };
    if range.required_bytes < 0 || range.limit_bytes < 0 {
        return invalid("cannot have negative capacity");
    }
    if range.limit_bytes > 0 && range.required_bytes > range.limit_bytes {
        return invalid("capacity cannot exceed limit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};

    fn capability(access_type: Option<AccessType>, mode: i32) -> VolumeCapability {
        VolumeCapability { access_type, access_mode: Some(AccessMode { mode }) }
    }

    #[test]
    fn names() {
        let limits = Limits::default();
        limits.name("pvc-1 with\ttab and ünicode").unwrap();
        limits.name(&"a".repeat(128)).unwrap();
        assert!(limits.name(&"a".repeat(129)).is_err());
        for bad in ["nul\0", "bell\u{7}", "delete\u{7f}", "c1\u{85}", "vt\u{b}"] {
            assert!(limits.name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths() {
        let limits = Limits::default();
        limits.path("/var/lib/kubelet/pods/x/mount", "target_path").unwrap();
        limits.path("/odd..name/..x", "target_path").unwrap();
        for bad in ["relative/path", "/a/../b", "/a/..", "/nul\0"] {
            assert!(limits.path(bad, "target_path").is_err(), "{bad:?}");
        }
        assert!(limits.path(&format!("/{}", "a".repeat(4096)), "target_path").is_err());
    }

    #[test]
    fn maps_and_secrets() {
        let limits = Limits::default();
        let map = |key: &str, size: usize| BTreeMap::from([(key.to_owned(), "v".repeat(size))]);
        limits.map(&map("k", 4095), "parameters").unwrap();
        assert!(limits.map(&map("k", 4096), "parameters").is_err());
        limits.secrets(&map("user.name-1_x", 1)).unwrap();
        let refused = limits.secrets(&map("top secret", 5)).unwrap_err();
        assert!(!refused.0.contains("top"), "{refused}");
    }

    #[test]
    fn capabilities() {
        let limits = Limits::default();
        let mount = || Some(AccessType::Mount(MountVolume::default()));
        let block = || Some(AccessType::Block(BlockVolume {}));
        limits.capabilities(&[capability(mount(), 1), capability(mount(), 7)]).unwrap();
        let mixed = limits.capabilities(&[capability(mount(), 1), capability(block(), 1)]).unwrap_err();
        assert_eq!(mixed.0, "cannot have both block and mount access type");
        assert!(limits.capability(&capability(None, 1)).is_err());
        assert!(limits.capability(&capability(mount(), 0)).is_err());
        assert!(limits.capability(&capability(mount(), 12345)).is_err());
    }

    #[test]
    fn ranges() {
        let range = |required_bytes, limit_bytes| {
            capacity_range(Some(&CapacityRange { required_bytes, limit_bytes }))
        };
        range(0, 0).unwrap();
        range(5, 5).unwrap();
        range(5, 0).unwrap();
        assert_eq!(range(-1, 0).unwrap_err().0, "cannot have negative capacity");
        assert_eq!(range(0, -1).unwrap_err().0, "cannot have negative capacity");
        assert_eq!(range(6, 5).unwrap_err().0, "capacity cannot exceed limit");
    }
}
