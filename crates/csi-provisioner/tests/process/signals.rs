//! SIGTERM and SIGINT in every phase.

use testkit::driver::Step;
use testkit::process::{Calling as _, PATIENCE, Subject as _, pause, signals};

use crate::cluster::Cluster;

testkit::phases!(
    Cluster,
    while_connecting,
    while_the_driver_is_not_ready,
    while_the_api_server_is_away,
    while_standing_by,
    while_idle,
);

#[test]
fn while_a_volume_is_made() {
    signals::while_busy::<Cluster>(
        |cluster, program| {
            signals::call_slowly(cluster, program);
            assert_eq!(cluster.driver().volumes().len(), 1, "it is still in flight");
        },
        |cluster| {
            assert_eq!(cluster.driver().volumes().len(), 2, "the volume was made");
            assert_eq!(cluster.server.list("PersistentVolume").len(), 2, "and saved");
            cluster.bound("busy");
            assert_eq!(cluster.calls(), 1);
        },
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    signals::a_second_signal::<Cluster>(|cluster| cluster.ask(Step::Hang));
}

/// A driver that never answers: the call's own deadline ends the wait, and the next process asks again.
#[test]
fn a_hanging_driver_holds_nothing_up() {
    let cluster = Cluster::new();
    let program = cluster.launch().with(&["--timeout=1s"]).start();
    program.works();
    cluster.ask(Step::HangAfter);
    program.signal("-TERM");
    let end = program.end();
    assert_eq!(end.code, 0, "{}", end.log);
    assert!(end.took < PATIENCE);
    // The call that nobody waits for any more ends with the driver.
    cluster.driver().kill();
    cluster.start_driver();
    pause();
    let next = cluster.launch().start();
    cluster.assert_works();
    drop(next);
}
