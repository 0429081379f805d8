//! The shared scenarios with the real binary, over HTTPS and within upstream's rules. That of two replicas is not among them: on
//! one machine both have the same name.

use sidecar_core::clock::Clock;
use testkit::process::{DRIVER, Stand};

use crate::beside::Beside;
use crate::cluster::Cluster;
use crate::shared::{groups, snapshots};

macro_rules! with_the_binary {
    ($of:ident: $($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            let cluster = Cluster::empty();
            let stand: &Stand = &cluster;
            let program = stand.launch().start();
            program.works();
            let beside = {
                let _in_runtime = stand.runtime.enter();
                Beside::new(&stand.server, DRIVER, Clock::system())
            };
            let played = stand.runtime.block_on($of::$name(&beside.stage));
            assert_eq!(played, Ok(()), "{}", program.log());
            beside.assert_nothing_left(&stand.server, stand.profile.user);
            program.signal("-TERM");
            assert_eq!(program.end().code, 0);
        }
    )+};
}

with_the_binary!(
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
with_the_binary!(groups: a_group_is_taken_and_goes_with_its_members, a_member_goes_no_sooner_than_its_group);
