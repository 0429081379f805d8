//! Neither kind of work waits for the other (upstream issue 761), and no more calls are made at a time than
//! `--worker-threads` says.

use std::time::Duration;

use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;

use crate::setup::{Setup, is_attached, pass};

const SLOW: Duration = Duration::from_secs(10);
const MANY: usize = 100;

#[tokio::test(start_paused = true)]
async fn a_burst_of_detachments_does_not_delay_an_attachment() {
    let setup = Setup::new();
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::late(SLOW));
    let names: Vec<String> = (0..MANY).map(|number| setup.pair(number, "node1")).collect();
    let _sidecar = setup.start(&["--worker-threads=2"]);
    setup.until("all attached", || names.iter().all(|name| is_attached(&setup.get_va(name)))).await;
    for name in &names {
        setup.delete("VolumeAttachment", name);
    }
    pass(1).await;
    let start = Instant::now();
    let wanted = setup.pair(MANY, "node1");
    setup.until("attached", || is_attached(&setup.get_va(&wanted))).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(setup.unpublished().len() < MANY, "the burst goes on");
    setup.until("all gone", || names.iter().all(|name| setup.get_va(name).is_null())).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_attachments_does_not_delay_a_detachment() {
    let setup = Setup::new();
    let first = setup.pair(MANY, "node1");
    let _sidecar = setup.start(&["--worker-threads=2"]);
    setup.until("attached", || is_attached(&setup.get_va(&first))).await;
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::late(SLOW));
    for number in 0..MANY {
        setup.pair(number, "node1");
    }
    pass(1).await;
    let start = Instant::now();
    setup.delete("VolumeAttachment", &first);
    setup.until("gone", || setup.get_va(&first).is_null()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(setup.published().len() < MANY, "the burst goes on");
}

#[tokio::test(start_paused = true)]
async fn an_attachment_deleted_while_it_waits_is_never_attached() {
    let setup = Setup::new();
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::late(SLOW));
    let names: Vec<String> = (0..20).map(|number| setup.pair(number, "node1")).collect();
    let _sidecar = setup.start(&["--worker-threads=1"]);
    pass(1).await;
    setup.delete("VolumeAttachment", &names[19]);
    pass(1).await;
    assert!(setup.get_va(&names[19]).is_null(), "there was nothing to detach");
    setup.until("all attached", || names[..19].iter().all(|name| is_attached(&setup.get_va(name)))).await;
    assert_eq!(setup.published().len(), 19);
    assert!(setup.unpublished().is_empty());
}

#[tokio::test(start_paused = true)]
async fn worker_threads_bound_the_calls_of_a_lane() {
    let setup = Setup::new();
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::late(SLOW));
    let names: Vec<String> = (0..30).map(|number| setup.pair(number, "node1")).collect();
    let sidecar = setup.start(&["--worker-threads=3"]);
    for round in 1..=4 {
        pass(if round == 1 { 6 } else { 10 }).await;
        assert_eq!(setup.published().len(), 3 * round);
        assert!(sidecar.metric("csi_attacher_backlog{operation=\"attach\"}") > 1.0);
    }
    setup.until("all attached", || names.iter().all(|name| is_attached(&setup.get_va(name)))).await;
    assert_eq!(setup.published().len(), 30);
    assert_eq!(json!(setup.driver.volumes().len()), 31);
}
