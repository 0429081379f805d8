//! Rows about flags and environment variables, and what `--help` and `--version` print.

use testkit::process::command_line::{
    accepted, assert_usage, assert_version, broken_kubeconfig, busy_port, not_in_a_pod, old_flag, refused,
    short_lease,
};

use crate::Row;

const BINARY: &str = env!("CARGO_BIN_EXE_snapshot-controller");

pub(crate) static ROWS: &[Row] = &[
    // Syntax: the reason and usage on stderr; code 2.
    refused(
        "unknown flag",
        &["--nonsense"],
        2,
        &["flag provided but not defined: -nonsense", "-retry-crd-interval-max"],
    ),
    refused("no value", &["--kubeconfig"], 2, &["flag needs an argument: -kubeconfig"]),
    refused("no such bool", &["--leader-election=maybe"], 2, &["invalid boolean value \"maybe\""]),
    refused(
        "duration without unit",
        &["--resync-period=10"],
        2,
        &["invalid value \"10\" for flag -resync-period"],
    ),
    refused("strict mode", &["--upstream-flags-only", "--logtostderr"], 2, &["not defined: -logtostderr"]),
    // Values that make no sense.
    refused("unknown gate", &["--feature-gates=Nope=true"], 255, &["unrecognized feature gate: Nope"]),
    refused("no such log format", &["--logging-format=xml"], 1, &["LoggingConfiguration is invalid"]),
    refused("no workers", &["--worker-threads=0"], 1, &["--worker-threads must be at least 1"]),
    refused(
        "no burst",
        &["--kube-api-qps=5", "--kube-api-burst=0"],
        1,
        &["Failed to create a Kubernetes client", "burst is required to be greater than 0"],
    ),
    short_lease(),
    busy_port(255),
    not_in_a_pod(
        1,
        &["Failed to build a Kubernetes config", "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"],
    ),
    refused(
        "no such kubeconfig",
        &["--kubeconfig=/no/such"],
        1,
        &["Failed to build a Kubernetes config", "stat /no/such: no such file or directory"],
    ),
    broken_kubeconfig(1),
    // Taken, with a word.
    old_flag(),
    accepted(
        "the gate of groups, off",
        &["--feature-gates=CSIVolumeGroupSnapshot=false"],
        &["CSIVolumeGroupSnapshot"],
    ),
];

#[test]
fn help_is_usage_on_stderr_and_0() {
    assert_usage(
        BINARY,
        &["-enable-distributed-snapshotting", "-prevent-volume-mode-conversion", "-retry-crd-interval-max"],
    );
}

#[test]
fn version_is_on_stdout_and_0() {
    assert_version(BINARY, "snapshot-controller");
}
