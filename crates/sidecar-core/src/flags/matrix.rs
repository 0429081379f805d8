//! The flag matrix: one table for all binaries (sheet `common-library`, 2.1).
//!
//! A row is a flag, its cells are the defaults of the binaries that have it. Parser, `--help`, man pages, completions
//! and the matrix test all read this table; the binaries with a vocabulary of their own are in [`super::vocabulary`], what
//! documents promise beyond upstream is in [`super::additions`].

use super::Binary::{
    self, Attacher as A, ConversionWebhook as W, Livenessprobe as L, NodeDriverRegistrar as N,
    Provisioner as P, Resizer as R, SnapshotController as C, Snapshotter as S,
};
use super::table::{Flag, Origin};
use super::{Kind, pending};

/// Where a row comes from upstream; it decides whose error texts the provisioner prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Declared by the sidecar itself.
    Own,
    /// From a library shared by all sidecars.
    Shared,
}

/// One row of the matrix.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    kind: Kind,
    source: Source,
    /// Binaries with the same default together.
    cells: &'static [(&'static [Binary], &'static str)],
    help: &'static str,
}

/// The rows of `binary`.
pub(super) fn flags(binary: Binary) -> impl Iterator<Item = Flag> {
    MATRIX.iter().filter_map(move |row| {
        let (_, default) = row.cells.iter().find(|(binaries, _)| binaries.contains(&binary))?;
        let origin = if row.source == Source::Own { Origin::Own } else { Origin::Shared };
        let flag = Flag::new(row.name, row.kind, default, row.help, origin);
        Some(Flag { note: pending::note(binary, row.name), ..flag })
    })
}

/// What every sidecar has for its log and its threads, for those whose other flags are not in the matrix.
pub(super) fn logging() -> impl Iterator<Item = Flag> {
    let others = ["automaxprocs", "v", "vmodule"];
    flags(L)
        .filter(move |flag| flag.name.starts_with("log") || others.contains(&flag.name.as_ref()))
        .map(|flag| Flag { origin: Origin::Own, ..flag })
}

const fn own(name: &'static str, kind: Kind, cells: Cells, help: &'static str) -> Row {
    Row { name, kind, source: Source::Own, cells, help }
}

const fn shared(name: &'static str, kind: Kind, cells: Cells, help: &'static str) -> Row {
    Row { name, kind, source: Source::Shared, cells, help }
}

type Cells = &'static [(&'static [Binary], &'static str)];

/// The four sidecars with a driver and an API server.
const STANDARD: &[Binary] = &[P, A, R, S];
/// Those and the snapshot controller.
const CLUSTER: &[Binary] = &[P, A, R, S, C];
/// All sidecars.
const ALL: &[Binary] = &[P, A, R, S, C, N, L];
/// Everything that logs through component-base.
const LOGGING: &[Binary] = &[P, A, R, S, C, N, L, W];

use Kind::{
    Bool, BoolFunc, Duration, Float32, Float64, Gates, Int, Labels, Quantity, Text, Uint, Uint31, Vmodule,
};

static MATRIX: &[Row] = &[
    shared(
        "automaxprocs",
        BoolFunc,
        &[(LOGGING, "false")],
        "Fit the number of worker threads to the CPU limit of the container.",
    ),
    own(
        "capacity-for-immediate-binding",
        Bool,
        &[(&[P], "false")],
        "Also publish capacity for storage classes with immediate binding.",
    ),
    own(
        "capacity-ownerref-level",
        Int,
        &[(&[P], "1")],
        "How many owners up from the pod the owner of CSIStorageCapacity objects is; -1 sets none.",
    ),
    own(
        "capacity-poll-interval",
        Duration,
        &[(&[P], "1m")],
        "How often the driver is asked for its capacity.",
    ),
    own("capacity-threads", Uint, &[(&[P], "1")], "Workers that publish capacity."),
    own(
        "cloning-protection-threads",
        Uint,
        &[(&[P], "1")],
        "Workers that protect the source claims of clones.",
    ),
    own("connection-timeout", Duration, &[(&[N], "0")], "No effect; kept for old manifests."),
    own(
        "controller-publish-readonly",
        Bool,
        &[(&[P], "false")],
        "Mark volumes read-only whose claim asks for ReadOnlyMany alone.",
    ),
    shared(
        "csi-address",
        Text,
        &[(&[P, A, R, S, N, L], "/run/csi/socket")],
        "Socket of the CSI driver: an absolute path or unix:// address.",
    ),
    own("default-fstype", Text, &[(&[P, A], "")], "File system for volumes whose storage class names none."),
    own(
        "enable-capacity",
        Bool,
        &[(&[P], "false")],
        "Publish the driver's capacity in CSIStorageCapacity objects.",
    ),
    own(
        "enable-distributed-snapshotting",
        Bool,
        &[(&[C], "false")],
        "Hand each snapshot to the snapshotter on the volume's node.",
    ),
    own("enable-pprof", Bool, &[(&[P, N], "false")], "Serve /debug/pprof/ on the diagnostics address."),
    own(
        "extra-create-metadata",
        Bool,
        &[(&[P, S], "false")],
        "Tell the driver which objects a volume or snapshot is made for.",
    ),
    own(
        "extra-modify-metadata",
        Bool,
        &[(&[R], "false")],
        "Tell the driver which claim and volume a modification is made for.",
    ),
    own("feature-gates", Gates, &[(CLUSTER, "")], "Feature gates to switch, as Name=true or Name=false."),
    own(
        "groupsnapshot-name-prefix",
        Text,
        &[(&[S], "groupsnapshot")],
        "First part of the names of group snapshots.",
    ),
    own(
        "groupsnapshot-name-uuid-length",
        Int,
        &[(&[S], "-1")],
        "Characters of the UID in the names of group snapshots; -1 takes all.",
    ),
    own(
        "handle-volume-inuse-error",
        Bool,
        &[(&[R], "true")],
        "Wait for a volume to be unused after the driver refused to resize it in use.",
    ),
    own("health-port", Int, &[(&[N], "0")], "Deprecated: port of the health endpoint; use --http-endpoint."),
    own(
        "health-port",
        Text,
        &[(&[L], "9808")],
        "Deprecated: port of the health endpoint; use --http-endpoint.",
    ),
    shared("http-endpoint", Text, &[(ALL, "")], "Address, as host:port, of the diagnostics server."),
    own(
        "immediate-topology",
        Bool,
        &[(&[P], "true")],
        "Pass the cluster's topology for volumes with immediate binding.",
    ),
    shared("kube-api-burst", Int, &[(CLUSTER, "10")], "Burst of calls to the API server."),
    own(
        "kube-api-capacity-burst",
        Int,
        &[(&[P], "5")],
        "Burst of calls to the API server for CSIStorageCapacity objects.",
    ),
    own(
        "kube-api-capacity-qps",
        Float32,
        &[(&[P], "1")],
        "Calls per second to the API server for CSIStorageCapacity objects.",
    ),
    shared(
        "kube-api-qps",
        Float64,
        &[(CLUSTER, "5")],
        "Calls per second to the API server; negative is unlimited.",
    ),
    shared("kubeconfig", Text, &[(CLUSTER, "")], "Path of a kubeconfig; only needed outside a cluster."),
    own(
        "kubelet-registration-path",
        Text,
        &[(&[N], "")],
        "Path of the driver's socket on the host, as kubelet sees it. Required.",
    ),
    shared("leader-election", Bool, &[(CLUSTER, "false")], "Work only while holding the lease."),
    shared("leader-election-labels", Labels, &[(STANDARD, "")], "Labels to put on the lease."),
    shared(
        "leader-election-lease-duration",
        Duration,
        &[(CLUSTER, "15s")],
        "How long others wait for a silent leader.",
    ),
    shared(
        "leader-election-namespace",
        Text,
        &[(CLUSTER, "")],
        "Namespace of the lease; the pod's own if empty.",
    ),
    shared(
        "leader-election-renew-deadline",
        Duration,
        &[(CLUSTER, "10s")],
        "How long a leader tries to renew before it gives up.",
    ),
    shared(
        "leader-election-retry-period",
        Duration,
        &[(CLUSTER, "5s")],
        "How long to wait between tries to get or renew the lease.",
    ),
    shared("log-flush-frequency", Duration, &[(LOGGING, "5s")], "Longest time between flushes of the log."),
    shared(
        "log-json-info-buffer-size",
        Quantity,
        &[(ALL, "0")],
        "Alpha, not available: size of the buffer for info lines in JSON.",
    ),
    shared(
        "log-json-split-stream",
        Bool,
        &[(ALL, "false")],
        "Alpha, not available: errors to stderr, info to stdout, in JSON.",
    ),
    shared(
        "log-text-info-buffer-size",
        Quantity,
        &[(LOGGING, "0")],
        "Alpha, not available: size of the buffer for info lines in text.",
    ),
    shared(
        "log-text-split-stream",
        Bool,
        &[(LOGGING, "false")],
        "Alpha, not available: errors to stderr, info to stdout, in text.",
    ),
    shared("logging-format", Text, &[(LOGGING, "text")], "Format of the log: text or json."),
    own("master", Text, &[(&[P, R], "")], "URL of the API server; overrides the kubeconfig."),
    own("max-entries", Int, &[(&[A], "0")], "Page size of ListVolumes; 0 leaves it to the driver."),
    own(
        "max-grpc-log-length",
        Int,
        &[(&[A], "-1")],
        "Longest response of the driver that is logged whole; -1 is unlimited.",
    ),
    shared(
        "metrics-address",
        Text,
        &[(&[P, A, R, S, L], "")],
        "Deprecated: address of the metrics endpoint; use --http-endpoint.",
    ),
    shared("metrics-path", Text, &[(&[P, A, R, S, C, L], "/metrics")], "Path of the metrics."),
    own(
        "mode",
        Text,
        &[(&[N], "")],
        "Deprecated: kubelet-registration-probe ends at once with success, all else registers.",
    ),
    own(
        "node-deployment",
        Bool,
        &[(&[P, S], "false")],
        "Run on each node, for the volumes of that node alone.",
    ),
    own(
        "node-deployment-base-delay",
        Duration,
        &[(&[P], "20s")],
        "First delay before a node claims a volume with immediate binding.",
    ),
    own(
        "node-deployment-immediate-binding",
        Bool,
        &[(&[P], "true")],
        "Also provision volumes with immediate binding on nodes.",
    ),
    own(
        "node-deployment-max-delay",
        Duration,
        &[(&[P], "1m")],
        "Longest delay before a node claims a volume with immediate binding.",
    ),
    own(
        "plugin-registration-path",
        Text,
        &[(&[N], "/registration")],
        "Directory in which kubelet looks for registration sockets.",
    ),
    own("port", Int, &[(&[W], "443")], "Port of the webhook."),
    own(
        "prevent-volume-mode-conversion",
        Bool,
        &[(&[P, C], "true")],
        "Refuse to change the volume mode of a restored snapshot.",
    ),
    own("probe-timeout", Duration, &[(&[L], "3s")], "Longest time for one health probe of the driver."),
    own("reconcile-sync", Duration, &[(&[A], "1m")], "How often attachments are compared with the driver's."),
    own("resync", Duration, &[(&[A], "10m")], "How often all objects are looked at again."),
    own(
        "resync-period",
        Duration,
        &[(&[R], "10m"), (&[S, C], "15m")],
        "How often all objects are looked at again.",
    ),
    own(
        "retry-crd-interval-max",
        Duration,
        &[(&[C], "30s")],
        "How long to wait at start for the snapshot resources.",
    ),
    own("retry-interval-max", Duration, &[(CLUSTER, "5m")], "Longest delay between tries."),
    own(
        "retry-interval-start",
        Duration,
        &[(CLUSTER, "1s")],
        "First delay after a failure; doubles with each further one.",
    ),
    own("snapshot-name-prefix", Text, &[(&[S], "snapshot")], "First part of the names of snapshots."),
    own(
        "snapshot-name-uuid-length",
        Int,
        &[(&[S], "-1")],
        "Characters of the UID in the names of snapshots; -1 takes all.",
    ),
    own(
        "snapshot-orphan-sweep-interval",
        Duration,
        &[(&[P], "5m")],
        "How often snapshots that nothing is restored from any more lose their finalizer; 0 is never.",
    ),
    own("strict-topology", Bool, &[(&[P], "false")], "Pass only the selected node's topology to the driver."),
    own(
        "timeout",
        Duration,
        &[(&[P, R], "10s"), (&[A], "15s"), (&[S], "1m"), (&[N], "1s")],
        "Longest time for one call to the driver.",
    ),
    own("tls-cert-file", Text, &[(&[W], "")], "Certificate of the webhook. Required."),
    own("tls-private-key-file", Text, &[(&[W], "")], "Key of the webhook's certificate. Required."),
    shared("v", Uint31, &[(LOGGING, "0")], "Verbosity of the log."),
    shared("version", Bool, &[(&[P, A, R, S, C, N], "false")], "Print the version and exit."),
    shared("vmodule", Vmodule, &[(LOGGING, "")], "Verbosity of single source files; text format only."),
    own("volume-name-prefix", Text, &[(&[P], "pvc")], "First part of the names of volumes."),
    own(
        "volume-name-uuid-length",
        Int,
        &[(&[P], "-1")],
        "Characters of the UID in the names of volumes; -1 takes all.",
    ),
    own("worker-threads", Uint, &[(&[P], "100"), (&[A], "10")], "Workers."),
    own("worker-threads", Int, &[(&[S, C], "10")], "Workers."),
    own("workers", Int, &[(&[R], "10")], "Workers."),
];
