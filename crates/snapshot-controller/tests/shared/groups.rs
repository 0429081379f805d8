//! Lives of groups.

use std::time::Duration;

use serde_json::{Value, json};
use snapshot_api::names::finalizers;
use testkit::stage::{Outcome, ensure, eventually};
use tokio::time::sleep;

use super::stage::{Kind, Stage, held, text};

/// A group of both claims that is ready: its class, its name, and those of its members.
async fn taken(stage: &Stage, what: &str) -> Outcome<(String, String, Vec<String>)> {
    let class = stage.class(Kind::GroupClass, what, json!({})).await?;
    let name = stage.name(what);
    let (key, value) = &stage.label;
    let selector = json!({"matchLabels": {key: value}});
    let spec = json!({"volumeGroupSnapshotClassName": class, "source": {"selector": selector}});
    stage.create(Kind::Group, &name, json!({ "spec": spec })).await?;
    stage.ready(Kind::Group, &name).await?;
    let members = eventually(&format!("{name} has two members"), async || {
        let members = stage.members(&name).await?;
        Ok((members.len() == 2).then_some(members))
    })
    .await?;
    Ok((class, name, members))
}

fn of_group(content: &Value) -> bool {
    content["status"]["volumeGroupSnapshotHandle"].is_string()
}

/// A group gets a content and, when it is cut, a member for each of its claims; all of them go with it.
pub async fn a_group_is_taken_and_goes_with_its_members(stage: &Stage) -> Outcome {
    let (class, name, members) = taken(stage, "group").await?;
    let (group, content) = stage.ready(Kind::Group, &name).await?;
    let uid = text(&group["metadata"]["uid"]);
    ensure(
        text(&content["metadata"]["name"]) == format!("groupsnapcontent-{uid}"),
        "the content has its name",
    )?;
    ensure(content["spec"]["volumeGroupSnapshotRef"]["uid"] == uid, "they know each other")?;
    ensure(held(&group, finalizers::GROUP_BOUND), "the group is held")?;
    let mut claims = Vec::new();
    let mut contents = Vec::new();
    for member in &members {
        let (snapshot, content) = stage.ready(Kind::Snapshot, member).await?;
        ensure(snapshot["status"]["volumeGroupSnapshotName"] == name, "it knows its group")?;
        ensure(held(&snapshot, finalizers::SNAPSHOT_IN_GROUP), "it is held by it")?;
        ensure(of_group(&content), "its content is of the group")?;
        claims.push(text(&snapshot["spec"]["source"]["persistentVolumeClaimName"]));
        contents.push(text(&content["metadata"]["name"]));
    }
    ensure(stage.claims.iter().all(|claim| claims.contains(claim)), "each claim has its own")?;
    stage.remove_whole(Kind::Group, &name).await?;
    for member in &members {
        stage.gone(Kind::Snapshot, member).await?;
    }
    for content in &contents {
        stage.gone(Kind::Content, content).await?;
    }
    stage.remove(Kind::GroupClass, &class).await
}

/// A member that is deleted alone stays for as long as its group.
pub async fn a_member_goes_no_sooner_than_its_group(stage: &Stage) -> Outcome {
    let (class, name, members) = taken(stage, "whole").await?;
    let first = members.first().ok_or("there are members")?;
    let (_, before) = stage.ready(Kind::Snapshot, first).await?;
    stage.delete(Kind::Snapshot, first).await?;
    stage.event(first, "SnapshotDeletePending").await?;
    sleep(Duration::from_secs(2)).await;
    let (snapshot, content) = stage.ready(Kind::Snapshot, first).await?;
    ensure(snapshot["metadata"]["deletionTimestamp"].is_string(), "it is marked")?;
    ensure(content["status"] == before["status"], "what it stands for is there")?;
    stage.remove_whole(Kind::Group, &name).await?;
    for member in &members {
        stage.gone(Kind::Snapshot, member).await?;
    }
    stage.gone(Kind::Content, &text(&content["metadata"]["name"])).await?;
    stage.remove(Kind::GroupClass, &class).await
}
