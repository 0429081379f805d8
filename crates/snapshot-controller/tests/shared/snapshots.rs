//! Lives of snapshots, from the wish for them until nothing is left.

use std::time::Duration;

use serde_json::json;
use snapshot_api::names::{annotations, finalizers};
use testkit::stage::{Outcome, ensure};
use tokio::time::sleep;

use super::stage::{Kind, Stage, held, text};

const SNAPSHOT: Kind = Kind::Snapshot;
const CONTENT: Kind = Kind::Content;
const CLASS: Kind = Kind::Class;

/// A snapshot of a claim gets a content, is bound to it, learns what it says, and goes with it.
pub async fn a_snapshot_is_bound_and_goes_with_its_content(stage: &Stage) -> Outcome {
    let class = stage.class(CLASS, "plain", json!({})).await?;
    let name = stage.snapshot("plain", Some(&class)).await?;
    let (snapshot, content) = stage.ready(SNAPSHOT, &name).await?;
    let uid = text(&snapshot["metadata"]["uid"]);
    ensure(text(&content["metadata"]["name"]) == format!("snapcontent-{uid}"), "the content has its name")?;
    ensure(content["spec"]["volumeSnapshotRef"]["uid"] == uid, "they know each other")?;
    ensure(content["spec"]["volumeSnapshotClassName"] == class, "its class is the snapshot's")?;
    ensure(held(&content, finalizers::CONTENT_BOUND), "the content is held")?;
    for finalizer in [finalizers::SNAPSHOT_SOURCE, finalizers::SNAPSHOT_BOUND] {
        ensure(held(&snapshot, finalizer), finalizer)?;
    }
    for field in ["creationTime", "restoreSize"] {
        ensure(snapshot["status"][field].is_string(), field)?;
    }
    for reason in ["CreatingSnapshot", "SnapshotCreated", "SnapshotReady"] {
        ensure(stage.event(&name, reason).await? == 1, reason)?;
    }
    stage.protected(false).await?;
    stage.remove_whole(SNAPSHOT, &name).await?;
    stage.remove(CLASS, &class).await
}

/// A snapshot that names no class gets the one default of its driver.
pub async fn a_snapshot_without_a_class_gets_the_default(stage: &Stage) -> Outcome {
    let marked = |value: &str| json!({"metadata": {"annotations": {annotations::DEFAULT_CLASS: value}}});
    let class = stage.class(CLASS, "default", marked("true")).await?;
    let other = stage.class(CLASS, "no-default", marked("false")).await?;
    let name = stage.snapshot("classless", None).await?;
    let (snapshot, _) = stage.ready(SNAPSHOT, &name).await?;
    ensure(snapshot["spec"]["volumeSnapshotClassName"] == class, "it is the default")?;
    stage.remove_whole(SNAPSHOT, &name).await?;
    stage.remove(CLASS, &class).await?;
    stage.remove(CLASS, &other).await
}

/// What is retained outlives its snapshot, is bound again by hand, both ways, and goes when that is what its content says.
pub async fn a_retained_snapshot_is_bound_again(stage: &Stage) -> Outcome {
    let class = stage.class(CLASS, "retain", json!({"deletionPolicy": "Retain"})).await?;
    let first = stage.snapshot("retained", Some(&class)).await?;
    let (_, content) = stage.ready(SNAPSHOT, &first).await?;
    let (kept, handle) = (text(&content["metadata"]["name"]), text(&content["status"]["snapshotHandle"]));
    stage.remove(SNAPSHOT, &first).await?;
    let content = stage.get(CONTENT, &kept).await?;
    ensure(content["metadata"]["deletionTimestamp"].is_null(), "its content stays")?;
    ensure(
        content["metadata"]["annotations"][annotations::BEING_DELETED] == "yes",
        "and says that it is free",
    )?;
    ensure(text(&content["status"]["snapshotHandle"]) == handle, "and names the snapshot")?;
    stage.remove(CONTENT, &kept).await?;

    let again = stage.name("again");
    let (_, by_hand) = stage.by_hand("again", &handle, "Delete", &again).await?;
    let (snapshot, content) = stage.ready(SNAPSHOT, &again).await?;
    ensure(content["metadata"]["name"] == by_hand, "it is bound to the content that it names")?;
    ensure(content["spec"]["volumeSnapshotRef"]["uid"] == snapshot["metadata"]["uid"], "and that to it")?;
    ensure(text(&content["status"]["snapshotHandle"]) == handle, "it is the same snapshot")?;
    stage.remove_whole(SNAPSHOT, &again).await?;

    // It is no more, and who names it is told so.
    let late = stage.name("too-late");
    stage.by_hand("too-late", &handle, "Delete", &late).await?;
    let told = stage.refused(SNAPSHOT, &late, "Failed to check and update snapshot content").await?;
    ensure(told["status"]["readyToUse"] == false, "it is not ready")?;
    stage.remove_whole(SNAPSHOT, &late).await?;
    stage.remove(CLASS, &class).await
}

/// A content that belongs to another snapshot is not touched, and who names it is told so.
pub async fn a_content_of_another_snapshot_is_left_alone(stage: &Stage) -> Outcome {
    let owner = stage.name("somebody");
    let (name, bound) = stage.by_hand("misbound", "no-such-snapshot", "Delete", &owner).await?;
    let message = format!("VolumeSnapshotContent [{bound}] is bound to a different snapshot");
    let told = stage.refused(SNAPSHOT, &name, &message).await?;
    ensure(told["status"]["readyToUse"] == false, "it is not ready")?;
    stage.event(&name, "SnapshotContentMisbound").await?;
    stage.remove(SNAPSHOT, &name).await?;
    let content = stage.get(CONTENT, &bound).await?;
    ensure(content["spec"]["volumeSnapshotRef"]["uid"].is_null(), "it is not bound")?;
    ensure(content["metadata"]["deletionTimestamp"].is_null(), "it is not deleted")?;
    ensure(content["metadata"]["annotations"][annotations::BEING_DELETED].is_null(), "it is not given up")?;
    stage.remove(CONTENT, &bound).await
}

/// A claim is protected for as long as a snapshot is being taken of it. That takes until the class has lost a parameter that no
/// snapshotter accepts.
pub async fn a_claim_is_protected_while_it_is_cut(stage: &Stage) -> Outcome {
    let nonsense = "csi.storage.k8s.io/nonsense";
    let class = stage.class(CLASS, "protecting", json!({"parameters": {nonsense: "x"}})).await?;
    let name = stage.snapshot("protecting", Some(&class)).await?;
    let told = stage.refused(SNAPSHOT, &name, nonsense).await?;
    ensure(told["status"]["boundVolumeSnapshotContentName"].is_string(), "it has a content")?;
    stage.protected(true).await?;
    stage.patch(CLASS, &class, &json!({"parameters": {nonsense: null}})).await?;
    stage.ready(SNAPSHOT, &name).await?;
    stage.protected(false).await?;
    stage.remove_whole(SNAPSHOT, &name).await?;
    stage.remove(CLASS, &class).await
}

/// A snapshot that a claim is being filled from stays, and goes at once when that claim no longer waits.
pub async fn a_snapshot_that_is_restored_from_stays(stage: &Stage) -> Outcome {
    let class = stage.class(CLASS, "restored", json!({})).await?;
    let name = stage.snapshot("restored", Some(&class)).await?;
    let (_, before) = stage.ready(SNAPSHOT, &name).await?;
    let claim = stage.restoring("restoring", &name).await?;
    stage.delete(SNAPSHOT, &name).await?;
    stage.event(&name, "SnapshotDeletePending").await?;
    sleep(Duration::from_secs(2)).await;
    let (_, content) = stage.ready(SNAPSHOT, &name).await?;
    ensure(content["status"] == before["status"], "what it stands for is there")?;
    ensure(content["metadata"]["deletionTimestamp"].is_null(), "nobody has deleted the content")?;
    stage.delete_claim(&claim).await?;
    stage.gone(SNAPSHOT, &name).await?;
    stage.gone(CONTENT, &text(&content["metadata"]["name"])).await?;
    stage.remove(CLASS, &class).await
}

/// A snapshot whose class is not there says so, and is taken when that comes.
pub async fn a_class_may_come_late_for_a_snapshot(stage: &Stage) -> Outcome {
    let name = stage.snapshot("early", Some(&stage.name("late"))).await?;
    stage.refused(SNAPSHOT, &name, "Failed to get snapshot class with error").await?;
    stage.event(&name, "GetSnapshotClassFailed").await?;
    let class = stage.class(CLASS, "late", json!({})).await?;
    stage.ready(SNAPSHOT, &name).await?;
    stage.remove_whole(SNAPSHOT, &name).await?;
    stage.remove(CLASS, &class).await
}

/// A class of another driver is refused, before there is a content and while nothing is protected.
pub async fn a_class_of_another_driver_is_refused(stage: &Stage) -> Outcome {
    let class = stage.class(CLASS, "foreign", json!({"driver": "other.example.com"})).await?;
    let name = stage.snapshot("foreign", Some(&class)).await?;
    let told = stage.refused(SNAPSHOT, &name, "is of the driver other.example.com").await?;
    let uid = text(&told["metadata"]["uid"]);
    stage.event(&name, "SnapshotContentCreationFailed").await?;
    ensure(stage.get(CONTENT, &format!("snapcontent-{uid}")).await?.is_null(), "there is no content")?;
    stage.protected(false).await?;
    stage.remove_whole(SNAPSHOT, &name).await?;
    stage.remove(CLASS, &class).await
}

/// A ready snapshot whose content was taken away by force says so, and goes all the same. What the driver has is left.
pub async fn a_snapshot_that_lost_its_content_says_so(stage: &Stage) -> Outcome {
    let class = stage.class(CLASS, "lost", json!({})).await?;
    let name = stage.snapshot("lost", Some(&class)).await?;
    let (_, content) = stage.ready(SNAPSHOT, &name).await?;
    let (bound, handle) = (text(&content["metadata"]["name"]), text(&content["status"]["snapshotHandle"]));
    stage.delete(CONTENT, &bound).await?;
    stage.patch(CONTENT, &bound, &json!({"metadata": {"finalizers": null}})).await?;
    stage.gone(CONTENT, &bound).await?;
    let told = stage.refused(SNAPSHOT, &name, "VolumeSnapshotContent is missing").await?;
    ensure(told["status"]["readyToUse"] == false, "it is not ready")?;
    stage.event(&name, "SnapshotContentMissing").await?;
    ensure(stage.get(CONTENT, &bound).await?.is_null(), "no other is made for it")?;
    stage.remove(SNAPSHOT, &name).await?;
    stage.dispose("disposed", &handle).await?;
    stage.remove(CLASS, &class).await
}

/// Of two replicas one works. When it is ended (`end` is told who that is) the other goes on, and nothing is done twice.
pub async fn the_other_replica_goes_on(stage: &Stage, end: impl AsyncFnOnce(&str) -> Outcome) -> Outcome {
    let class = stage.class(CLASS, "replicas", json!({})).await?;
    let leader = stage.leader_other_than("").await?;
    let before = stage.snapshot("before", Some(&class)).await?;
    stage.ready(SNAPSHOT, &before).await?;
    end(&leader).await?;
    let after = stage.snapshot("after", Some(&class)).await?;
    stage.leader_other_than(&leader).await?;
    for name in [before, after] {
        stage.ready(SNAPSHOT, &name).await?;
        ensure(stage.event(&name, "CreatingSnapshot").await? == 1, "its content was made once")?;
        stage.remove_whole(SNAPSHOT, &name).await?;
    }
    stage.remove(CLASS, &class).await
}
