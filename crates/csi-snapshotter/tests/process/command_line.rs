//! Rows about flags and environment variables, and what `--help` and `--version` print.

use testkit::process::command_line::{
    accepted, assert_usage, assert_version, busy_port, not_in_a_pod, old_flag, refused,
};

use crate::Row;

const BINARY: &str = env!("CARGO_BIN_EXE_csi-snapshotter");

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
    refused("duration without unit", &["--timeout=10"], 2, &["invalid value \"10\" for flag -timeout"]),
    refused("strict mode", &["--upstream-flags-only", "--logtostderr"], 2, &["not defined: -logtostderr"]),
    // Values that make no sense.
    refused(
        "a name longer than a UID",
        &["--snapshot-name-uuid-length=33"],
        2,
        &[
            "invalid value \"33\" for flag -snapshot-name-uuid-length: must be -1 or at least 0 and at most 32",
        ],
    ),
    refused("unknown gate", &["--feature-gates=Nope=true"], 255, &["unrecognized feature gate: Nope"]),
    refused("no such log format", &["--logging-format=xml"], 1, &["LoggingConfiguration is invalid"]),
    refused("no workers", &["--worker-threads=0"], 1, &["--worker-threads must be at least 1"]),
    refused("no time for the driver", &["--timeout=0"], 1, &["--timeout must be positive"]),
    refused("no prefix", &["--snapshot-name-prefix="], 1, &["Snapshot name prefix cannot be of length 0"]),
    refused(
        "node deployment with an election",
        &["--node-deployment", "--leader-election"],
        1,
        &["--node-deployment and --leader-election exclude each other"],
    ),
    refused(
        "node deployment without a node",
        &["--node-deployment"],
        255,
        &["The NODE_NAME environment variable"],
    ),
    refused(
        "no burst",
        &["--kube-api-qps=5", "--kube-api-burst=0"],
        1,
        &["Failed to create a client", "burst is required to be greater than 0"],
    ),
    refused(
        "both addresses",
        &["--metrics-address=127.0.0.1:0", "--http-endpoint=127.0.0.1:0"],
        1,
        &["only one of `--metrics-address` and `--http-endpoint` can be set."],
    ),
    busy_port(255),
    refused(
        "relative path",
        &["--csi-address=csi.sock"],
        1,
        &["Failed to connect to CSI driver", "OnConnectionLoss callback only supported"],
    ),
    not_in_a_pod(
        1,
        &["Failed to build a Kubernetes config", "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"],
    ),
    // Taken, with a word.
    old_flag(),
    accepted(
        "a gate that is done",
        &["--feature-gates=CSIVolumeGroupSnapshot=false"],
        &["setting GA feature gate"],
    ),
    accepted("a cluster without groups", &[], &["The API server has no group snapshots"]),
];

#[test]
fn help_is_usage_on_stderr_and_0() {
    assert_usage(
        BINARY,
        &["-snapshot-name-prefix", "-groupsnapshot-name-uuid-length", "-node-deployment", "-worker-threads"],
    );
}

#[test]
fn version_is_on_stdout_and_0() {
    assert_version(BINARY, "csi-snapshotter");
}
