//! What a volume has to be like: its name, its size, and the ways in which pods get at it (sheet 6.2).

use std::collections::BTreeMap;

use csi_client::access_modes::{AccessModeError, access_mode};
use csi_client::csi::VolumeCapability;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};

use super::data_source::Content;

/// What a volume has to be like, in terms of the driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct VolumeWish {
    /// Name of the volume, the same in the API.
    pub name: String,
    /// Bytes that it must hold at least.
    pub required_bytes: i64,
    /// One capability per access mode of the claim, in its order.
    pub capabilities: Vec<VolumeCapability>,
    /// StorageClass parameters that the driver gets to see.
    pub parameters: BTreeMap<String, String>,
    /// Parameters of the VolumeAttributesClass.
    pub mutable_parameters: BTreeMap<String, String>,
    /// What it is filled from.
    pub content: Option<Content>,
}

/// How the volume is handed to pods.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    /// A block device.
    Block,
    /// A mounted file system.
    Mount {
        /// File system; empty: the driver's choice.
        fs_type: &'a str,
        /// Mount options of the class.
        options: &'a [Box<str>],
    },
}

/// One capability per access mode, in order. Each mode counts for itself, unlike on a volume that exists.
pub(crate) fn capabilities<'a>(
    modes: impl IntoIterator<Item = &'a str>,
    form: Form<'_>,
    single_node_multi_writer: bool,
) -> Result<Vec<VolumeCapability>, AccessModeError> {
    modes
        .into_iter()
        .map(|mode| {
            Ok(VolumeCapability {
                access_mode: Some(AccessMode {
                    mode: access_mode(&[mode], single_node_multi_writer)?.into(),
                }),
                access_type: Some(access_type(form)),
            })
        })
        .collect()
}

fn access_type(form: Form<'_>) -> AccessType {
    match form {
        Form::Block => AccessType::Block(BlockVolume {}),
        Form::Mount { fs_type, options } => AccessType::Mount(MountVolume {
            fs_type: fs_type.to_owned(),
            mount_flags: options.iter().map(ToString::to_string).collect(),
            ..MountVolume::default()
        }),
    }
}

/// Whether the request asks for exactly one way of access, and that is reading from many nodes.
pub(crate) fn is_read_only_many(capabilities: &[VolumeCapability]) -> bool {
    let mode = |capability: &VolumeCapability| capability.access_mode.as_ref().map(|access| access.mode);
    match capabilities {
        [only] => mode(only) == Some(Mode::MultiNodeReaderOnly.into()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(given: &[&str], multi_writer: bool) -> Vec<Mode> {
        let form = Form::Mount { fs_type: "ext4", options: &[] };
        capabilities(given.iter().copied(), form, multi_writer)
            .unwrap()
            .iter()
            .map(|capability| capability.access_mode.as_ref().unwrap().mode())
            .collect()
    }

    #[test]
    fn rwx_rox_and_rwo() {
        assert_eq!(modes(&["ReadWriteMany"], false), [Mode::MultiNodeMultiWriter]);
        assert_eq!(modes(&["ReadOnlyMany"], false), [Mode::MultiNodeReaderOnly]);
        assert_eq!(modes(&["ReadWriteOnce"], false), [Mode::SingleNodeWriter]);
        assert_eq!(modes(&["ReadWriteOncePod"], false), [Mode::SingleNodeWriter]);
        assert_eq!(modes(&[], false), []);
    }

    #[test]
    fn rwo_and_rwop_with_single_node_multi_writer() {
        assert_eq!(modes(&["ReadWriteOnce"], true), [Mode::SingleNodeMultiWriter]);
        assert_eq!(modes(&["ReadWriteOncePod"], true), [Mode::SingleNodeSingleWriter]);
        assert_eq!(modes(&["ReadOnlyMany"], true), [Mode::MultiNodeReaderOnly]);
    }

    #[test]
    fn rox_and_rwo_are_two_capabilities_in_order() {
        assert_eq!(
            modes(&["ReadOnlyMany", "ReadWriteOnce"], false),
            [Mode::MultiNodeReaderOnly, Mode::SingleNodeWriter]
        );
    }

    #[test]
    fn unknown_access_mode() {
        let error = capabilities(["Sometimes"], Form::Block, false).unwrap_err();
        assert_eq!(error.to_string(), "unsupported AccessMode combination: [Sometimes]");
    }

    #[test]
    fn block_and_mount() {
        let block = capabilities(["ReadWriteOnce"], Form::Block, false).unwrap();
        assert!(matches!(block[0].access_type, Some(AccessType::Block(_))));
        let options: [Box<str>; 2] = ["foo=bar".into(), "baz=qux".into()];
        let mount = capabilities(["ReadWriteOnce"], Form::Mount { fs_type: "xfs", options: &options }, false)
            .unwrap();
        let Some(AccessType::Mount(mount)) = &mount[0].access_type else { panic!("{mount:?}") };
        assert_eq!(mount.fs_type, "xfs");
        assert_eq!(mount.mount_flags, ["foo=bar", "baz=qux"]);
        assert_eq!(mount.volume_mount_group, "");
    }

    #[test]
    fn read_only_needs_exactly_one_capability() {
        let of = |given: &[&str]| capabilities(given.iter().copied(), Form::Block, false).unwrap();
        assert!(is_read_only_many(&of(&["ReadOnlyMany"])));
        assert!(!is_read_only_many(&of(&["ReadOnlyMany", "ReadOnlyMany"])));
        assert!(!is_read_only_many(&of(&["ReadWriteOnce"])));
        assert!(!is_read_only_many(&[]));
    }
}
