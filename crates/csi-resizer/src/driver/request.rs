//! `ControllerExpandVolume` and `ControllerModifyVolume` requests (sheet 6.2, 6.3).

use std::collections::BTreeMap;

use csi_client::access_mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_client::csi::{
    CapacityRange, ControllerExpandVolumeRequest, ControllerModifyVolumeRequest, VolumeCapability,
};
use sidecar_core::objects::{SecretRef, VolumeMode};

use crate::policy::source::Source;

/// The request to make a volume at least this large. Fails if no capability describes the volume.
pub fn expand(
    volume: &str,
    source: &Source,
    required_bytes: i64,
    secrets: BTreeMap<String, String>,
    single_node_multi_writer: bool,
) -> Result<ControllerExpandVolumeRequest, String> {
    let capability = capability(source, single_node_multi_writer)
        .map_err(|problem| format!("failed to get capabilities of volume {volume} with {problem}"))?;
    Ok(ControllerExpandVolumeRequest {
        volume_id: source.handle.clone(),
        capacity_range: Some(CapacityRange { required_bytes, limit_bytes: 0 }),
        secrets,
        volume_capability: Some(capability),
    })
}

fn capability(source: &Source, single_node_multi_writer: bool) -> Result<VolumeCapability, String> {
    let modes: Vec<&str> = source.access_modes.iter().map(String::as_str).collect();
    let mode = access_mode(&modes, single_node_multi_writer).map_err(|error| error.to_string())?;
    let access_type = match source.volume_mode {
        Some(VolumeMode::Block) => AccessType::Block(BlockVolume {}),
        _ => AccessType::Mount(MountVolume {
            fs_type: source.fs_type.clone(),
            mount_flags: source.mount_options.clone(),
            ..MountVolume::default()
        }),
    };
    Ok(VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(access_type),
    })
}

/// The request to apply a class.
pub fn modify(
    handle: &str,
    secrets: BTreeMap<String, String>,
    mutable_parameters: BTreeMap<String, String>,
) -> ControllerModifyVolumeRequest {
    ControllerModifyVolumeRequest { volume_id: handle.to_owned(), secrets, mutable_parameters }
}

/// Why a secret could not be had.
pub fn secret_problem(secret: &SecretRef, error: &str) -> String {
    format!("error getting secret {} in namespace {}: {error}", secret.name, secret.namespace)
}

#[cfg(test)]
mod tests {
    use csi_client::csi::volume_capability::access_mode::Mode;

    use super::*;

    fn source(modes: &[&str]) -> Source {
        Source {
            handle: "handle".into(),
            access_modes: modes.iter().map(|mode| (*mode).to_owned()).collect(),
            ..Source::default()
        }
    }

    fn mode(modes: &[&str], multi_writer: bool) -> Result<Mode, String> {
        let request = expand("pv", &source(modes), 1, BTreeMap::new(), multi_writer)?;
        Ok(request.volume_capability.unwrap().access_mode.unwrap().mode())
    }

    #[test]
    fn access_mode_matrix() {
        let (rwo, rwx, rox, rwop) = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod");
        let rows = [
            (&[rwop][..], Some(Mode::SingleNodeWriter), Some(Mode::SingleNodeSingleWriter)),
            (&[rwop, rwo], None, None),
            (&[rwx], Some(Mode::MultiNodeMultiWriter), Some(Mode::MultiNodeMultiWriter)),
            (&[rox, rwo, rwx], Some(Mode::MultiNodeMultiWriter), Some(Mode::MultiNodeMultiWriter)),
            (&[rox, rwo], None, None),
            (&[rox], Some(Mode::MultiNodeReaderOnly), Some(Mode::MultiNodeReaderOnly)),
            (&[rwo], Some(Mode::SingleNodeWriter), Some(Mode::SingleNodeMultiWriter)),
            (&[], None, None),
        ];
        for (modes, without, with) in rows {
            assert_eq!(mode(modes, false).ok(), without, "{modes:?}");
            assert_eq!(mode(modes, true).ok(), with, "{modes:?}");
        }
        assert!(mode(&[], false).unwrap_err().starts_with("failed to get capabilities of volume pv with "));
    }

    #[test]
    fn file_system_and_mount_options_pass_through() {
        let source = Source {
            fs_type: "ext3".into(),
            mount_options: vec!["a".into(), "b=c".into()],
            ..source(&["ReadWriteOnce"])
        };
        let request = expand("pv", &source, 5, BTreeMap::new(), false).unwrap();
        assert_eq!(request.capacity_range, Some(CapacityRange { required_bytes: 5, limit_bytes: 0 }));
        let capability = request.volume_capability.unwrap();
        let Some(AccessType::Mount(mount)) = capability.access_type else { panic!("{capability:?}") };
        assert_eq!((&*mount.fs_type, &*mount.volume_mount_group), ("ext3", ""));
        assert_eq!(mount.mount_flags, ["a", "b=c"]);
    }

    #[test]
    fn block_volumes_have_no_file_system() {
        let source = Source {
            volume_mode: Some(VolumeMode::Block),
            fs_type: "x".into(),
            ..source(&["ReadWriteOnce"])
        };
        let capability = expand("pv", &source, 5, BTreeMap::new(), false).unwrap().volume_capability.unwrap();
        assert_eq!(capability.access_type, Some(AccessType::Block(BlockVolume {})));
    }
}
