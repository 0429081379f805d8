//! Restoring from snapshots and protecting them meanwhile: sheet 5.6.2, 5.9, 11.7, 11.11, 13.10.

use csi_client::csi::volume_content_source::Type;
use csi_client::csi::{CreateVolumeRequest, CreateVolumeResponse};
use serde_json::{Value, json};
use testkit::api::{Failure, Resource, Rule};
use testkit::driver::{ControllerCapability, Step};
use tonic::Code;

use crate::setup::{Setup, pass};
use crate::snapshots::{self, GROUP, PROTECTION};

/// A cluster with snapshots, and one called `snap`.
fn with_snapshot() -> Setup {
    let setup = Setup::able(&[ControllerCapability::CreateDeleteSnapshot]);
    setup.server.install(GROUP);
    snapshot(&setup, "snap", json!({}));
    setup
}

fn snapshot(setup: &Setup, name: &str, fields: Value) {
    snapshots::create(&setup.server, &setup.driver, name, 100, &fields);
}

fn restored(setup: &Setup, name: &str) -> Value {
    let source = snapshots::source("snap");
    setup.claim(name, json!({"spec": {"dataSource": source}}))
}

fn finalizers(setup: &Setup, name: &str) -> Vec<String> {
    let snapshot = setup.server.get("VolumeSnapshot", "default", name).unwrap_or(Value::Null);
    let list = snapshot["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    list.iter().map(|finalizer| finalizer.as_str().unwrap().to_owned()).collect()
}

fn is_protected(setup: &Setup) -> bool {
    finalizers(setup, "snap").iter().any(|finalizer| finalizer == PROTECTION)
}

fn kind() -> &'static Resource {
    Resource::find("VolumeSnapshot").unwrap()
}

fn snapshot_calls(setup: &Setup) -> Vec<String> {
    setup.calls().into_iter().filter(|call| call.contains(" volumesnapshot")).collect()
}

/// Without the sweep, so that what is done is done for the claim.
const NO_SWEEP: &[&str] = &["--snapshot-orphan-sweep-interval=0"];

#[tokio::test(start_paused = true)]
async fn ready_snapshot() {
    let setup = with_snapshot();
    setup.driver.script::<CreateVolumeRequest>([Step::late(std::time::Duration::from_secs(5))]);
    let _sidecar = setup.start(NO_SWEEP);
    restored(&setup, "claim");
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    assert!(is_protected(&setup), "before the driver is asked");
    setup.bound("claim").await;
    setup.until("the snapshot is let go", || !is_protected(&setup)).await;
    pass(60).await;
    let source = setup.creations()[0].volume_content_source.clone().unwrap();
    let Some(Type::Snapshot(source)) = source.r#type else { panic!("{source:?}") };
    assert_eq!(source.snapshot_id, "snap-id");
    assert_eq!(setup.creations().len(), 1);
    // One read less than upstream: what is checked and what is protected is the same version.
    let (get, update) = ("get volumesnapshots -> 200", "update volumesnapshots -> 200");
    assert_eq!(snapshot_calls(&setup), [get, "get volumesnapshotcontents -> 200", update, get, update]);
}

#[tokio::test(start_paused = true)]
async fn response_without_content_source() {
    let setup = with_snapshot();
    let empty = |answer: &mut CreateVolumeResponse| answer.volume.as_mut().unwrap().content_source = None;
    setup.driver.script::<CreateVolumeRequest>([Step::edit(empty)]);
    let _sidecar = setup.start(&[]);
    restored(&setup, "claim");
    setup.event("claim", "ProvisioningFailed", "volume content source missing").await;
    assert_eq!(setup.deletions().len(), 1);
    setup.bound("claim").await;
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_being_deleted_is_not_restored() {
    let setup = with_snapshot();
    setup
        .server
        .patch(
            "VolumeSnapshot",
            "default",
            "snap",
            &json!({"metadata": {"finalizers": ["example.com/held"]}}),
        )
        .unwrap();
    setup.server.delete("VolumeSnapshot", "default", "snap").unwrap();
    let _sidecar = setup.start(&[]);
    restored(&setup, "claim");
    setup.event("claim", "ProvisioningFailed", "snapshot snap is being deleted").await;
    pass(600).await;
    assert!(setup.creations().is_empty());
    assert_eq!(finalizers(&setup, "snap"), ["example.com/held"]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_deleted_during_a_restore_goes_when_the_volume_is_saved() {
    let setup = with_snapshot();
    setup.driver.script::<CreateVolumeRequest>([
        Step::fail(Code::DeadlineExceeded, "slow"),
        Step::fail(Code::Internal, "not now"),
        Step::HangAfter,
    ]);
    let sidecar = setup.start(&[]);
    restored(&setup, "claim");
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    setup.server.delete("VolumeSnapshot", "default", "snap").unwrap();
    setup.until("the volume is made", || !setup.driver.volumes().is_empty()).await;
    assert!(is_protected(&setup));
    drop(sidecar);
    pass(60).await;
    assert!(is_protected(&setup), "a crash does not end protection");
    let _next = setup.start(&[]);
    setup.bound("claim").await;
    setup
        .until("the snapshot is gone", || setup.server.get("VolumeSnapshot", "default", "snap").is_none())
        .await;
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_claims_ends_protection() {
    let setup = with_snapshot();
    setup.driver.script::<CreateVolumeRequest>([Step::late(std::time::Duration::from_secs(8)), Step::Normal]);
    let _sidecar = setup.start(NO_SWEEP);
    restored(&setup, "slow");
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    restored(&setup, "fast");
    setup.bound("fast").await;
    pass(3).await;
    assert!(is_protected(&setup), "the other is still being restored");
    setup.bound("slow").await;
    setup.until("the snapshot is let go", || !is_protected(&setup)).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_deleted_during_a_restore_keeps_the_snapshot_until_the_outcome_is_known() {
    let setup = with_snapshot();
    setup.driver.script::<CreateVolumeRequest>([Step::FailAfter(Code::DeadlineExceeded, "slow".into())]);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Aborted, "pending"));
    let _sidecar = setup.start(&["--snapshot-orphan-sweep-interval=1s", "--retry-interval-start=60s"]);
    restored(&setup, "claim");
    setup.until("the volume is made", || !setup.driver.volumes().is_empty()).await;
    setup.delete_claim("claim");
    pass(30).await;
    assert!(is_protected(&setup), "the sweep knows that a volume is under way");
    // Somebody else, upstream's sweep for example, ends it all the same; the driver is asked again for what it was asked for.
    setup
        .server
        .patch("VolumeSnapshot", "default", "snap", &json!({"metadata": {"finalizers": null}}))
        .unwrap();
    setup.server.delete("VolumeSnapshot", "default", "snap").unwrap();
    setup.driver.behave();
    setup.until("the driver has no volume", || setup.driver.volumes().is_empty()).await;
    setup.no_volumes().await;
    assert_eq!(setup.creations().first(), setup.creations().last());
}

#[tokio::test(start_paused = true)]
async fn a_claim_deleted_before_the_driver_was_asked_lets_the_snapshot_go() {
    let setup = with_snapshot();
    setup.class(
        "secret",
        json!({"parameters": {
            "csi.storage.k8s.io/provisioner-secret-name": "missing",
            "csi.storage.k8s.io/provisioner-secret-namespace": "default",
        }}),
    );
    let _sidecar = setup.start(NO_SWEEP);
    let source = snapshots::source("snap");
    setup.claim("claim", json!({"spec": {"dataSource": source, "storageClassName": "secret"}}));
    setup.event("claim", "ProvisioningFailed", "error getting secret missing").await;
    assert!(is_protected(&setup));
    setup.delete_claim("claim");
    setup.until("the snapshot is let go", || !is_protected(&setup)).await;
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_changes_meanwhile_is_looked_at_again() {
    let setup = with_snapshot();
    setup.server.fail_next("update", "volumesnapshots", 1, &Failure::modified(kind(), "snap"));
    let _sidecar = setup.start(NO_SWEEP);
    restored(&setup, "claim");
    setup.bound("claim").await;
    assert!(setup.events("claim").iter().all(|(kind, ..)| kind == "Normal"), "nobody has to know");
    setup.until("the snapshot is let go", || setup.server.count("get", "volumesnapshots") == 3).await;
}

#[tokio::test(start_paused = true)]
async fn forbidden_updates_leave_the_snapshot_unprotected() {
    let setup = with_snapshot();
    let forbidden = Failure::forbidden(kind(), "snap", "no rule for it");
    setup.server.fail_next("update", "volumesnapshots", 9, &forbidden);
    let _sidecar = setup.start(NO_SWEEP);
    restored(&setup, "claim");
    setup.bound("claim").await;
    pass(60).await;
    assert!(!is_protected(&setup));
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_errors_of_the_update_are_told() {
    let setup = with_snapshot();
    setup.server.fail_next("update", "volumesnapshots", 1, &Failure::internal("etcd is away"));
    let _sidecar = setup.start(NO_SWEEP);
    restored(&setup, "claim");
    setup.event("claim", "ProvisioningFailed", "etcd is away").await;
    setup.bound("claim").await;
}

#[tokio::test(start_paused = true)]
async fn missing_snapshot_and_missing_content() {
    let setup = with_snapshot();
    let source = snapshots::source("none");
    let _sidecar = setup.start(&[]);
    setup.claim("one", json!({"spec": {"dataSource": source}}));
    let text = "error getting handle for DataSource Type VolumeSnapshot by Name none: error getting snapshot none from \
                api server: volumesnapshots.snapshot.storage.k8s.io \"none\" not found";
    setup.event("one", "ProvisioningFailed", text).await;
    setup.server.delete("VolumeSnapshotContent", "", "snap-content").unwrap();
    restored(&setup, "two");
    let text = "by Name snap: error getting snapshotcontent snap-content for snapshot snap";
    setup.event("two", "ProvisioningFailed", text).await;
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sweep_no_pvc_or_only_bound_pvc_foreign_finalizers_kept() {
    for with_claim in [false, true] {
        let setup = with_snapshot();
        if with_claim {
            let sidecar = setup.start(NO_SWEEP);
            restored(&setup, "claim");
            setup.bound("claim").await;
            setup.until("the snapshot is let go", || !is_protected(&setup)).await;
            drop(sidecar);
        }
        let both = json!({"metadata": {"finalizers": ["example.com/held", PROTECTION]}});
        setup.server.patch("VolumeSnapshot", "default", "snap", &both).unwrap();
        let _sidecar = setup.start(&[]);
        setup.until("the orphan is found", || !is_protected(&setup)).await;
        assert_eq!(finalizers(&setup, "snap"), ["example.com/held"]);
    }
}

#[tokio::test(start_paused = true)]
async fn sweep_pending_pvc_via_data_source_or_data_source_ref_bound_and_pending() {
    for field in ["dataSource", "dataSourceRef"] {
        let setup = with_snapshot();
        setup
            .server
            .patch("VolumeSnapshot", "default", "snap", &json!({"metadata": {"finalizers": [PROTECTION]}}))
            .unwrap();
        setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Internal, "never"));
        let source = snapshots::source("snap");
        setup.claim("claim", json!({"spec": {field: source}}));
        let _sidecar = setup.start(&["--snapshot-orphan-sweep-interval=10s"]);
        pass(120).await;
        assert!(is_protected(&setup), "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn sweep_snapshot_without_our_finalizer_or_of_another_driver() {
    let setup = with_snapshot();
    snapshot(&setup, "other", json!({"metadata": {"finalizers": [PROTECTION]}}));
    let driver = json!({"spec": {"driver": "other"}});
    setup.server.patch("VolumeSnapshotContent", "", "other-content", &driver).unwrap();
    let _sidecar = setup.start(&["--snapshot-orphan-sweep-interval=10s"]);
    pass(60).await;
    assert_eq!(finalizers(&setup, "other"), [PROTECTION], "its own provisioner knows better");
    assert_eq!(setup.server.count("update", "volumesnapshots"), 0);
}

#[tokio::test(start_paused = true)]
async fn sweep_without_create_delete_snapshot_or_with_interval_0_is_not_started() {
    let setup = Setup::new();
    setup.server.install(GROUP);
    let _sidecar = setup.start(&[]);
    pass(600).await;
    assert!(snapshot_calls(&setup).is_empty());
    let setup = with_snapshot();
    let _sidecar = setup.start(NO_SWEEP);
    pass(600).await;
    assert!(snapshot_calls(&setup).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_definitions_nothing_breaks_and_they_may_come_later() {
    let setup = Setup::able(&[ControllerCapability::CreateDeleteSnapshot]);
    let sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    pass(1000).await;
    assert!(sidecar.is_running());
    assert!(snapshot_calls(&setup).is_empty(), "what is not there is not asked for");
    setup.server.install(GROUP);
    snapshot(&setup, "snap", json!({"metadata": {"finalizers": [PROTECTION]}}));
    setup.until("the orphan is found", || !is_protected(&setup)).await;
}

#[tokio::test(start_paused = true)]
async fn sweep_that_is_forbidden_to_list_ends_quietly() {
    let setup = with_snapshot();
    setup.server.set_rules("csi-provisioner", rules(&["get", "update"]));
    let sidecar = setup.start(&["--snapshot-orphan-sweep-interval=10s"]);
    restored(&setup, "claim");
    setup.bound("claim").await;
    pass(600).await;
    assert!(sidecar.is_running());
    assert_eq!(setup.calls().iter().filter(|call| *call == "list volumesnapshots -> 403").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn cross_namespace_without_and_with_grant() {
    let setup = with_snapshot();
    setup.server.install("gateway.networking.k8s.io");
    setup.server.add_namespace("ours");
    let _sidecar = setup.start(&["--feature-gates=CrossNamespaceVolumeDataSource=true"]);
    let mut source = snapshots::source("snap");
    source["namespace"] = json!("default");
    setup.claim("claim", json!({"metadata": {"namespace": "ours"}, "spec": {"dataSourceRef": source}}));
    let text = "accessing default/snap of VolumeSnapshot dataSource from ours/claim isn't allowed";
    setup.event("claim", "ProvisioningFailed", text).await;
    assert_eq!(setup.server.count("get", "volumesnapshots"), 0, "not even looked at");
    setup
        .server
        .create(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": {"name": "grant", "namespace": "default"},
            "spec": {
                "from": [{"group": "", "kind": "PersistentVolumeClaim", "namespace": "ours"}],
                "to": [{"group": GROUP, "kind": "VolumeSnapshot", "name": "snap"}],
            },
        }))
        .unwrap();
    setup.until("the volume is saved", || !setup.volumes().is_empty()).await;
    setup.until("the snapshot is let go", || setup.server.count("update", "volumesnapshots") == 2).await;
    assert!(!is_protected(&setup));
}

/// Upstream's rules, with these verbs on snapshots.
fn rules(verbs: &[&str]) -> Vec<Rule> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| Rule::new(group, resources, verbs);
    vec![
        rule("", &["persistentvolumes"], &["get", "list", "watch", "create", "patch", "delete"]),
        rule("", &["persistentvolumeclaims"], &["get", "list", "watch", "update"]),
        rule("storage.k8s.io", &["storageclasses", "volumeattributesclasses"], &["get", "list", "watch"]),
        rule("", &["events"], &["create", "patch"]),
        rule(GROUP, &["volumesnapshots"], verbs),
        rule(GROUP, &["volumesnapshotcontents"], &["get", "list"]),
    ]
}
