//! The shared scenarios on the API server in this process.

use std::cell::RefCell;

use sidecar_core::clock::Clock;
use sidecar_testkit::EPOCH;

use crate::beside::Beside;
use crate::setup::{DRIVER, Setup, USER};
use crate::shared::{groups, snapshots};

fn stage() -> (Setup, Beside) {
    let setup = Setup::new();
    let beside = Beside::new(&setup.server, DRIVER, Clock::simulated(EPOCH.parse().unwrap()));
    (setup, beside)
}

macro_rules! on_this_stage {
    ($of:ident: $($name:ident),+ $(,)?) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let (setup, beside) = stage();
            let _controller = setup.start(&[]);
            $of::$name(&beside.stage).await.unwrap();
            beside.assert_nothing_left(&setup.server, USER);
        }
    )+};
}

on_this_stage!(
    snapshots: a_snapshot_is_bound_and_goes_with_its_content,
    a_snapshot_without_a_class_gets_the_default,
    a_retained_snapshot_is_bound_again,
    a_content_of_another_snapshot_is_left_alone,
    a_claim_is_protected_while_it_is_cut,
    a_snapshot_that_is_restored_from_stays,
    a_class_may_come_late_for_a_snapshot,
    a_class_of_another_driver_is_refused,
    a_snapshot_that_lost_its_content_says_so,
);
on_this_stage!(groups: a_group_is_taken_and_goes_with_its_members, a_member_goes_no_sooner_than_its_group);

/// Both compete for the Lease; the one that leads is killed.
#[tokio::test(start_paused = true)]
async fn the_other_replica_goes_on() {
    let (setup, beside) = stage();
    let start = |host: &'static str| (host, setup.start_as(host, &["--leader-election"]));
    let replicas = RefCell::new(Vec::from(["host-1", "host-2"].map(start)));
    let end = async |leader: &str| {
        let mut replicas = replicas.borrow_mut();
        let before = replicas.len();
        replicas.retain(|(host, _)| *host != leader);
        if replicas.len() < before { Ok(()) } else { Err(format!("{leader} is no replica")) }
    };
    snapshots::the_other_replica_goes_on(&beside.stage, end).await.unwrap();
    beside.assert_nothing_left(&setup.server, USER);
}
