//! Rows about flags and environment variables, and what is printed on demand.

use testkit::process::command_line::{
    accepted, assert_usage, assert_version, broken_kubeconfig, busy_port, malformed_endpoint,
    malformed_label, not_in_a_pod, old_flag, refused, short_lease,
};

use crate::Row;

const BINARY: &str = env!("CARGO_BIN_EXE_csi-resizer");

pub(crate) static ROWS: &[Row] = &[
    // Syntax: the reason, then usage, on stderr; code 2.
    refused(
        "unknown flag",
        &["--nonsense"],
        2,
        &["flag provided but not defined: -nonsense", "-workers int"],
    ),
    refused("three dashes", &["---timeout=1s"], 2, &["bad flag syntax: ---timeout=1s"]),
    refused("no value", &["--csi-address"], 2, &["flag needs an argument: -csi-address"]),
    refused("no such bool", &["--leader-election=maybe"], 2, &["\"maybe\"", "-leader-election"]),
    refused("no such int", &["--workers=ten"], 2, &["invalid value \"ten\" for flag -workers"]),
    refused("no such float", &["--kube-api-qps=fast"], 2, &["invalid value \"fast\" for flag -kube-api-qps"]),
    refused("duration without unit", &["--timeout=10"], 2, &["invalid value \"10\" for flag -timeout"]),
    refused(
        "duration in days",
        &["--retry-interval-max=1d"],
        2,
        &["invalid value \"1d\" for flag -retry-interval-max"],
    ),
    refused("no such verbosity", &["--v=x"], 2, &["invalid value \"x\" for flag -v"]),
    malformed_label(),
    refused(
        "gate without value",
        &["--feature-gates=AnnotateFsResize"],
        2,
        &["malformed pair, expect string=bool"],
    ),
    refused(
        "gate with another value",
        &["--feature-gates=AnnotateFsResize=maybe"],
        2,
        &["AnnotateFsResize", "maybe"],
    ),
    // Values that make no sense.
    refused(
        "unknown gate",
        &["--feature-gates=Nope=true"],
        1,
        &["Failed to set feature gates", "unrecognized feature gate: Nope"],
    ),
    refused(
        "gate of another sidecar",
        &["--feature-gates=Topology=true"],
        1,
        &["unrecognized feature gate: Topology"],
    ),
    old_flag(),
    accepted(
        "old name of the timeout",
        &["--csiTimeout=5s"],
        &["\"Option is an alias\" option=\"csiTimeout\""],
    ),
    accepted("generic gate", &["--feature-gates=WatchList=false"], &["The feature gate has no effect here"]),
    accepted(
        "gate that became the rule",
        &["--feature-gates=RecoverVolumeExpansionFailure=true"],
        &["setting GA feature gate"],
    ),
    refused("no such log format", &["--logging-format=xml"], 1, &["Unsupported log format"]),
    refused("no flush period", &["--log-flush-frequency=0"], 1, &["Must be greater than zero"]),
    refused(
        "gated log option",
        &["--log-text-split-stream"],
        1,
        &["Feature LoggingAlphaOptions is disabled"],
    ),
    refused("no workers", &["--workers=0"], 1, &["--workers must be at least 1"]),
    refused("fewer than no workers", &["--workers=-1"], 1, &["--workers must be at least 1"]),
    refused("no time for the driver", &["--timeout=0"], 1, &["--timeout must be positive"]),
    refused(
        "no burst",
        &["--kube-api-qps=5", "--kube-api-burst=0"],
        1,
        &["burst is required to be greater than 0"],
    ),
    // Leader election, checked before anything starts.
    short_lease(),
    refused(
        "deadline shorter than retry",
        &["--leader-election", "--leader-election-retry-period=9s"],
        2,
        &["renewDeadline must be greater than retryPeriod*JitterFactor"],
    ),
    accepted("bad periods that nobody uses", &["--leader-election-lease-duration=1s"], &["Started resize"]),
    // Addresses of the diagnostics server.
    refused(
        "both addresses",
        &["--metrics-address=127.0.0.1:0", "--http-endpoint=127.0.0.1:0"],
        1,
        &["Only one of `--metrics-address` and `--http-endpoint` can be set."],
    ),
    refused("address without port", &["--http-endpoint=foo"], 1, &["address foo: missing port in address"]),
    busy_port(1),
    // The driver's address.
    refused("relative path", &["--csi-address=csi.sock"], 1, &["give the absolute path"]),
    refused("TCP", &["--csi-address=dns:///host:1"], 1, &["only supported for unix:// addresses"]),
    refused("empty address", &["--csi-address="], 1, &["no address given", "give the absolute path"]),
    malformed_endpoint(1),
    // The API server's address.
    not_in_a_pod(1, &["KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"]),
    refused(
        "no such kubeconfig",
        &["--kubeconfig=/no/such"],
        1,
        &["stat /no/such: no such file or directory"],
    ),
    broken_kubeconfig(1),
    refused("master that is no URL", &["--master=https://"], 1, &["invalid --master", "https://host:6443"]),
    // Strict mode.
    refused(
        "strict about old flags",
        &["--upstream-flags-only", "--logtostderr"],
        2,
        &["flag provided but not defined: -logtostderr"],
    ),
];

#[test]
fn help_names_every_flag_of_its_own() {
    assert_usage(
        BINARY,
        &[
            "-master",
            "-resync-period",
            "-workers",
            "-extra-modify-metadata",
            "-timeout",
            "-retry-interval-start",
            "-retry-interval-max",
            "-handle-volume-inuse-error",
            "-feature-gates",
            "-csi-address",
            "-leader-election",
            "-http-endpoint",
        ],
    );
}

#[test]
fn version_is_one_line_on_stdout() {
    assert_version(BINARY, "csi-resizer");
}
