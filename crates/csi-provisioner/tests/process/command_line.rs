//! Rows about flags and environment variables.

use testkit::process::command_line::{
    accepted, broken_kubeconfig, busy_port, malformed_endpoint, malformed_label, not_in_a_pod, old_flag,
    refused,
};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    accepted(
        "flags of features that are not there yet",
        &["--strict-topology", "--capacity-poll-interval=2m"],
        &[
            "--strict-topology has no effect yet in this version",
            "--capacity-poll-interval has no effect yet in this version",
        ],
    ),
    // Syntax: usage on stderr, then the reason; code 2.
    refused("unknown flag", &["--nonsense"], 2, &["--volume-name-prefix string", "unknown flag: --nonsense"]),
    refused("one dash", &["-csi-address=/x"], 2, &["unknown shorthand flag: 'c' in -csi-address=/x"]),
    refused("one dash and a v", &["-version"], 2, &["invalid argument \"ersion\" for \"-v, --v\" flag"]),
    refused("three dashes", &["---timeout=1s"], 2, &["bad flag syntax: ---timeout=1s"]),
    refused("no value", &["--csi-address"], 2, &["flag needs an argument: --csi-address"]),
    refused(
        "no such bool",
        &["--leader-election=maybe"],
        2,
        &["invalid argument \"maybe\" for \"--leader-election\""],
    ),
    refused(
        "no such int",
        &["--kube-api-burst=ten"],
        2,
        &["invalid argument \"ten\" for \"--kube-api-burst\""],
    ),
    refused(
        "int too large",
        &["--kube-api-burst=9223372036854775808"],
        2,
        &["--kube-api-burst", "value out of range"],
    ),
    refused(
        "negative uint",
        &["--worker-threads=-1"],
        2,
        &["invalid argument \"-1\" for \"--worker-threads\""],
    ),
    refused(
        "no such float",
        &["--kube-api-qps=fast"],
        2,
        &["invalid argument \"fast\" for \"--kube-api-qps\""],
    ),
    refused(
        "duration without unit",
        &["--timeout=10"],
        2,
        &["--timeout", "time: missing unit in duration \"10\""],
    ),
    refused(
        "duration in days",
        &["--retry-interval-max=1d"],
        2,
        &["time: unknown unit \"d\" in duration \"1d\""],
    ),
    refused("no such verbosity", &["--v=x"], 2, &["invalid argument \"x\" for \"-v, --v\" flag"]),
    refused("malformed vmodule", &["--vmodule=x"], 2, &["\"x\" does not have the pattern=N format"]),
    refused("empty labels", &["--leader-election-labels="], 2, &["malformed item in list of labels: "]),
    malformed_label(),
    refused(
        "label with two colons",
        &["--leader-election-labels=a:b:c"],
        2,
        &["malformed item in list of labels: a:b:c"],
    ),
    refused("gate without value", &["--feature-gates=Topology"], 2, &["malformed pair, expect string=bool"]),
    refused(
        "gate with another value",
        &["--feature-gates=Topology=maybe"],
        2,
        &["invalid value of Topology: maybe"],
    ),
    // Values that make no sense.
    refused("unknown gate", &["--feature-gates=Nope=true"], 255, &["unrecognized feature gate: Nope"]),
    refused(
        "removed gate off",
        &["--feature-gates=HonorPVReclaimPolicy=false"],
        255,
        &["unrecognized feature gate: HonorPVReclaimPolicy"],
    ),
    accepted(
        "removed gate on",
        &["--feature-gates=HonorPVReclaimPolicy=true"],
        &["drop it from --feature-gates", "featureGate=\"HonorPVReclaimPolicy\""],
    ),
    old_flag(),
    refused("no such log format", &["--logging-format=xml"], 1, &["Unsupported log format"]),
    refused("no flush period", &["--log-flush-frequency=0"], 1, &["Must be greater than zero"]),
    refused(
        "gated log option",
        &["--log-text-split-stream"],
        1,
        &["Feature LoggingAlphaOptions is disabled"],
    ),
    refused(
        "node deployment without name",
        &["--node-deployment"],
        255,
        &["NODE_NAME environment variable must be set"],
    ),
    refused(
        "UUID of no characters",
        &["--volume-name-uuid-length=0"],
        1,
        &["must be -1 (the whole UID) or from 1 to 32"],
    ),
    refused(
        "UUID too long",
        &["--volume-name-uuid-length=33"],
        1,
        &["--volume-name-uuid-length must be", "value=\"33\""],
    ),
    refused(
        "negative UUID length",
        &["--volume-name-uuid-length=-2"],
        1,
        &["--volume-name-uuid-length must be"],
    ),
    refused("empty prefix", &["--volume-name-prefix="], 1, &["--volume-name-prefix must not be empty"]),
    refused("no workers", &["--worker-threads=0"], 1, &["--worker-threads must be at least 1"]),
    refused("no time for the driver", &["--timeout=0"], 1, &["--timeout must be positive"]),
    refused("negative time", &["--timeout=-1s"], 1, &["--timeout must be positive"]),
    refused(
        "no burst",
        &["--kube-api-qps=5", "--kube-api-burst=0"],
        255,
        &["burst is required to be greater than 0"],
    ),
    // Leader election, checked before anything starts.
    refused(
        "lease shorter than deadline",
        &["--leader-election", "--leader-election-lease-duration=10s"],
        2,
        &["leaseDuration must be greater than renewDeadline", "--leader-election-lease-duration=10s"],
    ),
    refused(
        "deadline shorter than retry",
        &["--leader-election", "--leader-election-retry-period=9s"],
        2,
        &["renewDeadline must be greater than retryPeriod*JitterFactor", "--leader-election-retry-period=9s"],
    ),
    refused(
        "no retry period",
        &["--leader-election", "--leader-election-retry-period=0"],
        2,
        &["set --leader-election-retry-period to a positive duration"],
    ),
    accepted(
        "bad periods that nobody uses",
        &["--leader-election-lease-duration=1s"],
        &["Started provisioner"],
    ),
    // Addresses of the diagnostics server.
    refused(
        "both addresses",
        &["--metrics-address=127.0.0.1:0", "--http-endpoint=127.0.0.1:0"],
        1,
        &["only one of `--metrics-address` and `--http-endpoint` can be set."],
    ),
    refused("address without port", &["--http-endpoint=foo"], 255, &["address foo: missing port in address"]),
    refused(
        "metrics path without slash",
        &["--http-endpoint=127.0.0.1:0", "--metrics-path=foo"],
        2,
        &["\"foo\"", "missing /"],
    ),
    refused(
        "empty metrics path",
        &["--http-endpoint=127.0.0.1:0", "--metrics-path="],
        2,
        &["panic: parsing \"\""],
    ),
    busy_port(255),
    // The driver's address.
    refused(
        "relative path",
        &["--csi-address=csi.sock"],
        1,
        &["OnConnectionLoss callback only supported", "give the absolute path"],
    ),
    refused(
        "one slash",
        &["--csi-address=unix:/a"],
        1,
        &["only supported for unix:// addresses", "give the absolute path"],
    ),
    refused(
        "TCP",
        &["--csi-address=dns:///host:1"],
        1,
        &["only supported for unix:// addresses", "give the absolute path"],
    ),
    refused(
        "relative URL",
        &["--csi-address=unix://a"],
        1,
        &["invalid (non-empty) authority: a", "give the absolute path"],
    ),
    refused("empty address", &["--csi-address="], 1, &["no address given", "give the absolute path"]),
    malformed_endpoint(1),
    // The API server's address.
    not_in_a_pod(255, &["KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"]),
    refused(
        "no such kubeconfig",
        &["--kubeconfig=/no/such"],
        255,
        &["stat /no/such: no such file or directory"],
    ),
    Row {
        before: |_, launch| launch.environment.push(("KUBECONFIG".into(), "/no/such".into())),
        ..refused(
            "KUBECONFIG beats the flag",
            &[],
            255,
            &[
                "Found KUBECONFIG environment variable set, using that..",
                "stat /no/such: no such file or directory",
            ],
        )
    },
    broken_kubeconfig(255),
    refused("master that is no URL", &["--master=https://"], 255, &["invalid --master", "https://host:6443"]),
];
