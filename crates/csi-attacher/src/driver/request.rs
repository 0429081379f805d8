//! `ControllerPublishVolume` and `ControllerUnpublishVolume` requests (sheet 6, 6.1).

use std::collections::BTreeMap;

use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest, VolumeCapability};

use super::Capabilities;
use crate::policy::failure::Failure;
use crate::policy::target::Target;

/// How the volume is going to be used. `default_fs_type` is for mounted volumes that name no file system.
pub fn capability(
    target: &Target,
    default_fs_type: &str,
    capabilities: Capabilities,
) -> Result<VolumeCapability, Failure> {
    let modes: Vec<&str> = target.access_modes.iter().map(String::as_str).collect();
    let mode = csi_client::access_mode(&modes, capabilities.single_node_multi_writer)
        .map_err(|error| Failure::new(error.to_string()))?;
    let fs_type = if target.fs_type.is_empty() { default_fs_type } else { &target.fs_type };
    let access_type = if target.block {
        AccessType::Block(BlockVolume {})
    } else {
        AccessType::Mount(MountVolume {
            fs_type: fs_type.to_owned(),
            mount_flags: target.mount_options.clone(),
            ..MountVolume::default()
        })
    };
    Ok(VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(access_type),
    })
}

/// The request to attach.
pub fn publish(
    target: &Target,
    node_id: &str,
    capability: VolumeCapability,
    secrets: BTreeMap<String, String>,
    capabilities: Capabilities,
) -> ControllerPublishVolumeRequest {
    ControllerPublishVolumeRequest {
        volume_id: target.handle.clone(),
        node_id: node_id.to_owned(),
        volume_capability: Some(capability),
        readonly: target.read_only && capabilities.publish_readonly,
        secrets,
        volume_context: target.attributes.clone(),
    }
}

/// The request to detach.
pub fn unpublish(
    handle: &str,
    node_id: &str,
    secrets: BTreeMap<String, String>,
) -> ControllerUnpublishVolumeRequest {
    ControllerUnpublishVolumeRequest { volume_id: handle.to_owned(), node_id: node_id.to_owned(), secrets }
}

#[cfg(test)]
mod tests {
    use csi_client::csi::volume_capability::access_mode::Mode;

    use super::*;

    fn target(modes: &[&str]) -> Target {
        Target { access_modes: modes.iter().map(|mode| (*mode).to_owned()).collect(), ..Target::default() }
    }

    fn mode(modes: &[&str], single_node_multi_writer: bool) -> Option<Mode> {
        let capabilities = Capabilities { single_node_multi_writer, ..Capabilities::default() };
        let capability = capability(&target(modes), "", capabilities).ok()?;
        capability.access_mode.map(|access| access.mode())
    }

    #[test]
    fn capabilities_by_access_modes() {
        let (rwx, rox, rwo, rwop) = ("ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce", "ReadWriteOncePod");
        let plain: [(&[&str], _); 6] = [
            (&[rwx], Some(Mode::MultiNodeMultiWriter)),
            (&[rwo], Some(Mode::SingleNodeWriter)),
            (&[rox], Some(Mode::MultiNodeReaderOnly)),
            (&[rwx, rox, rwo], Some(Mode::MultiNodeMultiWriter)),
            (&[rox, rwo], None),
            (&[], None),
        ];
        for (modes, expected) in plain {
            assert_eq!(mode(modes, false), expected, "{modes:?}");
        }
        let multi_writer: [(&[&str], _); 8] = [
            (&[rwx], Some(Mode::MultiNodeMultiWriter)),
            (&[rox], Some(Mode::MultiNodeReaderOnly)),
            (&[rwo], Some(Mode::SingleNodeMultiWriter)),
            (&[rwop], Some(Mode::SingleNodeSingleWriter)),
            (&[rox, rwo], None),
            (&[rox, rwop], None),
            (&[rwo, rwop], None),
            (&[], None),
        ];
        for (modes, expected) in multi_writer {
            assert_eq!(mode(modes, true), expected, "{modes:?}");
        }
    }

    #[test]
    fn capabilities_block_fs_mount_options() {
        let of = |target: Target| capability(&target, "ext4", Capabilities::default()).unwrap().access_type;
        let rwx = target(&["ReadWriteMany"]);
        let mount = |fs_type: &str, flags: &[&str]| {
            let mount_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let mount = MountVolume { fs_type: fs_type.into(), mount_flags, ..MountVolume::default() };
            Some(AccessType::Mount(mount))
        };
        assert_eq!(of(rwx.clone()), mount("ext4", &[]));
        assert_eq!(of(Target { fs_type: "ext3".into(), ..rwx.clone() }), mount("ext3", &[]));
        assert_eq!(of(Target { mount_options: vec!["a".into()], ..rwx.clone() }), mount("ext4", &["a"]));
        assert_eq!(of(Target { block: true, ..rwx }), Some(AccessType::Block(BlockVolume {})));
    }
}
