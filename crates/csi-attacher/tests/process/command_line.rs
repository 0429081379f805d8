//! Rows about flags and environment variables, and what `--help` and `--version` print.

use testkit::process::command_line::{
    accepted, assert_usage, assert_version, busy_port, malformed_label, not_in_a_pod, old_flag, refused,
    short_lease,
};

use crate::Row;

const BINARY: &str = env!("CARGO_BIN_EXE_csi-attacher");

pub(crate) static ROWS: &[Row] = &[
    // Syntax: the reason and usage on stderr; code 2.
    refused(
        "unknown flag",
        &["--nonsense"],
        2,
        &["flag provided but not defined: -nonsense", "-csi-address"],
    ),
    refused("no value", &["--csi-address"], 2, &["flag needs an argument: -csi-address"]),
    refused("no such bool", &["--leader-election=maybe"], 2, &["invalid boolean value \"maybe\""]),
    refused("negative uint", &["--worker-threads=-1"], 2, &["invalid value \"-1\" for flag -worker-threads"]),
    refused("duration without unit", &["--timeout=10"], 2, &["invalid value \"10\" for flag -timeout"]),
    malformed_label(),
    refused("strict mode", &["--upstream-flags-only", "--logtostderr"], 2, &["not defined: -logtostderr"]),
    // Values that make no sense.
    refused(
        "unknown gate",
        &["--feature-gates=Nope=true"],
        1,
        &["failed to store flag gates", "unrecognized feature gate: Nope"],
    ),
    refused("no such log format", &["--logging-format=xml"], 1, &["LoggingConfiguration is invalid"]),
    refused("no workers", &["--worker-threads=0"], 1, &["Option -worker-threads must be greater than zero"]),
    refused("no time for the driver", &["--timeout=0"], 1, &["--timeout must be positive"]),
    refused(
        "no burst",
        &["--kube-api-qps=5", "--kube-api-burst=0"],
        1,
        &["Failed to create a Clientset", "burst is required to be greater than 0"],
    ),
    short_lease(),
    refused(
        "both addresses",
        &["--metrics-address=127.0.0.1:0", "--http-endpoint=127.0.0.1:0"],
        1,
        &["Only one of `--metrics-address` and `--http-endpoint` can be set"],
    ),
    busy_port(1),
    refused(
        "relative path",
        &["--csi-address=csi.sock"],
        1,
        &["Failed to connect to the CSI driver", "OnConnectionLoss callback only supported"],
    ),
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
    // Taken, with a word.
    old_flag(),
    accepted("an alias", &["--csi-driver=driver.example"], &["\"Option is an alias\" option=\"csi-driver\""]),
    accepted("no pause between comparisons", &["--reconcile-sync=0"], &["--reconcile-sync must be positive"]),
    accepted("a page of less than nothing", &["--max-entries=-1"], &["--max-entries must not be negative"]),
    accepted(
        "a gate that is done",
        &["--feature-gates=MutableCSINodeAllocatableCount=false"],
        &["setting GA feature gate"],
    ),
];

#[test]
fn help_is_usage_on_stderr_and_0() {
    assert_usage(
        BINARY,
        &["-reconcile-sync", "-default-fstype", "-volume-attachment-timeout", "-worker-threads"],
    );
}

#[test]
fn version_is_on_stdout_and_0() {
    assert_version(BINARY, "csi-attacher");
}
