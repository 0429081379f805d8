//! SIGTERM and SIGINT in every phase.

use testkit::driver::Step;
use testkit::process::{Calling as _, signals};

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
fn while_a_snapshot_is_taken() {
    signals::while_busy::<Cluster>(signals::call_slowly, |cluster| {
        cluster.ready("busy");
        assert_eq!(cluster.calls(), 1);
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    signals::a_second_signal::<Cluster>(|cluster| cluster.ask(Step::Hang));
}
