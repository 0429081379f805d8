//! The sheet's table 11.4, and 13.9: the comparison with the driver's list.

use csi_client::csi::{
    ControllerPublishVolumeRequest, ListVolumesRequest, ListVolumesResponse, ProbeRequest,
};
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, Step};
use tonic::Code;

use crate::attach::{GCE, gce};
use crate::setup::{ABLE, F, GIB, NODE_ID, Setup, VA, both, detaching, pass, settle};

fn attached_fields() -> Value {
    json!({
        "metadata": {"finalizers": [F], "annotations": {NODE_ID: "nodeID1"}},
        "status": {"attached": true, "attachmentMetadata": {"device": "/dev/handle1"}},
    })
}

/// What the driver lists, whatever it has.
fn lists(setup: &Setup, nodes: &'static [&'static str]) {
    setup.driver.always::<ListVolumesRequest>(Step::edit(move |answer: &mut ListVolumesResponse| {
        for entry in &mut answer.entries {
            if let Some(status) = &mut entry.status {
                status.published_node_ids = nodes.iter().map(|node| (*node).to_owned()).collect();
            }
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn va_attached_driver_reports_nothing() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    let sidecar = setup.start(&[]);
    settle().await;
    assert_eq!(setup.published().len(), 1);
    assert_eq!(setup.actions(), Vec::<String>::new(), "no empty patch, unlike upstream");
    assert!((sidecar.metric("csi_attacher_state_mismatches_total") - 1.0).abs() < 0.1);
    pass(600).await;
    assert_eq!(setup.published().len(), 1, "the driver lists it now");
}

#[tokio::test(start_paused = true)]
async fn va_attached_driver_reports_node() {
    let setup = Setup::listing();
    setup.delete("CSINode", "node1");
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    lists(&setup, &["nodeID1"]);
    let _sidecar = setup.start(&[]);
    pass(200).await;
    assert_eq!((setup.actions(), setup.published().len()), (Vec::new(), 0));
    assert!(setup.driver.count::<ListVolumesRequest>() >= 3);
}

#[tokio::test(start_paused = true)]
async fn va_deleting_no_finalizer_not_attached_driver_reports_node() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    let fields = json!({"metadata": {"finalizers": ["x/y"]}, "status": {"attached": false}});
    setup.attachment(both(detaching(json!({})), fields));
    lists(&setup, &["nodeID1"]);
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!((setup.actions(), setup.unpublished().len()), (Vec::new(), 1));
}

#[tokio::test(start_paused = true)]
async fn no_vas_driver_reports_volumes() {
    let setup = Setup::listing();
    lists(&setup, &["nodeID1"]);
    let _sidecar = setup.start(&[]);
    pass(200).await;
    assert_eq!((setup.actions(), setup.published().len(), setup.unpublished().len()), (Vec::new(), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_attachment_is_made_again() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    setup.driver.lose_attachment("handle1", "nodeID1");
    pass(70).await;
    assert_eq!(setup.published().len(), 2);
    assert!(setup.driver.volumes()[0].published.contains_key("nodeID1"));
}

#[tokio::test(start_paused = true)]
async fn a_forced_attach_that_fails_is_tried_again() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::fail(Code::Internal, "not now")]);
    let _sidecar = setup.start(&["--reconcile-sync=1h"]);
    settle().await;
    assert_eq!(setup.published().len(), 2);
    assert_eq!(setup.va()["status"]["attachError"], Value::Null, "an old error does not stay on it");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page() {
    let setup = Setup::listing();
    setup.driver.add_volume("handle2", GIB);
    setup.driver.add_volume("handle3", GIB);
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    let _sidecar = setup.start(&["--max-entries=1"]);
    settle().await;
    let pages: Vec<ListVolumesRequest> = setup.driver.requests();
    let tokens: Vec<&str> = pages.iter().map(|page| page.starting_token.as_str()).collect();
    assert_eq!(tokens, ["", "handle2", "handle3"]);
    assert!(pages.iter().all(|page| page.max_entries == 1));
}

/// Upstream: one deadline for all pages together (issue 356).
#[tokio::test(start_paused = true)]
async fn every_page_has_its_own_deadline() {
    let setup = Setup::listing();
    for number in 2..=4 {
        setup.driver.add_volume(&format!("handle{number}"), GIB);
    }
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    setup.driver.always::<ListVolumesRequest>(Step::late(std::time::Duration::from_secs(10)));
    let _sidecar = setup.start(&["--max-entries=1", "--timeout=15s"]);
    pass(45).await;
    assert_eq!(setup.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_repeats_a_token_is_left_alone_until_the_next_pass() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    setup.driver.always::<ListVolumesRequest>(Step::edit(|answer: &mut ListVolumesResponse| {
        "handle1".clone_into(&mut answer.next_token);
    }));
    let _sidecar = setup.start(&[]);
    pass(110).await;
    assert_eq!(setup.driver.count::<ListVolumesRequest>(), 4);
    assert!(setup.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn list_volumes_error_waits_for_the_next_pass() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    setup.driver.script::<ListVolumesRequest>([Step::fail(Code::Internal, "no")]);
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(setup.published().is_empty());
    pass(60).await;
    assert_eq!(setup.published().len(), 1);
}

/// What was attached while the driver listed looks lost in the list, and is not.
#[tokio::test(start_paused = true)]
async fn vas_attached_during_a_long_listing_are_left_alone() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    let slow = Step::Late(
        std::time::Duration::from_secs(10),
        Box::new(Step::edit(|answer: &mut ListVolumesResponse| answer.entries.clear())),
    );
    setup.driver.script::<ListVolumesRequest>([slow]);
    let _sidecar = setup.start(&[]);
    pass(5).await;
    setup.attachment(json!({}));
    setup.attached().await;
    pass(20).await;
    assert_eq!(setup.published().len(), 1);
}

/// Ids in the list that never match (vsphere-csi-driver 2534): tried ever more rarely, not every minute for ever.
#[tokio::test(start_paused = true)]
async fn a_contradiction_that_stays_is_tried_ever_more_rarely() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    lists(&setup, &[]);
    let _sidecar = setup.start(&[]);
    pass(2 * 3600).await;
    let calls = setup.published().len();
    assert!((8..=14).contains(&calls), "{calls} calls");
}

/// The list is longer than gRPC's usual limit of 4 MiB.
#[tokio::test(start_paused = true)]
async fn a_list_of_more_than_4_mib_is_read() {
    let setup = Setup::listing();
    setup.volume(json!({}));
    setup.attachment(attached_fields());
    setup.driver.script::<ListVolumesRequest>([Step::edit(|answer: &mut ListVolumesResponse| {
        let template = answer.entries[0].clone();
        for number in 0..6 {
            let mut entry = template.clone();
            let volume = entry.volume.as_mut().unwrap();
            volume.volume_id = format!("other-{number}");
            volume.volume_context.insert("padding".into(), "x".repeat(1 << 20));
            answer.entries.push(entry);
        }
    })]);
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!(setup.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_zero_interval_is_no_busy_loop() {
    for argument in ["--reconcile-sync=0", "--reconcile-sync=-1s"] {
        let setup = Setup::listing();
        let _sidecar = setup.start(&[argument]);
        pass(301).await;
        assert_eq!(setup.driver.count::<ListVolumesRequest>(), 6, "{argument}");
        assert_eq!(setup.driver.count::<ProbeRequest>(), 1);
        assert!(setup.get_va(VA).is_null());
    }
}

/// "Not tested upstream: migrated reconcile (issue 247)". The driver lists complete handles, calls get the translated one.
#[tokio::test(start_paused = true)]
async fn migrated_reconcile() {
    let mut able = ABLE.to_vec();
    able.extend([ControllerCapability::ListVolumes, ControllerCapability::ListVolumesPublishedNodes]);
    let setup = gce(&able);
    let node_id = "projects/p/zones/testZone/instances/i";
    let entry = json!({"spec": {"drivers": [{"name": GCE, "nodeID": node_id}]}});
    setup.server.patch("CSINode", "", "node1", &entry).unwrap();
    setup.driver.add_volume("projects/p/zones/testZone/disks/testpd", GIB);
    let known = json!({
        "metadata": {
            "finalizers": ["external-attacher/pd-csi-storage-gke-io"],
            "annotations": {NODE_ID: node_id},
        },
        "spec": {"attacher": GCE},
        "status": {"attached": true},
    });
    setup.attachment(known);
    setup.driver.always::<ListVolumesRequest>(Step::edit(move |answer: &mut ListVolumesResponse| {
        for status in answer.entries.iter_mut().filter_map(|entry| entry.status.as_mut()) {
            status.published_node_ids = vec![node_id.to_owned()];
        }
    }));
    let _sidecar = setup.start(&[]);
    pass(100).await;
    assert!(setup.published().is_empty(), "they agree");
    lists(&setup, &[]);
    pass(60).await;
    assert_eq!(setup.published()[0].volume_id, "projects/UNSPECIFIED/zones/testZone/disks/testpd");
}
