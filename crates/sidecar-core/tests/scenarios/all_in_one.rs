//! The all-in-one's command line (sheet `all-in-one`, section 2).

use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary::{
    self, AllInOne, Attacher, Livenessprobe, NodeDriverRegistrar, Provisioner, Resizer, SnapshotController,
    Snapshotter,
};
use sidecar_core::flags::Parsed;

use crate::flag_matrix::read;

fn alone(arguments: &[&str], binary: Binary) -> Parsed {
    read(AllInOne, arguments).unwrap().of_controller(binary).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let exit: Exit = read(AllInOne, arguments).unwrap_err();
    assert_eq!(exit.code, 2);
    exit.message
}

#[test]
fn a_plain_flag_sets_every_controller_and_a_prefixed_one_wins() {
    for arguments in [["--timeout=7s", "--attacher-timeout=9s"], ["--attacher-timeout=9s", "--timeout=7s"]] {
        assert_eq!(alone(&arguments, Provisioner).duration("timeout").as_secs(), 7);
        assert_eq!(alone(&arguments, Attacher).duration("timeout").as_secs(), 9);
        assert_eq!(alone(&arguments, NodeDriverRegistrar).duration("timeout").as_secs(), 1, "not reached");
    }
}

#[test]
fn without_a_flag_each_controller_keeps_its_own_default() {
    for (binary, seconds, workers) in [
        (Provisioner, 10, "worker-threads"),
        (Attacher, 15, "worker-threads"),
        (Resizer, 10, "workers"),
        (Snapshotter, 60, "worker-threads"),
    ] {
        let parsed = alone(&[], binary);
        assert_eq!(parsed.duration("timeout").as_secs(), seconds);
        assert_eq!(parsed.uint(workers), if binary == Provisioner { 100 } else { 10 });
        assert!(!parsed.is_set("timeout"));
    }
}

#[test]
fn two_names_of_one_flag() {
    for argument in ["--workers=3", "--worker-threads=3", "-worker-thread=3"] {
        assert_eq!(alone(&[argument], Resizer).int("workers"), 3, "{argument}");
    }
    assert_eq!(alone(&["--resizer-worker-threads=4", "--workers=3"], Resizer).int("workers"), 4);
    assert_eq!(alone(&["--workers=3"], Provisioner).uint("worker-threads"), 3);
    assert_eq!(alone(&["--resync=1m"], Snapshotter).duration("resync-period").as_secs(), 60);
    assert_eq!(alone(&["--attacher-resync-period=1m"], Attacher).duration("resync").as_secs(), 60);
    let negative = read(AllInOne, &["--workers=-1"]).unwrap();
    assert_eq!(negative.of_controller(SnapshotController).unwrap().int("worker-threads"), -1);
    let exit = negative.of_controller(Provisioner).unwrap_err();
    assert!(exit.code == 2 && exit.message.contains("--workers"), "{exit}");
}

#[test]
fn dialect_is_the_union_of_both() {
    for arguments in [&["-v5"][..], &["-v=5"], &["--v", "5"], &["-v", "5"]] {
        assert_eq!(read(AllInOne, arguments).unwrap().uint("v"), 5);
    }
    assert_eq!(alone(&["-csi-address=/x"], Provisioner).string("csi-address"), "/x");
    assert!(read(AllInOne, &["-version"]).unwrap().bool("version"), "the exact name wins over letters");
    assert_eq!(read(AllInOne, &["--help"]).unwrap_err().code, 0);
}

#[test]
fn positional_arguments_are_mistakes() {
    assert!(refused(&["--leader-election", "false"]).contains("unexpected argument \"false\""));
    assert!(refused(&["--"]).contains("unexpected argument"));
    assert!(refused(&["--nonsense=1"]).contains("unknown flag: --nonsense"));
    assert!(refused(&["--resizer-volume-name-prefix=x"]).contains("unknown flag"));
}

#[test]
fn every_flag_of_one_controller_also_exists_plain() {
    assert!(alone(&["--enable-capacity"], Provisioner).bool("enable-capacity"));
    assert!(alone(&["--provisioner-enable-capacity"], Provisioner).bool("enable-capacity"));
    let parsed = read(AllInOne, &["--provisioner-enable-capacity", "--attacher-v=4"]).unwrap();
    assert_eq!(parsed.named_controllers().into_iter().collect::<Vec<_>>(), [Provisioner, Attacher]);
}

#[test]
fn addresses_of_the_common_server_reach_no_controller() {
    let arguments = ["--http-endpoint=:1", "--livenessprobe-http-endpoint=:2"];
    assert_eq!(alone(&arguments, Provisioner).string("http-endpoint"), "");
    assert_eq!(alone(&arguments, Livenessprobe).string("http-endpoint"), ":2");
    assert_eq!(read(AllInOne, &arguments).unwrap().string("http-endpoint"), ":1");
}

#[test]
fn the_resizer_is_limited_to_a_node_only_by_its_own_flag() {
    assert!(!alone(&["--node-deployment"], Resizer).bool("node-deployment"));
    assert!(alone(&["--node-deployment"], Snapshotter).bool("node-deployment"));
    assert!(alone(&["--resizer-node-deployment"], Resizer).bool("node-deployment"));
}

#[test]
fn feature_gates_go_to_the_controllers_that_have_them() {
    let arguments = [
        "--feature-gates=Topology=false,AnnotateFsResize=false",
        "--resizer-feature-gates=AnnotateFsResize=true",
    ];
    let gates = |binary| alone(&arguments, binary).gates("feature-gates").into_iter().collect::<Vec<_>>();
    assert_eq!(gates(Provisioner), [("Topology".to_owned(), false)]);
    assert_eq!(gates(Resizer), [("AnnotateFsResize".to_owned(), true)]);
    assert!(gates(Attacher).is_empty());
}

#[test]
fn strict_mode_refuses_aliases_and_documented_additions() {
    assert!(read(AllInOne, &["--worker-thread=3"]).is_ok());
    refused(&["--upstream-flags-only", "--worker-thread=3"]);
    refused(&["--upstream-flags-only", "--attacher-volume-attachment-timeout=1m"]);
}
