//! Access modes of Kubernetes in the terms of CSI (common-library sheet, section 5.4).

use crate::csi::volume_capability::access_mode::Mode;

/// Why a set of access modes has no counterpart in CSI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessModeError {
    /// `ReadWriteOncePod` excludes every other mode.
    #[error(
        "Kubernetes does not support use of ReadWriteOncePod with other access modes on the same PersistentVolume"
    )]
    ReadWriteOncePodNotAlone,
    /// Readers on many nodes and a writer on one.
    #[error("CSI does not support ReadOnlyMany and ReadWriteOnce on the same PersistentVolume")]
    ReadOnlyManyWithReadWriteOnce,
    /// No mode that CSI knows.
    #[error("unsupported AccessMode combination: [{0}]")]
    Unsupported(String),
}

/// The CSI mode for the access modes of a volume.
///
/// `modes` are names as in the API; repeats and their order do not matter. `single_node_multi_writer` says
/// whether the driver has the capability `SINGLE_NODE_MULTI_WRITER`.
pub fn access_mode(modes: &[&str], single_node_multi_writer: bool) -> Result<Mode, AccessModeError> {
    let has = |mode: &str| modes.contains(&mode);
    if has("ReadWriteOncePod") {
        if modes.iter().any(|mode| *mode != "ReadWriteOncePod") {
            return Err(AccessModeError::ReadWriteOncePodNotAlone);
        }
        return Ok(if single_node_multi_writer {
            Mode::SingleNodeSingleWriter
        } else {
            Mode::SingleNodeWriter
        });
    }
    if has("ReadWriteMany") {
        return Ok(Mode::MultiNodeMultiWriter);
    }
    match (has("ReadOnlyMany"), has("ReadWriteOnce")) {
        (true, true) => Err(AccessModeError::ReadOnlyManyWithReadWriteOnce),
        (true, false) => Ok(Mode::MultiNodeReaderOnly),
        (false, true) if single_node_multi_writer => Ok(Mode::SingleNodeMultiWriter),
        (false, true) => Ok(Mode::SingleNodeWriter),
        (false, false) => Err(AccessModeError::Unsupported(modes.join(" "))),
    }
}
