//! Rows about flags and environment variables, and what `--help` and `--version` print.

use std::process::Command;

use crate::table::{Expected, ROW, Row};

/// A command line that is refused with this code and text.
const fn refused(
    name: &'static str,
    flags: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
) -> Row {
    Row { name, flags, says, end: Expected::Refuses(code), ..ROW }
}

/// An option that is taken although there is something to say about it.
const fn accepted(name: &'static str, flags: &'static [&'static str], says: &'static [&'static str]) -> Row {
    Row { name, flags, says, ..ROW }
}

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
    refused(
        "label without colon",
        &["--leader-election-labels=a"],
        2,
        &["malformed item in list of labels: a"],
    ),
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
    refused(
        "lease shorter than deadline",
        &["--leader-election", "--leader-election-lease-duration=10s"],
        2,
        &["leaseDuration must be greater than renewDeadline"],
    ),
    refused(
        "both addresses",
        &["--metrics-address=127.0.0.1:0", "--http-endpoint=127.0.0.1:0"],
        1,
        &["Only one of `--metrics-address` and `--http-endpoint` can be set"],
    ),
    Row {
        before: |cluster, launch| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            launch.flags.push(format!("--http-endpoint={}", listener.local_addr().unwrap()));
            cluster.hold(listener);
        },
        ..refused("busy port", &[], 1, &["Failed to start HTTP server", "bind: address already in use"])
    },
    refused(
        "relative path",
        &["--csi-address=csi.sock"],
        1,
        &["Failed to connect to the CSI driver", "OnConnectionLoss callback only supported"],
    ),
    Row {
        before: |_, launch| launch.without("--kubeconfig"),
        ..refused(
            "not in a pod",
            &[],
            1,
            &["Failed to build a Kubernetes config", "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT"],
        )
    },
    refused(
        "no such kubeconfig",
        &["--kubeconfig=/no/such"],
        1,
        &["Failed to build a Kubernetes config", "stat /no/such: no such file or directory"],
    ),
    // Taken, with a word.
    accepted(
        "flag of old manifests",
        &["--logtostderr"],
        &["\"Option has no effect\" option=\"logtostderr\""],
    ),
    accepted("an alias", &["--csi-driver=driver.example"], &["\"Option is an alias\" option=\"csi-driver\""]),
    accepted("no pause between comparisons", &["--reconcile-sync=0"], &["--reconcile-sync must be positive"]),
    accepted("a page of less than nothing", &["--max-entries=-1"], &["--max-entries must not be negative"]),
    accepted(
        "a gate that is done",
        &["--feature-gates=MutableCSINodeAllocatableCount=false"],
        &["setting GA feature gate"],
    ),
];

fn run(argument: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_csi-attacher")).arg(argument).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_is_usage_on_stderr_and_0() {
    for argument in ["--help", "-help", "-h"] {
        let (code, stdout, stderr) = run(argument);
        assert_eq!((code, stdout.as_str()), (Some(0), ""));
        for flag in ["-reconcile-sync", "-default-fstype", "-volume-attachment-timeout", "-worker-threads"] {
            assert!(stderr.contains(flag), "{flag} is not in:\n{stderr}");
        }
    }
}

#[test]
fn version_is_on_stdout_and_0() {
    let (code, stdout, _) = run("--version");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("csi-attacher v"), "{stdout}");
}
