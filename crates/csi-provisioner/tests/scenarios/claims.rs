//! Sheet 11.12: the rows about claims and volumes that need the whole sidecar.

use csi_client::csi::{CreateVolumeRequest, DeleteVolumeRequest};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::api::Failure;
use testkit::driver::Step;
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{CLASS, DRIVER, FINALIZER, Setup, Sidecar, pass};

fn provisioned(sidecar: &Sidecar, what: &str) -> f64 {
    sidecar.metric(&format!("controller_persistentvolumeclaim_{what}{{class=\"fake-sc\",source=\"\"}}"))
}

fn is(value: f64, expected: f64) {
    assert!((value - expected).abs() < 0.1, "{value} is not {expected}");
}

fn failure(code: u16) -> Failure {
    let mut failure = Failure::internal("told so");
    failure.code = StatusCode::from_u16(code).unwrap();
    failure.reason = match code {
        403 => "Forbidden",
        422 => "Invalid",
        _ => "InternalError",
    };
    failure
}

/// A volume of our driver, `fields` on top.
fn volume(setup: &Setup, name: &str, fields: Value) -> Value {
    let mut volume = testkit::manifests::volume(name, DRIVER, &format!("handle-{name}"), CLASS);
    merge(&mut volume, &fields);
    setup.server.create(&volume).unwrap()
}

fn released(by: &str) -> Value {
    json!({
        "metadata": {
            "finalizers": [FINALIZER],
            "annotations": {"pv.kubernetes.io/provisioned-by": by},
        },
        "spec": {"claimRef": {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1",
            "namespace": "default", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001",
        }},
    })
}

/// Whether our finalizer is on the volume.
fn protected(setup: &Setup, volume: &str) -> bool {
    let finalizers = setup.get_volume(volume).unwrap_or_default()["metadata"]["finalizers"].clone();
    finalizers.as_array().is_some_and(|list| list.contains(&json!(FINALIZER)))
}

#[tokio::test(start_paused = true)]
async fn two_claims_one_for_us() {
    let setup = Setup::new();
    setup.server.create(&testkit::manifests::class("other", "other-driver")).unwrap();
    let sidecar = setup.start(&[]);
    setup.claim("ours", json!({}));
    setup.claim("theirs", json!({"spec": {"storageClassName": "other"}}));
    setup.bound("ours").await;
    pass(60).await;
    assert_eq!((setup.volumes().len(), setup.creations().len()), (1, 1));
    is(provisioned(&sidecar, "provision_total"), 1.0);
    is(provisioned(&sidecar, "provision_failed_total"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn pv_already_exists() {
    let setup = Setup::new();
    let claim = setup.claim("claim", json!({}));
    let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
    let reference = json!({"spec": {"claimRef": {
        "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "namespace": "default", "name": "claim", "uid": claim["metadata"]["uid"],
    }}});
    // Nobody binds them yet: the claim still looks unbound to us.
    let made = volume(&setup, &name, reference);
    let sidecar = setup.start(&[]);
    setup
        .until("the attempt is over", || {
            provisioned(&sidecar, "provision_failed_total") > 0.0
                || setup.get_claim("claim")["spec"]["volumeName"] == json!(name)
        })
        .await;
    pass(60).await;
    assert!(setup.creations().is_empty());
    assert_eq!(setup.get_volume(&name).unwrap()["spec"]["csi"], made["spec"]["csi"]);
}

#[tokio::test(start_paused = true)]
async fn pv_of_someone_else_under_our_name_is_left_alone() {
    let setup = Setup::new();
    let claim = setup.claim("claim", json!({}));
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    let name = format!("pvc-{}", uid.replace('-', "").get(..4).unwrap());
    let theirs = volume(&setup, &name, json!({"spec": {"csi": {"driver": "other-driver"}}}));
    let _sidecar = setup.start(&["--volume-name-uuid-length=4"]);
    setup.event("claim", "ProvisioningFailed", "already exists and belongs to another").await;
    pass(60).await;
    assert!(setup.creations().is_empty(), "the driver might have handed out the other's volume");
    assert_eq!(setup.get_volume(&name).unwrap()["spec"], theirs["spec"]);
}

#[tokio::test(start_paused = true)]
async fn two_released_pvs_one_ours() {
    let setup = Setup::new();
    volume(&setup, "ours", released(DRIVER));
    volume(&setup, "theirs", released("other-driver"));
    let _sidecar = setup.start(&[]);
    setup.until("ours is gone", || setup.get_volume("ours").is_none()).await;
    pass(60).await;
    assert!(setup.get_volume("theirs").is_some());
    let deleted: Vec<_> = setup.deletions().into_iter().map(|request| request.volume_id).collect();
    assert_eq!(deleted, ["handle-ours"]);
}

#[tokio::test(start_paused = true)]
async fn class_missing() {
    let setup = Setup::new();
    let annotations = json!({"volume.kubernetes.io/storage-provisioner": DRIVER});
    setup.claim(
        "claim",
        json!({"metadata": {"annotations": annotations}, "spec": {"storageClassName": "late"}}),
    );
    let sidecar = setup.start(&[]);
    let series = "controller_persistentvolumeclaim_provision_failed_total{class=\"late\",source=\"\"}";
    setup.until("it fails", || sidecar.metric(series) > 0.0).await;
    assert!(setup.events("claim").is_empty(), "upstream is silent about it, too");
    setup.class("late", json!({}));
    setup.bound("claim").await;
}

#[tokio::test(start_paused = true)]
async fn pv_bound_or_policy_retain() {
    let setup = Setup::new();
    let mut retain = released(DRIVER);
    merge(&mut retain, &json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}));
    volume(&setup, "retained", retain);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    let bound = setup.bound("claim").await;
    pass(1200).await;
    assert!(setup.deletions().is_empty());
    assert!(setup.get_volume("retained").is_some());
    assert!(!protected(&setup, "retained"), "policy Retain with finalizer: removed");
    assert!(protected(&setup, &bound));
}

#[tokio::test(start_paused = true)]
async fn pv_delete_fails() {
    let setup = Setup::new();
    volume(&setup, "pv", released(DRIVER));
    setup.server.fail_next("delete", "persistentvolumes", 3, &failure(500));
    let sidecar = setup.start(&[]);
    setup
        .until("it fails", || {
            sidecar.metric("controller_persistentvolume_delete_failed_total{class=\"fake-sc\"}") > 1.5
        })
        .await;
    assert!(setup.get_volume("pv").is_some());
    setup.no_volumes().await;
    assert_eq!(setup.deletions().len(), 1, "the driver is asked once (upstream issue 1235)");
}

#[tokio::test(start_paused = true)]
async fn finalizer_patch_fails() {
    let setup = Setup::new();
    volume(&setup, "pv", released(DRIVER));
    setup.server.fail_next("patch", "persistentvolumes", 3, &failure(500));
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    pass(60).await;
    assert_eq!(setup.deletions().len(), 1);
    let deletes = setup.calls().into_iter().filter(|call| call.starts_with("delete persistentvolumes"));
    assert_eq!(deletes.count(), 1, "the object is deleted once");
}

#[tokio::test(start_paused = true)]
async fn released_with_finalizer_deleting() {
    let setup = Setup::new();
    volume(&setup, "pv", released(DRIVER));
    setup.server.delete("PersistentVolume", "", "pv").unwrap();
    assert!(!setup.get_volume("pv").unwrap()["metadata"]["deletionTimestamp"].is_null());
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert_eq!(setup.deletions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn released_deleting_no_finalizer() {
    let setup = Setup::new();
    let mut fields = released(DRIVER);
    fields["metadata"]["finalizers"] = json!(["example.com/other"]);
    volume(&setup, "pv", fields);
    setup.server.delete("PersistentVolume", "", "pv").unwrap();
    let _sidecar = setup.start(&[]);
    pass(1200).await;
    assert!(setup.deletions().is_empty() && setup.get_volume("pv").is_some());
}

#[tokio::test(start_paused = true)]
async fn delete_fails_with_finalizer() {
    let setup = Setup::new();
    volume(&setup, "pv", released(DRIVER));
    setup.driver.always::<DeleteVolumeRequest>(Step::fail(Code::FailedPrecondition, "in use"));
    let _sidecar = setup.start(&[]);
    pass(600).await;
    assert!(protected(&setup, "pv"));
    setup.driver.behave();
    setup.no_volumes().await;
}

#[tokio::test(start_paused = true)]
async fn add_finalizer_on_bound_owned_static_csi_pv() {
    let setup = Setup::new();
    setup.claim("claim", json!({"spec": {"storageClassName": "", "volumeName": "static"}}));
    let claim = setup.get_claim("claim");
    let reference = json!({"spec": {"storageClassName": null, "claimRef": {
        "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "namespace": "default", "name": "claim", "uid": claim["metadata"]["uid"],
    }}});
    volume(&setup, "static", reference);
    let _sidecar = setup.start(&[]);
    setup.until("the finalizer is there", || protected(&setup, "static")).await;
    let volume = setup.get_volume("static").unwrap();
    assert_eq!(volume["metadata"]["finalizers"].as_array().unwrap().last(), Some(&json!(FINALIZER)));
}

#[tokio::test(start_paused = true)]
async fn pvc_deleted_but_in_progress_success() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::FailAfter(Code::Unavailable, "lost".into())]);
    let _sidecar = setup.start(&["--retry-interval-start=30s"]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "lost").await;
    setup.delete_claim("claim");
    assert_eq!(setup.driver.volumes().len(), 1);
    pass(120).await;
    assert_eq!(setup.creations().len(), 2);
    assert!(setup.volumes().is_empty() && setup.driver.volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pv_create_fails_twice_then_ok() {
    let setup = Setup::new();
    setup.server.fail_next("create", "persistentvolumes", 2, &failure(500));
    let sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    is(provisioned(&sidecar, "provision_total"), 1.0);
    is(provisioned(&sidecar, "provision_failed_total"), 0.0);
    assert_eq!(setup.creations().len(), 1, "the driver is not asked again because of the API server");
    assert!(sidecar.metric("workqueue_adds_total{name=\"unsavedpvs\"}") > 0.5);
}

#[tokio::test(start_paused = true)]
async fn pv_create_takes_effect_but_the_answer_is_lost() {
    let setup = Setup::new();
    // The first try is answered with an error although it took effect: here, somebody else saved the same object.
    let server = setup.server.clone();
    let mut first = true;
    setup.server.intercept(move |call| {
        if !first || !call.is("create", "persistentvolumes") {
            return None;
        }
        first = false;
        let object: Value = serde_json::from_str(&call.body).unwrap();
        let server = server.clone();
        tokio::spawn(async move { server.create(&object).unwrap() });
        Some(failure(500))
    });
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    let volume = setup.bound("claim").await;
    setup.event("claim", "ProvisioningSucceeded", &volume).await;
    assert_eq!((setup.volumes().len(), setup.creations().len()), (1, 1));
}

/// A save that is rejected for good is told to the user and slowed down; the volume is never deleted for it.
#[tokio::test(start_paused = true)]
async fn pv_create_invalid() {
    let setup = Setup::new();
    setup.server.fail_next("create", "persistentvolumes", 3, &failure(422));
    let _sidecar = setup.start(&["--retry-interval-max=2m"]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "saving its PersistentVolume was rejected").await;
    let start = tokio::time::Instant::now();
    setup.bound("claim").await;
    assert!(
        (350..370).contains(&start.elapsed().as_secs()),
        "three times two minutes: {:?}",
        start.elapsed()
    );
    assert!(setup.deletions().is_empty());
    assert_eq!(setup.creations().len(), 1);
}

/// Rules of an authorizer may lag behind: a save that is forbidden for a moment is repeated like any other.
#[tokio::test(start_paused = true)]
async fn pv_create_forbidden_for_a_moment() {
    let setup = Setup::new();
    setup.server.fail_next("create", "persistentvolumes", 3, &failure(403));
    let _sidecar = setup.start(&[]);
    let start = tokio::time::Instant::now();
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    assert!(setup.events("claim").iter().all(|(kind, ..)| kind == "Normal"), "{:?}", setup.events("claim"));
}

#[tokio::test(start_paused = true)]
async fn pv_create_forbidden() {
    let setup = Setup::new();
    setup.server.fail_next("create", "persistentvolumes", 12, &failure(403));
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "saving its PersistentVolume was rejected").await;
    setup.bound("claim").await;
    assert!(setup.deletions().is_empty());
    assert_eq!(setup.creations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_volume_whose_save_is_forbidden() {
    let setup = Setup::new();
    setup.server.intercept(|call| call.is("create", "persistentvolumes").then(|| failure(403)));
    let sidecar = setup.start(&[]);
    let claim = setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "saving its PersistentVolume was rejected").await;
    // Nobody would ask for this volume again.
    setup.delete_claim("claim");
    sidecar.terminate();
    pass(1).await;
    assert!(sidecar.is_running());
    setup.server.pass();
    sidecar.end().await.unwrap();
    let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
    assert!(setup.get_volume(&name).is_some(), "{:?}", setup.volumes());
}

#[tokio::test(start_paused = true)]
async fn internal_error_two_syncs() {
    let setup = Setup::new();
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Internal, "no"));
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    pass(2).await;
    assert_eq!(setup.creations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn invalid_argument_two_syncs() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::fail(Code::InvalidArgument, "odd")]);
    let _sidecar = setup.start(&["--retry-interval-max=3m"]);
    setup.claim("claim", json!({}));
    let text = "Volume provisioning failed with infeasible error. Retries will be delayed. rpc error: code = \
                InvalidArgument desc = odd";
    setup.event("claim", "ProvisioningFailed", text).await;
    // A change of the claim makes a second sync, which does not reach the driver.
    setup
        .server
        .patch("PersistentVolumeClaim", "default", "claim", &json!({"metadata": {"labels": {"a": "b"}}}))
        .unwrap();
    pass(170).await;
    assert_eq!(setup.creations().len(), 1);
    pass(11).await;
    assert_eq!(setup.creations().len(), 2, "--retry-interval-max is honoured, to the second");
    setup.bound("claim").await;
}

#[tokio::test(start_paused = true)]
async fn invalid_argument_class_replaced_in_between() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::fail(Code::InvalidArgument, "odd")]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "infeasible").await;
    setup.server.delete("StorageClass", "", CLASS).unwrap();
    setup.class(CLASS, json!({"parameters": {"now": "right"}}));
    setup
        .server
        .patch("PersistentVolumeClaim", "default", "claim", &json!({"metadata": {"labels": {"a": "b"}}}))
        .unwrap();
    pass(5).await;
    assert_eq!(setup.creations().len(), 2);
    setup.bound("claim").await;
}

#[tokio::test(start_paused = true)]
async fn a_late_watch_does_not_bring_a_volume_back() {
    let setup = Setup::new();
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    setup.delete_claim("claim");
    setup.no_volumes().await;
    // Everything is listed again, old and new.
    setup.server.expire_watches("PersistentVolumeClaim");
    setup.server.expire_watches("PersistentVolume");
    pass(1200).await;
    assert_eq!((setup.creations().len(), setup.deletions().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn claims_are_asked_for_live_before_a_request_is_repeated() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::fail(Code::Internal, "no")]);
    let _sidecar = setup.start(&["--retry-interval-start=20s"]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "no").await;
    // The watch goes silent, and meanwhile the claim is bound to another volume.
    setup.server.intercept(|call| call.is("watch", "persistentvolumeclaims").then(|| failure(500)));
    setup.server.break_watches("PersistentVolumeClaim");
    volume(&setup, "other", json!({}));
    setup
        .server
        .patch("PersistentVolumeClaim", "default", "claim", &json!({"spec": {"volumeName": "other"}}))
        .unwrap();
    pass(300).await;
    assert_eq!(setup.creations().len(), 1);
    assert!(setup.calls().contains(&"get persistentvolumeclaims -> 200".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn annotations_are_read_again_before_a_request_is_repeated() {
    let setup = Setup::new();
    setup.class(
        "secret",
        json!({"parameters": {
            "csi.storage.k8s.io/node-publish-secret-name": "${pvc.annotations['example.com/secret']}",
            "csi.storage.k8s.io/node-publish-secret-namespace": "ns",
        }}),
    );
    setup.driver.script::<CreateVolumeRequest>([Step::fail(Code::Unavailable, "later")]);
    let _sidecar = setup.start(&["--retry-interval-start=20s"]);
    let secret = |name: &str| json!({"metadata": {"annotations": {"example.com/secret": name}}});
    let mut fields = secret("first");
    fields["spec"] = json!({"storageClassName": "secret"});
    setup.claim("claim", fields);
    setup.event("claim", "ProvisioningFailed", "later").await;
    setup.server.patch("PersistentVolumeClaim", "default", "claim", &secret("second")).unwrap();
    let volume = setup.bound("claim").await;
    let source = setup.get_volume(&volume).unwrap()["spec"]["csi"].clone();
    assert_eq!(source["nodePublishSecretRef"], json!({"name": "second", "namespace": "ns"}));
    let reads = setup.calls().iter().filter(|call| *call == "get persistentvolumeclaims -> 200").count();
    assert_eq!(reads, 2, "one per attempt");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_volume_vanishes_before_it_is_bound_gets_another() {
    let mut setup = Setup::new();
    setup.stop_controllers();
    let annotations = json!({"volume.kubernetes.io/storage-provisioner": DRIVER});
    let claim = setup.claim("claim", json!({"metadata": {"annotations": annotations}}));
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    let name = format!("pvc-{uid}");
    let reference = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default",
        "name": "claim", "uid": uid});
    volume(&setup, &name, json!({"spec": {"claimRef": reference}}));
    let _sidecar = setup.start(&[]);
    pass(30).await;
    assert_eq!(setup.creations().len(), 0);
    setup.server.delete("PersistentVolume", "", &name).unwrap();
    let start = tokio::time::Instant::now();
    setup.until("the driver is asked", || setup.creations().len() == 1).await;
    assert!(start.elapsed().as_secs() < 60, "it does not wait for a resync: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_name_that_waits_to_be_saved_is_taken() {
    let setup = Setup::new();
    setup.server.intercept(|call| call.is("create", "persistentvolumes").then(|| failure(500)));
    let _sidecar = setup.start(&["--volume-name-uuid-length=1"]);
    let mut letters = std::collections::BTreeMap::new();
    // Seventeen claims share sixteen letters.
    for number in 0..17 {
        let name = format!("claim-{number}");
        let claim = setup.claim(&name, json!({}));
        let letter = claim["metadata"]["uid"].as_str().unwrap()[..1].to_owned();
        letters.entry(letter).or_insert_with(Vec::new).push(name);
    }
    let shared = letters.values().find(|names| names.len() > 1).unwrap();
    setup
        .until("the second claim of a name is told", || {
            shared.iter().any(|name| {
                setup.events(name).iter().any(|(_, _, text, _)| text.contains("belongs to another"))
            })
        })
        .await;
}
