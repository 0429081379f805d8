//! Claims that want more, or other attributes, on a cluster where nobody uses them: the controller's part.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus};
use serde_json::json;
use testkit::stage::claims::Stage;
use testkit::stage::{Outcome, ensure};

fn status(claim: &PersistentVolumeClaim) -> PersistentVolumeClaimStatus {
    claim.status.clone().unwrap_or_default()
}

/// How far the expansion has come, as the claim says.
fn progress(claim: &PersistentVolumeClaim) -> String {
    let statuses = status(claim).allocated_resource_statuses.unwrap_or_default();
    statuses.get("storage").cloned().unwrap_or_default()
}

fn storage(map: Option<&std::collections::BTreeMap<String, impl ToText>>) -> String {
    map.and_then(|map| map.get("storage")).map(ToText::text).unwrap_or_default()
}

/// A quantity as text.
pub trait ToText {
    fn text(&self) -> String;
}

impl ToText for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn text(&self) -> String {
        self.0.clone()
    }
}

fn allocated(claim: &PersistentVolumeClaim) -> String {
    storage(status(claim).allocated_resources.as_ref())
}

/// The controller's part is done: the node has to do its own, or nobody has.
fn has_grown(claim: &PersistentVolumeClaim, size: &str) -> bool {
    let grown = storage(status(claim).capacity.as_ref()) == size;
    grown || (allocated(claim) == size && progress(claim) == "NodeResizePending")
}

fn wants(size: &str) -> serde_json::Value {
    json!({"spec": {"resources": {"requests": {"storage": size}}}})
}

fn current_class(claim: &PersistentVolumeClaim) -> String {
    status(claim).current_volume_attributes_class_name.unwrap_or_default()
}

fn modification(claim: &PersistentVolumeClaim) -> String {
    status(claim).modify_volume_status.map(|modify| modify.status).unwrap_or_default()
}

/// A bound claim of a class whose volumes may grow, with the name of its volume.
async fn begin(stage: &Stage, what: &str) -> Outcome<(String, String, String)> {
    let class = stage.class(what, json!({"allowVolumeExpansion": true})).await?;
    let claim = stage.claim(what, &class, json!({})).await?;
    let volume = stage.bound(&claim).await?.metadata.name.unwrap_or_default();
    Ok((class, stage.name(what), volume))
}

async fn end(stage: &Stage, class: &str, claim: &str, volume: &str) -> Outcome {
    stage.delete_claim(claim).await?;
    stage.gone(volume).await?;
    stage.remove_class(class).await
}

async fn volume_has(stage: &Stage, volume: &str, size: &str) -> Outcome {
    let found = stage.volumes().get(volume).await.map_err(|error| error.to_string())?;
    let capacity = storage(found.spec.and_then(|spec| spec.capacity).as_ref());
    ensure(capacity == size, &format!("the volume object has {size}, not {capacity}"))
}

/// A claim that asks for more gets it.
pub async fn a_claim_grows(stage: &Stage) -> Outcome {
    let (class, claim, volume) = begin(stage, "grows").await?;
    stage.patch_claim(&claim, wants("2Mi")).await?;
    let grown = stage.claim_is("it has grown", &claim, |claim| has_grown(claim, "2Mi")).await?;
    ensure(allocated(&grown) == "2Mi", "what was asked for is noted")?;
    volume_has(stage, &volume, "2Mi").await?;
    let text = format!("External resizer is resizing volume {volume}");
    stage.event(&claim, "Resizing", &text).await?;
    if progress(&grown) == "NodeResizePending" {
        stage
            .event(&claim, "FileSystemResizeRequired", "Require file system resize of volume on node")
            .await?;
    } else {
        stage.event(&claim, "VolumeResizeSuccessful", "Resize volume succeeded").await?;
    }
    end(stage, &class, &claim, &volume).await
}

/// A size that no driver can give is refused for good, and can be taken back to one that can be had.
pub async fn a_size_that_cannot_be_had_is_taken_back(stage: &Stage) -> Outcome {
    let (class, claim, volume) = begin(stage, "recovers").await?;
    stage.patch_claim(&claim, wants("4Pi")).await?;
    let refused = |claim: &PersistentVolumeClaim| progress(claim) == "ControllerResizeInfeasible";
    let found = stage.claim_is("it is infeasible", &claim, refused).await?;
    let conditions = status(&found).conditions.unwrap_or_default();
    let error = conditions.iter().find(|condition| condition.type_ == "ControllerResizeError");
    let text = error.and_then(|condition| condition.message.clone()).unwrap_or_default();
    ensure(
        text.starts_with("failed to expand pvc with rpc error: code = OutOfRange"),
        &format!("the condition says why: {text}"),
    )?;
    volume_has(stage, &volume, "1Mi").await?;
    stage.event(&claim, "VolumeResizeFailed", "code = OutOfRange").await?;
    stage.patch_claim(&claim, wants("3Mi")).await?;
    stage.claim_is("it has grown", &claim, |claim| has_grown(claim, "3Mi")).await?;
    volume_has(stage, &volume, "3Mi").await?;
    end(stage, &class, &claim, &volume).await
}

async fn class_is_applied(stage: &Stage, claim: &str, volume: &str, class: &str) -> Outcome {
    let applied =
        |claim: &PersistentVolumeClaim| current_class(claim) == class && modification(claim).is_empty();
    let found = stage.claim_is("the class is applied", claim, applied).await?;
    let conditions = status(&found).conditions.unwrap_or_default();
    ensure(
        !conditions.iter().any(|condition| condition.type_.starts_with("Modify")),
        "nothing is left of it",
    )?;
    let object = stage.volumes().get(volume).await.map_err(|error| error.to_string())?;
    let named = object.spec.and_then(|spec| spec.volume_attributes_class_name);
    ensure(named.as_deref() == Some(class), "the volume names the class")
}

/// A claim that asks for an attributes class gets it, and another one after that.
pub async fn classes_are_applied_one_after_the_other(stage: &Stage) -> Outcome {
    let (class, claim, volume) = begin(stage, "modified").await?;
    for what in ["silver", "gold"] {
        let wanted = stage.attributes_class(what).await?;
        stage.patch_claim(&claim, json!({"spec": {"volumeAttributesClassName": wanted}})).await?;
        class_is_applied(stage, &claim, &volume, &wanted).await?;
        let begun = format!("external resizer is modifying volume {claim} with vac {wanted}");
        stage.event(&claim, "VolumeModify", &begun).await?;
        let done = format!("external resizer modified volume {claim} with vac {wanted} successfully");
        stage.event(&claim, "VolumeModifySuccessful", &done).await?;
    }
    end(stage, &class, &claim, &volume).await?;
    for what in ["silver", "gold"] {
        stage.remove_attributes_class(&stage.name(what)).await?;
    }
    Ok(())
}

/// A class that does not exist is waited for, and applied when it comes.
pub async fn a_class_that_comes_later_is_applied(stage: &Stage) -> Outcome {
    let (class, claim, volume) = begin(stage, "patient").await?;
    let wanted = stage.name("bronze");
    stage.patch_claim(&claim, json!({"spec": {"volumeAttributesClassName": wanted}})).await?;
    stage.claim_is("it waits", &claim, |claim| modification(claim) == "Pending").await?;
    stage.event(&claim, "VolumeModifyFailed", &format!("VAC \"{wanted}\" does not exist.")).await?;
    stage.attributes_class("bronze").await?;
    class_is_applied(stage, &claim, &volume, &wanted).await?;
    end(stage, &class, &claim, &volume).await?;
    stage.remove_attributes_class(&wanted).await
}

/// More and other attributes at the same time: both are had.
pub async fn a_claim_grows_and_is_modified_at_once(stage: &Stage) -> Outcome {
    let (class, claim, volume) = begin(stage, "both").await?;
    let wanted = stage.attributes_class("copper").await?;
    let both = json!({"spec": {
        "resources": {"requests": {"storage": "2Mi"}}, "volumeAttributesClassName": wanted,
    }});
    stage.patch_claim(&claim, both).await?;
    stage.claim_is("it has grown", &claim, |claim| has_grown(claim, "2Mi")).await?;
    class_is_applied(stage, &claim, &volume, &wanted).await?;
    volume_has(stage, &volume, "2Mi").await?;
    end(stage, &class, &claim, &volume).await?;
    stage.remove_attributes_class(&wanted).await
}
