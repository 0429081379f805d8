//! Rows about flags and environment variables, and what `--help` and `--version` print.

use testkit::process::command_line::{accepted, broken_kubeconfig, busy_port, not_in_a_pod, refused};
use testkit::process::printed;

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
    refused(
        "lease shorter than deadline",
        &["--leader-election", "--leader-election-lease-duration=10s"],
        2,
        &["leaseDuration must be greater than renewDeadline"],
    ),
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
    accepted(
        "flag of old manifests",
        &["--logtostderr"],
        &["\"Option has no effect\" option=\"logtostderr\""],
    ),
    accepted(
        "the gate of groups, off",
        &["--feature-gates=CSIVolumeGroupSnapshot=false"],
        &["CSIVolumeGroupSnapshot"],
    ),
];

#[test]
fn help_is_usage_on_stderr_and_0() {
    for argument in ["--help", "-help", "-h"] {
        let (code, stdout, stderr) = printed(BINARY, argument);
        assert_eq!((code, stdout.as_str()), (Some(0), ""));
        for flag in
            ["-enable-distributed-snapshotting", "-prevent-volume-mode-conversion", "-retry-crd-interval-max"]
        {
            assert!(stderr.contains(flag), "{flag} is not in:\n{stderr}");
        }
    }
}

#[test]
fn version_is_on_stdout_and_0() {
    let (code, stdout, _) = printed(BINARY, "--version");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("snapshot-controller v"), "{stdout}");
}
