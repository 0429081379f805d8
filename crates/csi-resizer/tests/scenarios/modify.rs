//! 11.8, the modify controller.

use csi_client::csi::ControllerModifyVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::Step;
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{Setup, Sidecar, able, pass};

/// A claim with this wanted and current class, and this modification status.
fn state(wanted: &str, current: &str, status: &str, target: &str) -> Value {
    let mut claim = json!({"status": {}});
    if !wanted.is_empty() {
        claim["spec"] = json!({"volumeAttributesClassName": wanted});
    }
    if !current.is_empty() {
        claim["status"]["currentVolumeAttributesClassName"] = json!(current);
    }
    if !status.is_empty() {
        let mut modify = json!({ "status": status });
        if !target.is_empty() {
            modify["targetVolumeAttributesClassName"] = json!(target);
        }
        claim["status"]["modifyVolumeStatus"] = modify;
    }
    claim
}

pub(crate) fn setup() -> Setup {
    let setup = Setup::new();
    setup.attributes_class("test-vac", &json!({"iops": "1000"}));
    setup.attributes_class("target-vac", &json!({"iops": "4567"}));
    setup
}

/// One look at a claim in that state.
async fn look(setup: &Setup, claim: Value, arguments: &[&str]) -> Sidecar {
    let volume = json!({"spec": {"volumeAttributesClassName": "test-vac"}});
    setup.bound("claim", "1Gi", &claim, &volume);
    let sidecar = setup.start(arguments);
    pass(1).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    sidecar
}

fn modify_status(setup: &Setup) -> Value {
    setup.status("claim")["modifyVolumeStatus"].clone()
}

fn is_applied(setup: &Setup, class: &str) {
    assert_eq!(modify_status(setup), Value::Null);
    assert_eq!(setup.status("claim")["currentVolumeAttributesClassName"], class);
    assert_eq!(setup.volume("claim")["spec"]["volumeAttributesClassName"], class);
    assert!(setup.conditions("claim").is_empty());
}

fn parameters(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn other_class_after_infeasible() {
    let setup = setup();
    let _sidecar = look(&setup, state("target-vac", "test-vac", "Infeasible", "test-vac"), &[]).await;
    is_applied(&setup, "target-vac");
    let [request] = &setup.modifications()[..] else { panic!("one call") };
    assert_eq!(request.volume_id, "vol-claim");
    assert_eq!(request.mutable_parameters, parameters(&[("iops", "4567")]));
    setup
        .event("claim", "VolumeModify", "external resizer is modifying volume claim with vac target-vac")
        .await;
    let text = "external resizer modified volume claim with vac target-vac successfully";
    setup.event("claim", "VolumeModifySuccessful", text).await;
}

#[tokio::test(start_paused = true)]
async fn same_with_extra_metadata() {
    let setup = setup();
    let claim = state("target-vac", "test-vac", "Infeasible", "test-vac");
    let _sidecar = look(&setup, claim, &["--extra-modify-metadata"]).await;
    let expected = [
        ("iops", "4567"),
        ("csi.storage.k8s.io/pvc/name", "claim"),
        ("csi.storage.k8s.io/pvc/namespace", "default"),
        ("csi.storage.k8s.io/pv/name", "pv-claim"),
    ];
    assert_eq!(setup.modifications()[0].mutable_parameters, parameters(&expected));
    is_applied(&setup, "target-vac");
}

async fn nothing_happens(setup: Setup, claim: Value) {
    let sidecar = look(&setup, claim, &[]).await;
    pass(60).await;
    assert!(sidecar.is_running());
    assert_eq!((setup.modifications().len(), setup.writes()), (0, 0), "{}", setup.story());
}

#[tokio::test(start_paused = true)]
async fn spec_is_current() {
    nothing_happens(setup(), state("test-vac", "test-vac", "", "")).await;
}

#[tokio::test(start_paused = true)]
async fn first_class() {
    let setup = setup();
    let _sidecar = look(&setup, state("target-vac", "", "", ""), &[]).await;
    assert_eq!(setup.modifications().len(), 1);
    is_applied(&setup, "target-vac");
}

#[tokio::test(start_paused = true)]
async fn vac_missing() {
    let setup = setup();
    let claim = state("missing", "test-vac", "Infeasible", "whatever");
    let sidecar = look(&setup, claim, &[]).await;
    pass(1000).await;
    assert_eq!(setup.modifications().len(), 0);
    assert_eq!(
        modify_status(&setup),
        json!({"status": "Pending", "targetVolumeAttributesClassName": "whatever"})
    );
    assert_eq!(setup.status("claim")["currentVolumeAttributesClassName"], "test-vac");
    assert_eq!(setup.volume("claim")["spec"]["volumeAttributesClassName"], "test-vac");
    assert_eq!(setup.writes(), 1, "it succeeded: no retry");
    setup.event("claim", "VolumeModifyFailed", "VAC \"missing\" does not exist.").await;
    drop(sidecar);
}

/// What is not the driver's own answer is neither written nor reported.
#[tokio::test(start_paused = true)]
async fn plain_error() {
    let setup = setup();
    let secret =
        json!({"spec": {"csi": {"controllerExpandSecretRef": {"namespace": "default", "name": "s"}}}});
    setup.bound("claim", "1Gi", &state("target-vac", "test-vac", "", ""), &secret);
    let _sidecar = setup.start(&[]);
    pass(60).await;
    assert_eq!(modify_status(&setup)["status"], "InProgress");
    assert_eq!(setup.conditions("claim"), ["ModifyingVolume"]);
    assert!(setup.reasons("claim").iter().all(|reason| reason == "VolumeModify"));
    assert_eq!((setup.modifications().len(), setup.writes()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn no_class_wanted_and_infeasible() {
    nothing_happens(setup(), state("", "", "Infeasible", "target-vac")).await;
}

#[tokio::test(start_paused = true)]
async fn volumes_and_claims_that_are_not_ours_to_modify() {
    let wanting = || state("target-vac", "test-vac", "", "");
    for (claim, volume) in [
        (wanting(), json!({"spec": {"csi": {"driver": "other"}}})),
        (wanting(), json!({"spec": {"csi": null, "nfs": {"server": "s", "path": "/"}}})),
    ] {
        let setup = setup();
        setup.bound("claim", "1Gi", &claim, &volume);
        let sidecar = setup.start(&[]);
        pass(60).await;
        assert!(sidecar.is_running());
        assert_eq!((setup.modifications().len(), setup.writes()), (0, 0));
    }
    let mut pending = wanting();
    merge(&mut pending, &json!({"status": {"phase": "Pending"}}));
    nothing_happens(setup(), pending).await;
    let mut unbound = wanting();
    merge(&mut unbound, &json!({"spec": {"volumeName": null}, "status": {"phase": "Pending"}}));
    nothing_happens(setup(), unbound).await;
}

#[tokio::test(start_paused = true)]
async fn pvc_deleted() {
    let setup = setup();
    setup.bound("claim", "1Gi", &state("target-vac", "test-vac", "", ""), &json!({}));
    let sidecar = setup.start(&[]);
    setup.server.delete("PersistentVolumeClaim", "default", "claim").unwrap();
    pass(60).await;
    assert!(sidecar.is_running());
    assert!(setup.modifications().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_class_wanted_but_one_in_progress() {
    let setup = setup();
    let _sidecar = look(&setup, state("", "", "InProgress", "target-vac"), &[]).await;
    assert_eq!(setup.modifications()[0].mutable_parameters, parameters(&[("iops", "4567")]));
    assert_eq!(modify_status(&setup), Value::Null);
    assert_eq!(setup.status("claim")["currentVolumeAttributesClassName"], "target-vac");
}

fn failing(codes: &[Code]) -> Setup {
    let setup = setup();
    setup.driver.script::<ControllerModifyVolumeRequest>(codes.iter().map(|code| Step::fail(*code, "no")));
    setup
}

#[tokio::test(start_paused = true)]
async fn internal_error_twice() {
    let setup = failing(&[Code::Internal, Code::Internal]);
    let _sidecar = look(&setup, state("target-vac", "test-vac", "", ""), &[]).await;
    assert_eq!(setup.modifications().len(), 2, "not slowed");
    assert_eq!(modify_status(&setup)["status"], "InProgress");
    setup.event("claim", "VolumeModifyFailed", "rpc error: code = Internal desc = no").await;
}

#[tokio::test(start_paused = true)]
async fn invalid_argument_then_immediate_re_sync() {
    let setup = failing(&[Code::InvalidArgument; 9]);
    let _sidecar = look(&setup, state("target-vac", "test-vac", "", ""), &[]).await;
    pass(200).await;
    assert_eq!(setup.modifications().len(), 1);
    assert_eq!(
        modify_status(&setup),
        json!({"status": "Infeasible", "targetVolumeAttributesClassName": "target-vac"})
    );
    assert_eq!(setup.conditions("claim"), ["ModifyingVolume", "ModifyVolumeError"]);
    let error = setup.condition("claim", "ModifyVolumeError");
    assert_eq!((&error["reason"], &error["message"]), (&json!("InvalidArgument"), &json!("no")));
    setup.event("claim", "VolumeModifyFailed", "rpc error: code = InvalidArgument desc = no").await;
}

#[tokio::test(start_paused = true)]
async fn invalid_argument_and_the_time_has_passed() {
    let setup = failing(&[Code::InvalidArgument]);
    let _sidecar = look(&setup, state("target-vac", "test-vac", "", ""), &[]).await;
    pass(297).await;
    assert_eq!(setup.modifications().len(), 1);
    pass(5).await;
    assert_eq!(setup.modifications().len(), 2, "exactly when its time is over");
    is_applied(&setup, "target-vac");
}

#[tokio::test(start_paused = true)]
async fn in_progress_at_start_is_uncertain() {
    let setup = failing(&[Code::Aborted]);
    let _sidecar = look(&setup, state("target-vac", "", "InProgress", "test-vac"), &[]).await;
    // The first answer leaves it open, so the second call goes on with what was begun, whatever is wanted.
    let asked: Vec<_> =
        setup.modifications().into_iter().map(|m| m.mutable_parameters["iops"].clone()).collect();
    assert_eq!(asked, ["1000", "1000", "4567"], "then the class that is wanted");
    is_applied(&setup, "target-vac");
    let still = "rpc error: code = Aborted desc = no. Still modifying to VAC test-vac";
    setup.event("claim", "VolumeModifyFailed", still).await;
}

#[tokio::test(start_paused = true)]
async fn a_final_error_clears_and_another_non_final_one_sets_it_again() {
    let setup = failing(&[Code::Internal, Code::DeadlineExceeded]);
    let _sidecar = look(&setup, state("target-vac", "", "InProgress", "test-vac"), &[]).await;
    assert_eq!(setup.modifications().len(), 2);
    assert_eq!(
        modify_status(&setup)["targetVolumeAttributesClassName"],
        "target-vac",
        "free after a final error"
    );
    setup.want_class("claim", "test-vac");
    pass(1).await;
    assert_eq!(setup.modifications()[2].mutable_parameters["iops"], "4567", "frozen after an open one");
}

#[tokio::test(start_paused = true)]
async fn no_class_wanted_in_progress_and_invalid_argument() {
    let setup = failing(&[Code::InvalidArgument]);
    let mut claim = state("", "", "InProgress", "target-vac");
    let condition = json!([{"type": "ModifyingVolume", "status": "True"}]);
    merge(&mut claim, &json!({"status": {"conditions": condition}}));
    let _sidecar = look(&setup, claim, &[]).await;
    pass(60).await;
    assert_eq!(setup.modifications().len(), 1);
    assert_eq!(setup.conditions("claim"), ["ModifyVolumeError"]);
    setup.event("claim", "VolumeModifyCanceled", "Cancelled modify.").await;
    assert_eq!(modify_status(&setup)["status"], "Infeasible");
}

#[tokio::test(start_paused = true)]
async fn many_aborted_for_ever() {
    let setup = setup();
    setup.driver.always::<ControllerModifyVolumeRequest>(Step::fail(Code::Aborted, "busy"));
    for number in 0..10 {
        setup.bound(&format!("claim-{number}"), "1Gi", &state("target-vac", "", "", ""), &json!({}));
    }
    let _sidecar = setup.start(&["--workers=3"]);
    setup.until("they go on", || setup.modifications().len() >= 30).await;
}

#[tokio::test(start_paused = true)]
async fn modifier_construction() {
    let setup = Setup::with(able(true, false, false));
    setup.attributes_class("target-vac", &json!({"iops": "4567"}));
    nothing_happens(setup, state("target-vac", "", "", "")).await;
}

#[tokio::test(start_paused = true)]
async fn discovery() {
    let old = setup();
    old.server.hide("VolumeAttributesClass");
    let sidecar = look(&old, state("target-vac", "", "", ""), &[]).await;
    assert!(sidecar.is_running());
    assert!(old.modifications().is_empty());
    assert_eq!(old.server.count("", "volumeattributesclasses"), 0);
    let new = setup();
    let _sidecar = look(&new, state("target-vac", "", "", ""), &[]).await;
    assert_eq!(new.modifications().len(), 1);
    let off = setup();
    let _sidecar =
        look(&off, state("target-vac", "", "", ""), &["--feature-gates=VolumeAttributesClass=false"]).await;
    assert!(off.modifications().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_missing_although_the_gate_says_otherwise_does_not_stop_expansion() {
    let setup = setup();
    setup.server.hide("VolumeAttributesClass");
    setup.wanting("claim");
    let _sidecar = setup.start(&["--feature-gates=VolumeAttributesClass=true"]);
    setup.until_progress("claim", "NodeResizePending").await;
}
