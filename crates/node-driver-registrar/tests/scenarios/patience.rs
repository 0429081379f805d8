//! Drivers that are late with their name, and drivers that restart (sheet 13.4, 13.5). Both only for those who ask for it:
//! the rows of `endings.rs` are what happens otherwise.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use csi_client::csi;
use testkit::driver::Step;
use testkit::process::{Program, eventually};
use tonic::Code;

use crate::kubelet::get_info;
use crate::registrar::Node;

const PATIENT: &str = "--driver-name-timeout=20s";

fn inode(node: &Node) -> u64 {
    std::fs::metadata(node.socket()).unwrap().ino()
}

#[test]
fn a_driver_that_tells_its_name_late_is_asked_again() {
    let node = Node::with_driver();
    node.driver.script::<csi::GetPluginInfoRequest>([
        Step::fail(Code::Unavailable, "starting"),
        Step::edit(|answer: &mut csi::GetPluginInfoResponse| answer.name.clear()),
    ]);
    let registrar = node.start_serving(&[PATIENT]);
    assert_eq!(
        registrar.log().matches("CSI driver does not tell its name yet").count(),
        2,
        "{}",
        registrar.log()
    );
    assert!(get_info(&node.socket(), "localhost").is_ok());
}

#[test]
fn patience_ends_with_the_same_error_and_code() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::fail(Code::Internal, "broken"));
    let end = node.start(&["--driver-name-timeout=3s"]).end();
    assert_eq!(end.code, 1);
    let last = "\"Error retreiving CSI driver name\" err=\"rpc error: code = Internal desc = broken\"";
    assert!(end.log.contains(last), "{}", end.log);
    // At once, after 0.5 s and after 1.5 s; another pause would pass the limit.
    assert_eq!(node.driver.count::<csi::GetPluginInfoRequest>(), 3);
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&end.took), "{:?}", end.took);
}

#[test]
fn a_driver_that_does_not_know_the_question_is_not_asked_again() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::fail(Code::Unimplemented, "what?"));
    assert_eq!(node.start(&[PATIENT]).end().code, 1);
    assert_eq!(node.driver.count::<csi::GetPluginInfoRequest>(), 1);
}

#[test]
fn a_signal_while_asking_ends_at_once() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::fail(Code::Unavailable, "starting"));
    let registrar = node.start(&["--driver-name-timeout=1h"]);
    registrar.wait_for("CSI driver does not tell its name yet");
    registrar.signal("-TERM");
    assert_eq!(registrar.end().code, 0);
}

/// Restarts the driver behind the registrar's back.
fn restart(node: &Node, registrar: &Program) {
    node.driver.kill();
    registrar.wait_for("Lost connection");
    node.serve_driver();
}

#[test]
fn a_driver_that_has_restarted_is_registered_again() {
    let node = Node::with_driver();
    let mut registrar = node.start_serving(&["--follow-driver"]);
    let first = inode(&node);
    restart(&node, &registrar);
    eventually("a new socket", || node.socket().exists() && inode(&node) != first);
    assert!(
        registrar.log().contains("CSI driver has restarted, registering it again"),
        "{}",
        registrar.log()
    );
    assert!(get_info(&node.socket(), "localhost").is_ok());
    // Also the second time, and when it is slow to answer.
    let second = inode(&node);
    node.driver.script::<csi::GetPluginInfoRequest>([Step::fail(Code::Unavailable, "starting")]);
    restart(&node, &registrar);
    eventually("a new socket", || inode(&node) != second);
    assert!(registrar.is_running());
    registrar.signal("-TERM");
    assert_eq!(registrar.end().code, 0);
    assert!(!node.socket().exists(), "the newest socket is ours");
}

#[test]
fn a_driver_that_comes_back_under_another_name_ends_the_registrar() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&["--follow-driver"]);
    node.driver.configure(|config| config.name = "y".to_owned());
    restart(&node, &registrar);
    let end = registrar.end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("The CSI driver has come back under another name"), "{}", end.log);
    assert!(!node.socket().exists(), "kubelet forgets the old name");
}

/// Beside it runs one that follows, so that there is something to wait for.
#[test]
fn without_the_flag_a_restart_changes_nothing() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&[]);
    let first = inode(&node);
    let other = format!("--registration-path={}/other.sock", node.registration_directory().display());
    let following = node.start_serving(&["--follow-driver", &other]);
    restart(&node, &following);
    following.wait_for("Made the registration socket anew");
    assert_eq!(inode(&node), first);
    assert!(!registrar.log().contains("Lost connection"), "{}", registrar.log());
}
