//! What documents promise beyond upstream (sheet `documented-dialects`), and the strict mode that takes it away.

use sidecar_core::context::Variables;
use sidecar_core::flags::Binary::{
    self, Attacher, ClusterDriverRegistrar, Hostpath, Livenessprobe, NodeDriverRegistrar, Provisioner,
    Resizer, SnapshotController, Snapshotter,
};
use sidecar_core::flags::{Notice, parse};

use crate::flag_matrix::read;

const SERVING: [Binary; 9] = [
    Provisioner,
    Attacher,
    Resizer,
    Snapshotter,
    SnapshotController,
    NodeDriverRegistrar,
    Livenessprobe,
    ClusterDriverRegistrar,
    Hostpath,
];

fn refused_when_strict(binary: Binary, arguments: &[&str]) {
    for strict in ["--upstream-flags-only", "--upstream-flags-only=true"] {
        let exit = read(binary, &[&[strict], arguments].concat()).unwrap_err();
        assert_eq!(exit.code, 2, "{} {arguments:?}", binary.name());
        // The place on the command line does not matter.
        let exit = read(binary, &[arguments, &[strict]].concat()).unwrap_err();
        assert_eq!(exit.code, 2, "{} {arguments:?}", binary.name());
    }
}

#[test]
fn metrics_addr_and_health_addr() {
    for binary in SERVING {
        let arguments = ["--metrics-addr=:8080", "--health-addr=:9808"];
        let parsed = read(binary, &arguments).unwrap();
        assert_eq!((parsed.string("metrics-addr"), parsed.string("health-addr")), (":8080", ":9808"));
        assert!(parsed.notices.is_empty(), "they have a meaning of their own");
        refused_when_strict(binary, &arguments[..1]);
        refused_when_strict(binary, &arguments[1..]);
    }
}

#[test]
fn driver_names() {
    let aliases = [
        (Provisioner, &["provisioner", "csi-driver", "CSI-driver"][..]),
        (Attacher, &["csi-driver", "CSI-driver"]),
        (Resizer, &["csi-driver", "CSI-driver"]),
        (Snapshotter, &["snapshotter", "csi-driver", "CSI-driver"]),
        (NodeDriverRegistrar, &["csi-driver", "CSI-driver"]),
    ];
    for (binary, names) in aliases {
        for name in names {
            let argument = format!("--{name}=fake.csi.example.com");
            let parsed = read(binary, &[&argument]).unwrap();
            assert_eq!(parsed.string("driver-name"), "fake.csi.example.com", "{} {argument}", binary.name());
            let alias = Notice::Alias { option: (*name).to_owned(), instead: "driver-name".to_owned() };
            assert_eq!(parsed.notices, [alias]);
            refused_when_strict(binary, &[&argument]);
        }
        refused_when_strict(binary, &["--driver-name=x"]);
    }
    assert_eq!(read(Attacher, &["--provisioner=x"]).unwrap_err().code, 2, "only where it was documented");
}

#[test]
fn volume_attachment_timeout_and_registration_path() {
    assert!(read(Attacher, &[]).unwrap().duration("volume-attachment-timeout").is_zero());
    let parsed = read(Attacher, &["--volume-attachment-timeout=15m"]).unwrap();
    assert_eq!(parsed.duration("volume-attachment-timeout").as_secs(), 900);
    refused_when_strict(Attacher, &["--volume-attachment-timeout=15m"]);
    let parsed = read(NodeDriverRegistrar, &["--registration-path=/registration/x.sock"]).unwrap();
    assert_eq!(parsed.string("registration-path"), "/registration/x.sock");
    refused_when_strict(NodeDriverRegistrar, &["--registration-path=/x"]);
}

/// What the sheets' sections 13 call optional is off until it is asked for.
#[test]
fn options_that_go_beyond_upstream_are_off_by_default() {
    let options = [
        (Attacher, "detach-by-annotation", "true"),
        (Attacher, "detach-before-attach", "2m"),
        (Attacher, "retry-interval-jitter", "0.2"),
        (NodeDriverRegistrar, "driver-name-timeout", "30s"),
        (NodeDriverRegistrar, "follow-driver", "true"),
        (Resizer, "node-deployment", "true"),
        (Resizer, "resource-exhausted-is-final", "true"),
    ];
    for (binary, name, value) in options {
        let off = read(binary, &[]).unwrap();
        let zero = ["false", "0s", "0"];
        assert!(zero.contains(&off.value(name).unwrap().to_string().as_str()), "{name}");
        let argument = format!("--{name}={value}");
        let parsed = read(binary, &[&argument]).unwrap();
        assert!(parsed.is_set(name) && parsed.notices.is_empty(), "{name} has a meaning of its own");
        refused_when_strict(binary, &[&argument]);
    }
}

#[test]
fn options_without_effect_are_accepted_with_one_warning() {
    let without_effect = [
        (NodeDriverRegistrar, &["--node-id=n", "--node-id=m"][..]),
        (NodeDriverRegistrar, &["--kubeconfig=/k"]),
        (Provisioner, &["--connection-timeout=15s"]),
        (Attacher, &["--connection-timeout=15s"]),
        (Snapshotter, &["--connection-timeout=15s"]),
        (Livenessprobe, &["--connection-timeout=15s"]),
        (Provisioner, &["--leader-election-type=leases"]),
        (Attacher, &["--leader-election-type=leases"]),
        (Attacher, &["--dummy"]),
        (Provisioner, &["--provisioning-retry-count=3"]),
    ];
    for (binary, arguments) in without_effect {
        let parsed = read(binary, arguments).unwrap();
        assert!(
            matches!(parsed.notices[..], [Notice::NoEffect { .. }]),
            "{arguments:?}: {:?}",
            parsed.notices
        );
        refused_when_strict(binary, &arguments[..1]);
    }
    assert_eq!(
        read(Provisioner, &["--connection-timeout=15"]).unwrap_err().code,
        2,
        "values are still checked"
    );
}

#[test]
fn klogs_removed_flags() {
    let klog = [
        "--logtostderr",
        "--alsologtostderr=true",
        "--stderrthreshold=2",
        "--log_dir=/x",
        "--log_file=/x",
        "--log_file_max_size=1800",
        "--log_backtrace_at=:0",
        "--skip_headers",
        "--skip_log_headers",
        "--add_dir_header",
        "--one_output",
    ];
    for binary in SERVING.into_iter().filter(|binary| !matches!(binary, ClusterDriverRegistrar | Hostpath)) {
        assert_eq!(read(binary, &klog).unwrap().notices.len(), klog.len(), "{}", binary.name());
        refused_when_strict(binary, &klog[..1]);
    }
}

#[test]
fn old_names_of_working_options() {
    let parsed = read(Provisioner, &["--enable-leader-election"]).unwrap();
    assert!(parsed.bool("leader-election") && parsed.is_set("leader-election"));
    assert!(!read(Provisioner, &["--enable-leader-election=false"]).unwrap().bool("leader-election"));
    assert_eq!(
        read(Attacher, &["--leader-election-identity=me"]).unwrap().string("leader-election-identity"),
        "me"
    );
    assert_eq!(read(Resizer, &["--csiTimeout=3s"]).unwrap().duration("timeout").as_secs(), 3);
    for binary in [Snapshotter, SnapshotController] {
        let parsed = read(binary, &["--enable-volume-group-snapshots=false"]).unwrap();
        assert_eq!(parsed.gates("feature-gates").get("CSIVolumeGroupSnapshot"), Some(&false));
        let both = ["--enable-volume-group-snapshots=false", "--feature-gates=CSIVolumeGroupSnapshot=true"];
        let parsed = read(binary, &both).unwrap();
        assert_eq!(
            parsed.gates("feature-gates").get("CSIVolumeGroupSnapshot"),
            Some(&true),
            "the gate itself wins"
        );
    }
}

#[test]
fn env_csi_endpoint() {
    let with = |binary, arguments: &[&str], value: &str| {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        parse(binary, "x", &arguments, &Variables::from_pairs([("CSI_ENDPOINT", value)]))
    };
    for good in ["unix:///csi/csi.sock", "/csi/csi.sock"] {
        let parsed = with(Provisioner, &[], good).unwrap();
        assert_eq!(parsed.string("csi-address"), good);
        assert_eq!(parsed.notices, [Notice::Variable { name: "CSI_ENDPOINT", option: "csi-address" }]);
    }
    assert_eq!(with(Attacher, &["--csi-address=/flag"], "tcp://x:1").unwrap().string("csi-address"), "/flag");
    let exit = with(Attacher, &[], "tcp://x:1").unwrap_err();
    assert!(exit.code == 1 && exit.message.contains("CSI_ENDPOINT"), "{exit:?}");
    assert!(with(Hostpath, &[], "tcp://x:1").is_ok(), "no --csi-address, no variable");
    let strict = with(Attacher, &["--upstream-flags-only"], "/env").unwrap();
    assert_eq!(strict.string("csi-address"), "/run/csi/socket");
}

#[test]
fn env_kube_config_path() {
    let with = |binary, arguments: &[&str], pairs: &[(&str, &str)]| {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let parsed = parse(binary, "x", &arguments, &Variables::from_pairs(pairs.iter().copied())).unwrap();
        parsed.string("kubeconfig").to_owned()
    };
    let (path, upstream) = (("KUBE_CONFIG_PATH", "/path"), ("KUBECONFIG", "/upstream"));
    assert_eq!(with(Attacher, &[], &[path]), "/path");
    assert_eq!(with(Attacher, &["--kubeconfig=/flag"], &[path]), "/flag");
    assert_eq!(with(Attacher, &[], &[upstream]), "", "only the provisioner knows KUBECONFIG");
    assert_eq!(
        with(Provisioner, &["--kubeconfig=/flag"], &[path, upstream]),
        "/upstream",
        "beats even the flag"
    );
    assert_eq!(with(Provisioner, &["--upstream-flags-only"], &[path, upstream]), "/upstream");
    assert_eq!(with(Provisioner, &["--upstream-flags-only"], &[path]), "");
    assert_eq!(with(Provisioner, &[], &[path, ("KUBECONFIG", "")]), "/path");
}
