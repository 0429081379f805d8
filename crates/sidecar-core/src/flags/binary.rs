//! The programs of this project, by the names that upstream gave them.

use super::Dialect;

/// A program of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binary {
    /// `csi-provisioner`
    Provisioner,
    /// `csi-attacher`
    Attacher,
    /// `csi-resizer`
    Resizer,
    /// `csi-snapshotter`
    Snapshotter,
    /// `snapshot-controller`
    SnapshotController,
    /// `snapshot-conversion-webhook`
    ConversionWebhook,
    /// `csi-node-driver-registrar`
    NodeDriverRegistrar,
    /// `livenessprobe`
    Livenessprobe,
    /// `cluster-driver-registrar`
    ClusterDriverRegistrar,
    /// `hostpathplugin`
    Hostpath,
    /// `csi-sidecars`
    AllInOne,
}

impl Binary {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Provisioner,
        Self::Attacher,
        Self::Resizer,
        Self::Snapshotter,
        Self::SnapshotController,
        Self::ConversionWebhook,
        Self::NodeDriverRegistrar,
        Self::Livenessprobe,
        Self::ClusterDriverRegistrar,
        Self::Hostpath,
        Self::AllInOne,
    ];

    /// The name of the executable, of the image's entry point and in the user agent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioner => "csi-provisioner",
            Self::Attacher => "csi-attacher",
            Self::Resizer => "csi-resizer",
            Self::Snapshotter => "csi-snapshotter",
            Self::SnapshotController => "snapshot-controller",
            Self::ConversionWebhook => "snapshot-conversion-webhook",
            Self::NodeDriverRegistrar => "csi-node-driver-registrar",
            Self::Livenessprobe => "livenessprobe",
            Self::ClusterDriverRegistrar => "cluster-driver-registrar",
            Self::Hostpath => "hostpathplugin",
            Self::AllInOne => "csi-sidecars",
        }
    }

    /// What it is for, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Provisioner => "Creates and deletes volumes for claims, through a CSI driver",
            Self::Attacher => "Attaches volumes to nodes and detaches them, through a CSI driver",
            Self::Resizer => "Expands and modifies volumes, through a CSI driver",
            Self::Snapshotter => "Takes and deletes snapshots, through a CSI driver",
            Self::SnapshotController => "Binds volume snapshots to their contents",
            Self::ConversionWebhook => "Converts group snapshots between API versions",
            Self::NodeDriverRegistrar => "Registers a CSI driver with kubelet",
            Self::Livenessprobe => "Answers health probes for a CSI driver",
            Self::ClusterDriverRegistrar => "Creates the CSIDriver object of a CSI driver",
            Self::Hostpath => "A CSI driver that keeps its volumes in a directory of the node",
            Self::AllInOne => "All CSI sidecars in one process",
        }
    }

    /// The rules by which its command line is read.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Provisioner => Dialect::Pflag,
            Self::AllInOne => Dialect::Union,
            _ => Dialect::Flag,
        }
    }
}
