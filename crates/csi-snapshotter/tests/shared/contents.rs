//! Lives of contents, from their creation until nothing is left.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::stage::{Outcome, ensure};
use tokio::time::sleep;

use super::stage::{Kind, Stage};

const FOREIGN: &str = "example.com/held";

fn text<'a>(content: &'a Value, field: &str) -> Outcome<&'a str> {
    content["status"][field].as_str().ok_or_else(|| format!("no {field} in {}", content["status"]))
}

/// A snapshot is taken, known, and deleted with its content.
pub async fn a_snapshot_is_taken_and_deleted(stage: &Stage) -> Outcome {
    let class = stage.class(Kind::Single, "plain").await?;
    let name = stage.content(Kind::Single, "plain", &class, json!({})).await?;
    let content = stage.ready(Kind::Single, &name).await?;
    text(&content, "snapshotHandle")?;
    ensure(content["status"]["creationTime"].as_i64() > Some(0), "its time is known")?;
    ensure(content["status"]["error"].is_null(), "it has no error")?;
    stage.remove(Kind::Single, &name).await?;
    stage.remove_class(Kind::Single, &class).await
}

/// The same for a group; its members are known too.
pub async fn a_group_is_taken_and_deleted(stage: &Stage) -> Outcome {
    let class = stage.class(Kind::Group, "group").await?;
    let name = stage.content(Kind::Group, "group", &class, json!({})).await?;
    let content = stage.ready(Kind::Group, &name).await?;
    text(&content, "volumeGroupSnapshotHandle")?;
    let members = content["status"]["volumeSnapshotInfoList"].as_array().cloned().unwrap_or_default();
    ensure(members.len() == 2, "it has two members")?;
    let volumes: Vec<_> = members.iter().filter_map(|member| member["volumeHandle"].as_str()).collect();
    ensure(stage.volumes.iter().all(|volume| volumes.contains(&volume.as_str())), "they are of its volumes")?;
    stage.remove(Kind::Group, &name).await?;
    stage.remove_class(Kind::Group, &class).await
}

/// A snapshot that outlived its content is found again by another, and deleted with that.
pub async fn a_retained_snapshot_is_found_again(stage: &Stage) -> Outcome {
    let class = stage.class(Kind::Single, "retained").await?;
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    let first = stage.content(Kind::Single, "retained", &class, retain).await?;
    let content = stage.ready(Kind::Single, &first).await?;
    let handle = text(&content, "snapshotHandle")?;
    stage.remove(Kind::Single, &first).await?;

    let source = json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": handle}}});
    let second = stage.content(Kind::Single, "found", &class, source).await?;
    let content = stage.ready(Kind::Single, &second).await?;
    ensure(text(&content, "snapshotHandle")? == handle, "it is the same snapshot")?;
    stage.remove(Kind::Single, &second).await?;
    stage.remove_class(Kind::Single, &class).await
}

/// A snapshot of a volume that does not exist is told so, and its content goes when it is asked to.
pub async fn a_snapshot_of_nothing_is_told_so(stage: &Stage) -> Outcome {
    let class = stage.class(Kind::Single, "nothing").await?;
    let source = json!({"spec": {"source": {"volumeHandle": stage.name("no-such-volume")}}});
    let name = stage.content(Kind::Single, "nothing", &class, source).await?;
    let says = "Failed to create snapshot: failed to take snapshot of the volume";
    let content = stage.refused(Kind::Single, &name, says).await?;
    ensure(content["status"]["readyToUse"] == false, "it is not ready")?;
    stage.remove(Kind::Single, &name).await?;
    stage.remove_class(Kind::Single, &class).await
}

/// A content that waits for its class is taken when that comes.
pub async fn a_class_may_come_late(stage: &Stage) -> Outcome {
    for kind in [Kind::Single, Kind::Group] {
        let name = stage.content(kind, "early", &stage.name("late"), json!({})).await?;
        stage.refused(kind, &name, "not found").await?;
        let class = stage.class(kind, "late").await?;
        let content = stage.ready(kind, &name).await?;
        ensure(content["status"]["error"].is_null(), "the error is gone")?;
        stage.remove(kind, &name).await?;
        stage.remove_class(kind, &class).await?;
    }
    Ok(())
}

/// A content that a user deletes stays, with its snapshot, for as long as the snapshot is wanted.
pub async fn a_content_that_is_wanted_stays(stage: &Stage) -> Outcome {
    let class = stage.class(Kind::Single, "wanted").await?;
    let name = stage.content(Kind::Single, "wanted", &class, json!({})).await?;
    let ready = stage.ready(Kind::Single, &name).await?;
    stage.delete(Kind::Single, &name).await?;
    sleep(Duration::from_secs(2)).await;
    let left = stage.get(Kind::Single, &name).await?;
    ensure(left["metadata"]["deletionTimestamp"].is_string(), "it is marked")?;
    ensure(left["status"] == ready["status"], "its snapshot is there")?;
    stage.give_up(Kind::Single, &name).await?;
    stage.gone(Kind::Single, &name).await?;
    stage.remove_class(Kind::Single, &class).await
}

/// Where somebody else holds a content, its status does not name what is no more.
pub async fn a_content_held_by_another_forgets_its_snapshot(stage: &Stage) -> Outcome {
    for kind in [Kind::Single, Kind::Group] {
        let class = stage.class(kind, "held").await?;
        let held = json!({"metadata": {"finalizers": [FOREIGN, kind.finalizer()]}});
        let name = stage.content(kind, "held", &class, held).await?;
        stage.ready(kind, &name).await?;
        stage.give_up(kind, &name).await?;
        stage.delete(kind, &name).await?;
        let only = json!([FOREIGN]);
        let released = |content: &Value| content["metadata"]["finalizers"] == only;
        let left = stage.until(kind, &name, "is released", released).await?;
        ensure(left["status"][kind.handle()].is_null(), "it names no snapshot")?;
        stage.patch(kind, &name, &json!({"metadata": {"finalizers": null}})).await?;
        stage.gone(kind, &name).await?;
        stage.remove_class(kind, &class).await?;
    }
    Ok(())
}
