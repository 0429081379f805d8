//! How often the driver is called and contents are written: under what the arithmetic of back-off and looks allows, whatever
//! goes wrong, and apart from each other (13.4).

use std::time::Duration;

use csi_client::csi::{
    CreateSnapshotRequest, CreateVolumeGroupSnapshotRequest, DeleteSnapshotRequest, GetSnapshotRequest,
    ListSnapshotsRequest,
};
use serde_json::json;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use tonic::Code;

use crate::setup::{Setup, VGSC, VSC, able, given, pass};

const HOUR: usize = 3600;

/// Tries within an hour: at 0, then after 1, 2, 4 … 256 s, then every 300 s.
fn tries() -> usize {
    let (mut at, mut pause, mut tries) = (0, 1, 1);
    while at + pause <= HOUR {
        at += pause;
        tries += 1;
        pause = (2 * pause).min(300);
    }
    tries
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_always_fails() {
    let setup = Setup::new();
    setup.driver.always::<CreateSnapshotRequest>(Step::fail(Code::Internal, "never"));
    setup.driver.always::<CreateVolumeGroupSnapshotRequest>(Step::fail(Code::Unavailable, "never"));
    let _sidecar = setup.start(&["--resync-period=0"]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    pass(HOUR as u64 - 1).await;
    let (single, group) = (setup.created().len(), setup.driver.count::<CreateVolumeGroupSnapshotRequest>());
    let count =
        |resource: &str| setup.calls().iter().filter(|call| call.split(' ').nth(1) == Some(resource)).count();
    println!("in an hour: {single} and {group} calls, {} tries allowed; {:?}", tries(), setup.calls().len());
    assert_eq!((single, group), (tries(), tries()));
    // A final error takes the mark away, so that the content can go; an open one leaves it where it is.
    assert_eq!(count("volumesnapshotcontents"), 2 * tries());
    assert_eq!(count("volumegroupsnapshotcontents"), 1);
    assert_eq!((count("volumesnapshotcontents/status"), count("volumegroupsnapshotcontents/status")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_always_fails() {
    let setup = Setup::new();
    setup.driver.always::<DeleteSnapshotRequest>(Step::fail(Code::Internal, "never"));
    let _sidecar = setup.start(&["--resync-period=0"]);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
    let before = setup.writes();
    setup.unwanted(VSC, "content");
    pass(HOUR as u64 - 1).await;
    assert_eq!((setup.deleted().len(), setup.writes() - before), (tries(), 1));
    assert!(!setup.vsc("content").is_null());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_always_fails() {
    let setup = Setup::new();
    let _sidecar = setup.start(&["--resync-period=0"]);
    setup.content("content", given("missing"));
    pass(HOUR as u64 - 1).await;
    assert_eq!((setup.driver.count::<ListSnapshotsRequest>(), setup.writes()), (tries(), 1));
    assert_eq!(
        setup.error(VSC, "content"),
        "Failed to check and update snapshot content: failed to list snapshot for content content: \"can not find \
         snapshot for snapshotID missing\""
    );
}

/// A resync does not disturb what has a time for its next look already.
#[tokio::test(start_paused = true)]
async fn resyncs_do_not_speed_anything_up() {
    let setup = Setup::slow(Duration::from_secs(7200));
    setup.driver.always::<CreateVolumeGroupSnapshotRequest>(Step::fail(Code::Internal, "never"));
    let _sidecar = setup.start(&["--resync-period=1s"]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    pass(HOUR as u64 - 1).await;
    assert_eq!(setup.driver.count::<CreateVolumeGroupSnapshotRequest>(), tries());
    let looks = setup.created().len();
    // 1 + 2 + … + 32 s, then a minute each, all up to a tenth longer.
    assert!((58..=66).contains(&looks), "{looks} looks in an hour");
}

/// Looks that found it not ready do not make the first failure wait, and failures do not make looks wait.
#[tokio::test(start_paused = true)]
async fn not_ready_is_no_failure() {
    let setup = Setup::slow(Duration::from_secs(7200));
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    pass(HOUR as u64).await;
    setup.driver.script::<CreateSnapshotRequest>([Step::fail(Code::Unavailable, "once")]);
    setup.failed(VSC, "content").await;
    let before = setup.created().len();
    pass(2).await;
    assert_eq!(setup.created().len(), before + 1, "the back-off begins with a second");
    // Upstream would be waiting up to five minutes by now.
    pass(140).await;
    assert!((2..=3).contains(&(setup.created().len() - before - 1)), "{}", setup.created().len() - before);
}

/// Snapshots that were taken together are not looked at together for ever.
#[tokio::test(start_paused = true)]
async fn looks_are_spread() {
    let setup = Setup::slow(Duration::from_secs(7200));
    let _sidecar = setup.start(&[]);
    for number in 0..20 {
        setup.content(&format!("content-{number}"), json!({}));
    }
    pass(1800).await;
    let mut most = 0;
    for _ in 0..60 {
        let before = setup.created().len();
        pass(1).await;
        most = most.max(setup.created().len() - before);
    }
    assert!(most <= 10, "{most} looks in one second");
}

/// Somebody who writes into a content all the time does not have the driver called all the time.
#[tokio::test(start_paused = true)]
async fn others_writes_that_mean_nothing_cost_nothing() {
    let setup = Setup::new();
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    setup.ready(VSC, "content").await;
    setup.ready(VGSC, "group").await;
    let before = (setup.driver.calls().len(), setup.writes());
    for number in 0..50 {
        let noted = json!({"metadata": {"annotations": {"example.com/seen": number.to_string()}}});
        setup.patch(VSC, "content", &noted);
        setup.patch(VGSC, "group", &noted);
        pass(1).await;
    }
    assert_eq!((setup.driver.calls().len(), setup.writes()), before);
}

/// A driver that has GetSnapshot and refuses it is asked as upstream asks, without a write per look.
#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_tell_costs_no_write_per_look() {
    let controller = vec![ControllerCapability::CreateDeleteSnapshot, ControllerCapability::GetSnapshot];
    let snapshot_time = Duration::from_secs(1800);
    let setup = Setup::with(DriverConfig { controller, snapshot_time, ..able() });
    setup.driver.always::<GetSnapshotRequest>(Step::fail(Code::Internal, "never"));
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    pass(1700).await;
    // Marked, status, unmarked; asked in vain; marked again for good.
    assert_eq!((setup.driver.count::<GetSnapshotRequest>(), setup.writes()), (1, 4));
    assert!((25..=36).contains(&setup.created().len()), "{}", setup.created().len());
    setup.ready(VSC, "content").await;
    assert_eq!((setup.writes(), setup.events("content").len()), (6, 0));
}
