//! What guides and old manifests show and upstream's binaries refuse (sheets `documented-dialects` and
//! `common-library`, 2.2).
//!
//! Every row is accepted unless `--upstream-flags-only` is given; that one flag is accepted always.

use super::Binary::{
    self, Attacher as A, ClusterDriverRegistrar as D, Hostpath as H, Livenessprobe as L,
    NodeDriverRegistrar as N, Provisioner as P, Resizer as R, SnapshotController as C, Snapshotter as S,
};
use super::Kind::{self, Bool, Duration, Float64, Int, Text};
use super::table::{Flag, Origin};

/// The strict mode's own flag.
pub(super) const STRICT: &str = "upstream-flags-only";

/// The additions of `binary`.
pub(super) fn flags(binary: Binary) -> impl Iterator<Item = Flag> {
    ADDITIONS
        .iter()
        .filter(move |(_, _, binaries, _, _)| binaries.contains(&binary))
        .map(|(name, kind, _, origin, help)| Flag::new(*name, *kind, "", help, *origin))
}

type Row = (&'static str, Kind, &'static [Binary], Origin, &'static str);

const SERVING: &[Binary] = &[P, A, R, S, C, N, L, D, H];
const NAMED: &[Binary] = &[P, A, R, S, N];
const KLOG: &[Binary] = &[P, A, R, S, C, N, L];

const NAME_HELP: &str = "Name that the driver must have.";
const ALIAS: Origin = Origin::Alias("driver-name");
const KLOG_GONE: Origin = Origin::NoEffect("everything is logged to stderr");
const LEASES_ONLY: Origin = Origin::NoEffect("leases are the only type");
const NO_LIMIT: Origin = Origin::NoEffect("the wait for the driver has no limit");
const ONE_WAIT: Origin = Origin::NoEffect("the wait for the driver is 30s");

static ADDITIONS: &[Row] = &[
    (
        STRICT,
        Bool,
        &[P, A, R, S, C, N, L, D, H, Binary::ConversionWebhook],
        Origin::Ours,
        "Refuse every flag that upstream does not have.",
    ),
    ("metrics-addr", Text, SERVING, Origin::Ours, "Address, as host:port, for metrics."),
    ("health-addr", Text, SERVING, Origin::Ours, "Address, as host:port, for /healthz and /readyz."),
    ("driver-name", Text, NAMED, Origin::Ours, NAME_HELP),
    ("csi-driver", Text, NAMED, ALIAS, NAME_HELP),
    ("CSI-driver", Text, NAMED, ALIAS, NAME_HELP),
    ("provisioner", Text, &[P], ALIAS, NAME_HELP),
    ("snapshotter", Text, &[S], ALIAS, NAME_HELP),
    (
        "leak-protection",
        Bool,
        &[P],
        Origin::Ours,
        "Keep a claim, by a finalizer, from before the driver is asked for its volume until that is saved or refused, \
         so that no restart forgets one. Costs four more API calls per volume, and per refusal.",
    ),
    (
        "volume-attachment-timeout",
        Duration,
        &[A],
        Origin::Ours,
        "Report an attachment as failed that takes longer; 0 is never.",
    ),
    (
        "detach-by-annotation",
        Bool,
        &[A],
        Origin::Ours,
        "Detach from the node id that a volume was attached to, even if the node has another one by now.",
    ),
    (
        "detach-before-attach",
        Duration,
        &[A],
        Origin::Ours,
        "Attach a volume only when it is detached from the nodes that it leaves, but wait no longer than this; \
         0 does not wait.",
    ),
    (
        "driver-name-timeout",
        Duration,
        &[N],
        Origin::Ours,
        "Keep asking a driver that does not tell its name, for this long; 0 asks once.",
    ),
    (
        "follow-driver",
        Bool,
        &[N],
        Origin::Ours,
        "Notice when the driver restarts, check its name, and have kubelet register it again.",
    ),
    (
        "node-deployment",
        Bool,
        &[R],
        Origin::Ours,
        "Run on each node, for the volumes whose affinity names that node or the topology that the driver has there.",
    ),
    ("registration-path", Text, &[N], Origin::Ours, "Full path of the registration socket."),
    ("node-id", Text, &[N], Origin::NoEffect("kubelet asks the driver for the node id"), "No effect."),
    ("kubeconfig", Text, &[N], Origin::NoEffect("the Kubernetes API is not used"), "No effect."),
    ("connection-timeout", Duration, &[P, A, S], ONE_WAIT, "No effect."),
    ("connection-timeout", Duration, &[L], NO_LIMIT, "No effect."),
    ("version", Bool, &[L], Origin::Ours, "Print the version and exit."),
    (
        "enable-leader-election",
        Bool,
        &[P],
        Origin::Alias("leader-election"),
        "The same as --leader-election.",
    ),
    ("leader-election-type", Text, &[P, A], LEASES_ONLY, "No effect."),
    (
        "leader-election-identity",
        Text,
        &[A],
        Origin::Ours,
        "Holder identity in the lease instead of the host's name.",
    ),
    ("dummy", Bool, &[A], Origin::NoEffect("the driver's capabilities decide"), "No effect."),
    ("csiTimeout", Duration, &[R], Origin::Alias("timeout"), "The same as --timeout."),
    (
        "resource-exhausted-is-final",
        Bool,
        &[R],
        Origin::Ours,
        "Take the driver's ResourceExhausted for its last word, as csi-provisioner does.",
    ),
    (
        "retry-interval-jitter",
        Float64,
        &[A, S, C],
        Origin::Ours,
        "By which part at most, at random, the wait before a fourth or later try is shorter, so that what failed together is \
         not tried together; from 0, which is upstream's schedule, to 1.",
    ),
    ("provisioning-retry-count", Int, &[P], Origin::NoEffect("failures are retried for ever"), "No effect."),
    ("deletion-retry-count", Int, &[P], Origin::NoEffect("failures are retried for ever"), "No effect."),
    (
        "enable-volume-group-snapshots",
        Bool,
        &[S, C],
        Origin::Gate("CSIVolumeGroupSnapshot"),
        "The same as the feature gate CSIVolumeGroupSnapshot.",
    ),
    ("add_dir_header", Bool, KLOG, KLOG_GONE, "No effect."),
    ("alsologtostderr", Bool, KLOG, KLOG_GONE, "No effect."),
    ("log_backtrace_at", Text, KLOG, KLOG_GONE, "No effect."),
    ("log_dir", Text, KLOG, KLOG_GONE, "No effect."),
    ("log_file", Text, KLOG, KLOG_GONE, "No effect."),
    ("log_file_max_size", Text, KLOG, KLOG_GONE, "No effect."),
    ("logtostderr", Bool, KLOG, KLOG_GONE, "No effect."),
    ("one_output", Bool, KLOG, KLOG_GONE, "No effect."),
    ("skip_headers", Bool, KLOG, KLOG_GONE, "No effect."),
    ("skip_log_headers", Bool, KLOG, KLOG_GONE, "No effect."),
    ("stderrthreshold", Text, KLOG, KLOG_GONE, "No effect."),
];
