//! Binaries whose flags are not in the matrix: the hostpath driver and the cluster driver registrar.
//!
//! Sources: sheets `hostpath-driver`, section 2, and `documented-dialects`.

use super::Kind::{self, Bool, BoolFunc, Capacity, Duration, Int, List, Text, Uint, Vmodule};
use super::matrix;
use super::table::{Flag, Origin};

type Row = (&'static str, Kind, &'static str, &'static str);

/// The hostpath driver's own flags and klog's.
pub(super) fn hostpath() -> impl Iterator<Item = Flag> {
    let own = HOSTPATH
        .iter()
        .map(|(name, kind, default, help)| Flag::new(*name, *kind, default, help, Origin::Own));
    let klog =
        KLOG.iter().map(|(name, kind, default, help)| Flag::new(*name, *kind, default, help, Origin::Shared));
    let ours = HOSTPATH_OURS
        .iter()
        .map(|(name, kind, default, help)| Flag::new(*name, *kind, default, help, Origin::Ours));
    let alias = Flag::new(
        "node-expand-required",
        Bool,
        "true",
        "Deprecated: the same as --enable-volume-expansion.",
        Origin::Same("enable-volume-expansion"),
    );
    own.chain(klog).chain(ours).chain([alias])
}

/// The cluster driver registrar's flags.
pub(super) fn cluster_driver_registrar() -> impl Iterator<Item = Flag> {
    let own = REGISTRAR.iter();
    matrix::logging()
        .chain(own.map(|(name, kind, default, help)| Flag::new(*name, *kind, default, help, Origin::Own)))
}

static HOSTPATH: &[Row] = &[
    (
        "accepted-mutable-parameter-names",
        List,
        "",
        "Mutable parameters that the driver accepts; all if not given.",
    ),
    ("attach-limit", Int, "0", "Most volumes that can be attached to the node; 0 is unlimited."),
    (
        "automaxprocs",
        BoolFunc,
        "false",
        "Fit the number of worker threads to the CPU limit of the container.",
    ),
    ("capacity", Capacity, "", "Simulated capacity of a kind of storage, as kind=quantity."),
    (
        "check-volume-lifecycle",
        Bool,
        "false",
        "Fail where a call does not fit the volume's state, instead of warning.",
    ),
    ("disable-controller-expansion", Bool, "false", "Hide controller expansion from the capabilities."),
    ("disable-node-expansion", Bool, "false", "Hide node expansion from the capabilities."),
    ("drivername", Text, "hostpath.csi.k8s.io", "Name of the driver."),
    ("enable-attach", Bool, "false", "Require volumes to be attached before they are staged."),
    ("enable-controller-modify-volume", Bool, "false", "Offer ControllerModifyVolume."),
    ("enable-list-snapshots", Bool, "true", "Offer ListSnapshots."),
    ("enable-snapshot-metadata", Bool, "false", "Offer the SnapshotMetadata service."),
    ("enable-topology", Bool, "true", "Report topology."),
    ("enable-volume-expansion", Bool, "true", "Offer volume expansion."),
    ("endpoint", Text, "unix:///tmp/csi.sock", "Address to listen on."),
    ("ephemeral", Bool, "false", "Deprecated: treat every published volume as ephemeral."),
    ("max-volume-size", Int, "1099511627776", "Largest size of a volume, in bytes."),
    (
        "max-volume-size-node",
        Int,
        "0",
        "Largest size for expansion on the node, in bytes; 0 is --max-volume-size.",
    ),
    ("maxvolumespernode", Int, "0", "Number of volumes per node to report; 0 is unlimited."),
    ("nodeid", Text, "", "Id of the node. Required."),
    ("proxy-endpoint", Text, "", "Forward connections to this address instead of serving."),
    ("snapshot-metadata-block-type", Text, "FIXED_LENGTH", "FIXED_LENGTH or VARIABLE_LENGTH."),
    ("statedir", Text, "/csi-data-dir", "Directory for volumes, snapshots and state."),
    ("version", Bool, "false", "Print the version and exit."),
];

/// What upstream's driver does not have.
static HOSTPATH_OURS: &[Row] = &[
    ("enable-volume-health", Bool, "false", "Offer the health calls of CSI 1.13, which are still alpha."),
    (
        "list-volumes-published-nodes",
        Bool,
        "false",
        "Say in ListVolumes where volumes are attached, so that the attacher can compare.",
    ),
    (
        "log-secrets",
        Bool,
        "false",
        "Print secrets in the lines gRPCCall of the log, as upstream always does.",
    ),
];

/// klog's own flags, which the hostpath driver still has. Only `v` and `vmodule` have an effect here: everything goes to stderr.
static KLOG: &[Row] = &[
    ("add_dir_header", Bool, "false", "No effect."),
    ("alsologtostderr", Bool, "false", "No effect: everything goes to stderr."),
    ("alsologtostderrthreshold", Text, "INFO", "No effect: everything goes to stderr."),
    ("legacy_stderr_threshold_behavior", Bool, "true", "No effect: everything goes to stderr."),
    ("log_backtrace_at", Text, "", "No effect."),
    ("log_dir", Text, "", "No effect: everything goes to stderr."),
    ("log_file", Text, "", "No effect: everything goes to stderr."),
    ("log_file_max_size", Uint, "1800", "No effect: everything goes to stderr."),
    ("logtostderr", Bool, "true", "No effect: everything goes to stderr."),
    ("one_output", Bool, "false", "No effect."),
    ("skip_headers", Bool, "false", "No effect."),
    ("skip_log_headers", Bool, "false", "No effect."),
    ("stderrthreshold", Text, "ERROR", "No effect: everything goes to stderr."),
    ("v", Int, "0", "Verbosity of the log."),
    ("vmodule", Vmodule, "", "Verbosity of single source files."),
];

/// What it has besides the logging flags of all sidecars.
static REGISTRAR: &[Row] = &[
    ("connection-timeout", Duration, "1m", "Longest time to wait for the driver's socket."),
    (
        "csi-address",
        Text,
        "/run/csi/socket",
        "Socket of the CSI driver: an absolute path or unix:// address.",
    ),
    ("delete-on-exit", Bool, "false", "Delete the CSIDriver object at the end."),
    ("driver-requires-attachment", Bool, "true", "Whether volumes of the driver must be attached."),
    ("kubeconfig", Text, "", "Path of a kubeconfig; only needed outside a cluster."),
    ("pod-info-mount-version", Text, "", "v1 passes information on the pod to the driver; empty does not."),
    ("version", Bool, "false", "Print the version and exit."),
];
