//! The all-in-one's flags, made from the tables of the sidecars it holds (sheet `all-in-one`, section 2).
//!
//! Each flag of a sidecar exists twice: `--timeout` for every controller that has it, `--attacher-timeout` for one, which
//! wins. A controller gets a [`Parsed`] as if it were alone: [`Parsed::of_controller`].

use std::collections::{BTreeMap, BTreeSet};

use super::Kind::{self, Bool, Duration, Float64, Gates, Int, Labels, List, Text, Uint31};
use super::kind::Texts;
use super::reader::Reader;
use super::table::{Flag, Mode, Origin, Table};
use super::{Binary, Dialect, Parsed, Value, matrix};
use crate::exit::Exit;
use crate::gates;
use crate::go_text::quote;

/// The controllers, with the prefixes of their flags and the flags that can be prefixed.
const CONTROLLERS: [(Binary, &str, &str); 8] = [
    (
        Binary::Provisioner,
        "provisioner",
        "timeout worker-threads retry-interval-start retry-interval-max kube-api-qps kube-api-burst \
         kube-api-capacity-qps kube-api-capacity-burst volume-name-prefix volume-name-uuid-length strict-topology \
         immediate-topology extra-create-metadata default-fstype controller-publish-readonly \
         prevent-volume-mode-conversion cloning-protection-threads snapshot-orphan-sweep-interval enable-capacity \
         capacity-threads capacity-poll-interval capacity-ownerref-level capacity-for-immediate-binding \
         node-deployment node-deployment-immediate-binding node-deployment-base-delay node-deployment-max-delay \
         enable-pprof",
    ),
    (
        Binary::Attacher,
        "attacher",
        "timeout worker-threads resync retry-interval-start retry-interval-max kube-api-qps kube-api-burst \
         default-fstype max-entries max-grpc-log-length reconcile-sync volume-attachment-timeout \
         detach-by-annotation detach-before-attach retry-interval-jitter",
    ),
    (
        Binary::Resizer,
        "resizer",
        "timeout workers resync-period retry-interval-start retry-interval-max kube-api-qps kube-api-burst \
         handle-volume-inuse-error extra-modify-metadata resource-exhausted-is-final node-deployment",
    ),
    (
        Binary::Snapshotter,
        "snapshotter",
        "timeout worker-threads resync-period retry-interval-start retry-interval-max kube-api-qps kube-api-burst \
         snapshot-name-prefix snapshot-name-uuid-length groupsnapshot-name-prefix groupsnapshot-name-uuid-length \
         extra-create-metadata node-deployment",
    ),
    (
        Binary::SnapshotController,
        "snapshot-controller",
        "worker-threads resync-period retry-interval-start retry-interval-max retry-crd-interval-max kube-api-qps \
         kube-api-burst enable-distributed-snapshotting prevent-volume-mode-conversion",
    ),
    (
        Binary::NodeDriverRegistrar,
        "node-driver-registrar",
        "timeout kubelet-registration-path plugin-registration-path registration-path health-port http-endpoint \
         enable-pprof mode connection-timeout driver-name-timeout follow-driver",
    ),
    (
        Binary::Livenessprobe,
        "livenessprobe",
        "probe-timeout health-port http-endpoint metrics-address metrics-path",
    ),
    (
        Binary::ClusterDriverRegistrar,
        "cluster-driver-registrar",
        "driver-requires-attachment pod-info-mount-version delete-on-exit",
    ),
];

/// Flags that each prefix has, whether the separate binary has them or not.
const EVERY_PREFIX: [(&str, Kind); 7] = [
    ("feature-gates", Gates),
    ("leader-election-namespace", Text),
    ("leader-election-labels", Labels),
    ("http-endpoint", Text),
    ("metrics-address", Text),
    ("metrics-path", Text),
    ("v", Uint31),
];

/// Two names of one flag.
const SAME: [(&str, &str); 2] = [("workers", "worker-threads"), ("resync", "resync-period")];

/// Plain flags that belong to the common server and reach no controller.
const COMMON_SERVER: [&str; 4] = ["http-endpoint", "metrics-address", "metrics-addr", "health-addr"];

/// All flags of the all-in-one.
pub(super) fn flags(mode: Mode) -> Vec<Flag> {
    let mut flags: BTreeMap<String, Flag> = BTreeMap::new();
    let mut add = |flag: Flag| {
        flags.entry(flag.name.to_string()).or_insert(flag);
    };
    matrix::logging().for_each(&mut add);
    for (name, kind, default, help) in COMMON {
        add(Flag::new(*name, *kind, default, help, Origin::Own));
    }
    for (binary, prefix, names) in CONTROLLERS {
        let table = Table::of(binary, Mode::Documented);
        for name in names.split_whitespace() {
            let Some(flag) = table.find(name) else { continue };
            let documented = if flag.is_addition() { Origin::Ours } else { Origin::Own };
            for name in names_of(name) {
                // Two types of one name: the wider one, since each controller reads the text again.
                let kind = match (name, flag.kind) {
                    ("worker-threads" | "workers", _) => Int,
                    ("health-port", _) => Text,
                    (_, kind) => kind,
                };
                add(Flag::new(name.to_owned(), kind, "", flag.help, documented));
                add(Flag::new(format!("{prefix}-{name}"), flag.kind, flag.default, flag.help, documented));
            }
        }
        for (name, kind) in EVERY_PREFIX {
            add(Flag::new(
                format!("{prefix}-{name}"),
                kind,
                "",
                "As the flag without prefix, for one controller.",
                Origin::Own,
            ));
        }
    }
    add(Flag::new(
        "worker-thread",
        Int,
        "",
        "The same as --worker-threads.",
        Origin::Alias("worker-threads"),
    ));
    let wanted = |flag: &Flag| {
        mode == Mode::Documented || !flag.is_addition() || flag.name == super::additions::STRICT
    };
    flags.into_values().filter(wanted).collect()
}

fn names_of(name: &str) -> Vec<&str> {
    let other = SAME.iter().find_map(|(left, right)| match name {
        _ if name == *left => Some(*right),
        _ if name == *right => Some(*left),
        _ => None,
    });
    std::iter::once(name).chain(other).collect()
}

impl Parsed {
    /// The flags of one controller of the all-in-one, as its separate binary would have them. The error is a mistake on the command line.
    pub fn of_controller(&self, binary: Binary) -> Result<Parsed, Exit> {
        let table = Table::of(binary, Mode::Documented);
        let mut alone = Parsed::from_reader(Reader::new(&table, Dialect::Union), binary, &self.program);
        for flag in table.flags().iter().filter(|flag| flag.holds_value()) {
            let name = flag.name.as_ref();
            if let Some(value) = self.value_for(binary, flag)? {
                alone.values.insert(name.to_owned(), value);
                alone.given.insert(name.to_owned());
            }
        }
        Ok(alone)
    }

    /// The prefixed controllers that flags on the command line name.
    pub fn named_controllers(&self) -> BTreeSet<Binary> {
        let named = |prefix: &str| self.occurrences.iter().any(|(name, _)| is_prefixed(name, prefix));
        CONTROLLERS.iter().filter(|(_, prefix, _)| named(prefix)).map(|(binary, _, _)| *binary).collect()
    }

    fn value_for(&self, binary: Binary, flag: &Flag) -> Result<Option<Value>, Exit> {
        let name = flag.name.as_ref();
        let prefix = CONTROLLERS
            .iter()
            .find(|(controller, _, _)| *controller == binary)
            .map_or("", |(_, prefix, _)| prefix);
        let prefixed: Vec<String> = names_of(name).iter().map(|name| format!("{prefix}-{name}")).collect();
        let own = self.read_occurrences(flag, |given| prefixed.iter().any(|name| name == given), None)?;
        if flag.kind == Gates {
            let known: Vec<&str> = gates::of(binary).map(|gate| gate.name).collect();
            let all = self.gates("feature-gates").into_iter();
            let mut decided: BTreeMap<String, bool> =
                all.filter(|(gate, _)| known.contains(&gate.as_str()) || gate.starts_with("All")).collect();
            if let Some(Value::Gates(own)) = own {
                decided.extend(own);
            }
            return Ok(if decided.is_empty() { None } else { Some(Value::Gates(decided)) });
        }
        // Upstream's resizer knows no nodes: only its own flag may limit it to one.
        let out_of_reach = COMMON_SERVER.contains(&name)
            || (name == "timeout" && binary == Binary::NodeDriverRegistrar)
            || (name == "node-deployment" && binary == Binary::Resizer);
        if own.is_some() || out_of_reach {
            return Ok(own);
        }
        let names = names_of(name);
        let alias = |given: &str| given == "worker-thread" && names.contains(&"worker-threads");
        let plain = self.read_occurrences(flag, |given| names.contains(&given) || alias(given), None)?;
        // What came from the environment has no occurrence.
        Ok(plain.or_else(|| self.value(name).filter(|_| self.is_set(name)).cloned()))
    }

    fn read_occurrences(
        &self,
        flag: &Flag,
        wanted: impl Fn(&str) -> bool,
        start: Option<Value>,
    ) -> Result<Option<Value>, Exit> {
        let given = self.occurrences.iter().filter(|(name, _)| wanted(name));
        given.into_iter().try_fold(start, |before, (name, text)| {
            flag.kind.read(text, before.as_ref(), Texts::GoFlag).map(Some).map_err(|error| {
                Exit::usage(format!("invalid value {} for flag --{name}: {error}", quote(text)))
            })
        })
    }
}

/// Whether a flag is one of this prefix. A plain flag may begin with the same letters, so only known names count.
fn is_prefixed(given: &str, prefix: &str) -> bool {
    let Some(name) = given.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let own = CONTROLLERS.iter().filter(|(_, other, _)| *other == prefix);
    own.flat_map(|(_, _, names)| names.split_whitespace().flat_map(names_of)).any(|own| own == name)
        || EVERY_PREFIX.iter().any(|(flag, _)| *flag == name)
}

/// What it has besides the logging flags of all sidecars.
static COMMON: &[(&str, Kind, &str, &str)] = &[
    (
        "connection-loss-grace",
        Duration,
        "10s",
        "How long the driver may be gone before the process ends; 0 ends at once.",
    ),
    (
        "controller-restart-limit",
        Text,
        "5 per 10m",
        "Restarts of one controller before the process ends; 0 ends at the first failure.",
    ),
    (
        "controllers",
        Text,
        "",
        "Controllers to run, by name, * for all that the driver offers, -name to leave one out. Required.",
    ),
    (
        "csi-address",
        Text,
        "/run/csi/socket",
        "Socket of the CSI driver: an absolute path or unix:// address.",
    ),
    ("enable-pprof", Bool, "false", "Serve /debug/pprof/ on the diagnostics address."),
    ("feature-gates", Gates, "", "Feature gates to switch, each for the controllers that have it."),
    ("health-addr", Text, "", "Address, as host:port, for /healthz and /readyz."),
    ("http-endpoint", Text, "", "Address, as host:port, of the common diagnostics server."),
    ("kube-api-burst", Int, "10", "Burst of calls to the API server, per controller."),
    (
        "kube-api-qps",
        Float64,
        "5",
        "Calls per second to the API server, per controller; negative is unlimited.",
    ),
    ("kubeconfig", Text, "", "Path of a kubeconfig; only needed outside a cluster."),
    ("leader-election", Bool, "false", "Work only while holding the leases."),
    ("leader-election-extra-leases", List, "", "Further leases to hold."),
    ("leader-election-labels", Labels, "", "Labels to put on the leases."),
    ("leader-election-lease-duration", Duration, "15s", "How long others wait for a silent leader."),
    ("leader-election-leases", Text, "hold", "hold keeps every lease for good, park lends them out."),
    ("leader-election-namespace", Text, "", "Namespace of the leases; the pod's own if empty."),
    ("leader-election-park-duration", Duration, "10m", "How long a lease is parked."),
    (
        "leader-election-renew-deadline",
        Duration,
        "10s",
        "How long a leader tries to renew before it gives up.",
    ),
    (
        "leader-election-retry-period",
        Duration,
        "5s",
        "How long to wait between tries to get or renew a lease.",
    ),
    ("master", Text, "", "URL of the API server; overrides the kubeconfig."),
    ("metrics-addr", Text, "", "Address, as host:port, for metrics."),
    ("metrics-address", Text, "", "Deprecated: address of the metrics endpoint; use --http-endpoint."),
    ("metrics-controller-label", Bool, "false", "Name the controller in a label of its metrics."),
    ("metrics-path", Text, "/metrics", "Path of the metrics."),
    ("migration-ports", Text, "keep", "keep or single: the ports in what --print-migration writes."),
    ("print-config", Bool, "false", "Print every flag with its value and origin, and exit."),
    (
        "print-migration",
        Text,
        "",
        "Rewrite the sidecars of a manifest (- is stdin) for this binary, and exit.",
    ),
    ("print-rbac", Bool, "false", "Print the RBAC rules that are needed, and exit."),
    ("release-leases", Bool, "false", "Release the leases, and exit."),
    ("shutdown-grace-period", Duration, "20s", "How long work in flight may take to finish at the end."),
    ("upstream-flags-only", Bool, "false", "Refuse every flag that is only accepted for old documents."),
    ("version", Bool, "false", "Print the version and exit."),
];
