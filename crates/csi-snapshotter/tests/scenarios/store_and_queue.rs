//! Rows ST, G-ST2, G-K, G-W, G-EQ, G-ER and the first of U: what upstream's tests prove of its store, its queue and its lists, as
//! far as that can be seen from the outside.

use std::time::Duration;

use csi_client::csi::CreateVolumeGroupSnapshotRequest;
use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json, Store};
use sidecar_core::objects::{GroupContent, Interest, Kind, Projected, SnapshotContent};
use testkit::api::Failure;
use testkit::driver::{DriverConfig, Step};
use tonic::Code;

use crate::setup::{F, FOREIGN, Setup, VGSC, VSC, able, content, group, pass, settle, unwanted};

fn created(setup: &Setup) -> Vec<CreateVolumeGroupSnapshotRequest> {
    setup.driver.requests()
}

/// Versions are numbers: 10 comes after 2. What the watch shows later and is older than our own write does not hide that.
fn versions<C: Kind + Clone>(object: Value) {
    let store = Store::<C>::of([]);
    let of_version = |version: u64| {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        object.to_string().into_bytes()
    };
    let watched = |version| match Json.object(&of_version(version), &Interest::everything()).unwrap() {
        Projected::Own(object) => store.apply(Projected::Own(object)),
        other => panic!("not kept: {other:?}"),
    };
    let seen = || store.get("", "content").unwrap().meta().resource_version;
    watched(1);
    watched(1);
    store.wrote_json(&of_version(2)).unwrap();
    assert_eq!(seen(), 2);
    watched(1);
    assert_eq!(seen(), 2);
    watched(10);
    assert_eq!(seen(), 10);
    store.wrote_json(&of_version(2)).unwrap();
    assert_eq!(seen(), 10);
}

#[test]
fn row_st_and_g_st2_store_1_1_2_accepted_then_1_rejected_then_10_accepted() {
    versions::<SnapshotContent>(content("content"));
    versions::<GroupContent>(group("content"));
}

/// A key whose object is gone is forgotten, with all that was known about it.
#[tokio::test(start_paused = true)]
async fn row_g_k_key_not_in_lister_removed_from_store() {
    let setup = Setup::new();
    let unheld = json!({"metadata": {"finalizers": null}});
    setup.driver.always::<CreateVolumeGroupSnapshotRequest>(Step::fail(Code::InvalidArgument, "mock"));
    setup.group("group", unheld.clone());
    let _sidecar = setup.start(&[]);
    // 1, 2, 4, 8, 16, 32 seconds: the next try is far away.
    pass(64).await;
    let tries = created(&setup).len();
    setup.server.delete(VGSC, "", "group").unwrap();
    pass(600).await;
    assert_eq!(created(&setup).len(), tries, "nothing is tried in its name");
    setup.group("group", unheld);
    pass(2).await;
    assert_eq!(created(&setup).len(), tries + 2, "another of its name begins anew");
}

/// A watch that was away misses a deletion: it is noticed all the same.
#[tokio::test(start_paused = true)]
async fn row_g_eq_a_deletion_that_the_watch_has_missed() {
    let setup = Setup::new();
    let unheld = json!({"metadata": {"finalizers": null}});
    setup.driver.always::<CreateVolumeGroupSnapshotRequest>(Step::fail(Code::InvalidArgument, "mock"));
    setup.group("group", unheld.clone());
    let _sidecar = setup.start(&[]);
    pass(64).await;
    let away = Failure::unavailable("mock");
    setup.server.fail_next("watch", "volumegroupsnapshotcontents", 3, &away);
    setup.server.expire_watches(VGSC);
    setup.server.delete(VGSC, "", "group").unwrap();
    setup.server.compact();
    setup.driver.behave();
    setup.group("group", unheld);
    setup.ready(VGSC, "group").await;
    let requests = created(&setup);
    assert_eq!(requests.last().unwrap().name, "groupsnapshot-snapuid-group");
    assert_eq!(setup.driver.groups().len(), 1);
}

/// What failed or is not ready yet comes back; a queue that was shut down lets its workers go.
#[tokio::test(start_paused = true)]
async fn row_g_w_worker_error_re_queued_not_ready_re_queued_shut_down_queue_returns() {
    let setup = Setup::with(DriverConfig { snapshot_time: Duration::from_secs(5), ..able() });
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>([Step::fail(Code::Unavailable, "mock")]);
    setup.group("group", json!({}));
    let sidecar = setup.start(&[]);
    setup.ready(VGSC, "group").await;
    assert_eq!(setup.reasons("group"), ["GroupSnapshotCreationFailed"]);
    sidecar.terminate();
    assert!(sidecar.end().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn row_g_er_error_writer_on_nil_status_sets_message() {
    let setup = Setup::new();
    setup.driver.always::<CreateVolumeGroupSnapshotRequest>(Step::fail(Code::Unavailable, "mock"));
    setup.group("group", json!({}));
    let _sidecar = setup.start(&[]);
    setup.failed(VGSC, "group").await;
    let status = &setup.vgsc("group")["status"];
    assert_eq!(status["readyToUse"], false);
    assert!(status["error"]["message"].as_str().unwrap().starts_with("Failed to create group snapshot: "));
    assert_eq!(status.as_object().unwrap().len(), 2, "{status}");
}

/// Our finalizer goes however often it is there, and no other.
#[tokio::test(start_paused = true)]
async fn row_u_remove_string_nil_last_element_duplicates_all_removed() {
    let retain = |finalizers: Value| {
        let mut fields = unwanted(json!({"spec": {"deletionPolicy": "Retain"}}));
        fields["metadata"]["finalizers"] = finalizers;
        fields
    };
    let setup = Setup::new();
    setup.content("last", retain(json!([F])));
    setup.content("twice", retain(json!([F, FOREIGN, F])));
    setup.content("none", retain(json!([FOREIGN])));
    let _sidecar = setup.start(&[]);
    setup.gone(VSC, "last").await;
    settle().await;
    for name in ["twice", "none"] {
        assert_eq!(setup.vsc(name)["metadata"]["finalizers"], json!([FOREIGN]), "{name}");
    }
}
