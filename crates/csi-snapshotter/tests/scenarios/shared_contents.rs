//! The shared scenarios on the API server in this process.

use crate::setup::{DRIVER, Setup, Sidecar, VGSC, VOLUME, VSC};
use crate::shared::contents;
use crate::shared::stage::Stage;

fn stage() -> (Setup, Sidecar, Stage) {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    let stage = Stage {
        client: setup.server.client(),
        driver: DRIVER.into(),
        volumes: [VOLUME.into(), "volume-handle2".into()],
        prefix: "shared".into(),
    };
    (setup, sidecar, stage)
}

fn nothing_is_left(setup: &Setup) {
    assert!(setup.server.list(VSC).is_empty() && setup.server.list(VGSC).is_empty());
    assert!(setup.driver.snapshots().is_empty() && setup.driver.groups().is_empty());
}

macro_rules! on_this_stage {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let (setup, _sidecar, stage) = stage();
            contents::$name(&stage).await.unwrap();
            nothing_is_left(&setup);
        }
    )+};
}

on_this_stage!(
    a_snapshot_is_taken_and_deleted,
    a_group_is_taken_and_deleted,
    a_retained_snapshot_is_found_again,
    a_snapshot_of_nothing_is_told_so,
    a_class_may_come_late,
    a_content_that_is_wanted_stays,
    a_content_held_by_another_forgets_its_snapshot,
);
