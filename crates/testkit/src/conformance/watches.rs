//! Watches.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::Subject;
use crate::api::doc;

const CLAIM: &str = "PersistentVolumeClaim";

/// Creates a claim without finalizers of the server's, so that a delete is one event.
async fn make(subject: &Subject, name: &str) -> anyhow::Result<Value> {
    subject.create(&subject.lease(name)).await?.ok()
}

async fn annotate(subject: &Subject, name: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    subject.patch("Lease", name, "merge", &patch).await?.ok()?;
    Ok(())
}

pub(super) async fn watch_from_a_version_replays(subject: Subject) -> anyhow::Result<()> {
    let first = make(&subject, "a").await?;
    make(&subject, "b").await?;
    annotate(&subject, "a").await?;
    let version = doc::text(&first, "/metadata/resourceVersion");
    let mut events = subject.watch("Lease", &format!("resourceVersion={version}")).await?;
    events.expect("ADDED", "b").await?;
    let changed = events.expect("MODIFIED", "a").await?;
    ensure!(doc::text(&changed, "/metadata/annotations/a") == "b");
    subject.delete("Lease", "b", &Value::Null).await?.ok()?;
    let gone = events.expect("DELETED", "b").await?;
    let (before, after) =
        (doc::text(&changed, "/metadata/resourceVersion"), doc::text(&gone, "/metadata/resourceVersion"));
    ensure!(after.parse::<u64>()? > before.parse::<u64>()?, "{before} {after}");
    Ok(())
}

pub(super) async fn watch_without_a_version_shows_the_state(subject: Subject) -> anyhow::Result<()> {
    make(&subject, "a").await?;
    annotate(&subject, "a").await?;
    for query in ["", "resourceVersion=0"] {
        let mut events = subject.watch("Lease", query).await?;
        let mut shown = events.expect("ADDED", "a").await?;
        if doc::text(&shown, "/metadata/annotations/a") != "b" {
            // Such a watch may begin with a state that is a little old.
            shown = events.expect("MODIFIED", "a").await?;
        }
        ensure!(doc::text(&shown, "/metadata/annotations/a") == "b", "{shown}");
    }
    Ok(())
}

pub(super) async fn watch_with_a_selector_turns_leaving_into_deleted(subject: Subject) -> anyhow::Result<()> {
    let first = make(&subject, "a").await?;
    let version = doc::text(&first, "/metadata/resourceVersion");
    let query = format!("labelSelector=in%3Dyes&resourceVersion={version}");
    let mut events = subject.watch("Lease", &query).await?;
    for (label, expected) in [("yes", "ADDED"), ("no", "DELETED"), ("yes", "ADDED")] {
        let patch = json!({"metadata": {"labels": {"in": label}}});
        let after = subject.patch("Lease", "a", "merge", &patch).await?.ok()?;
        let event = events.expect(expected, "a").await?;
        ensure!(event["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"], "{event}");
        ensure!(doc::text(&event, "/metadata/labels/in") == "yes", "{event}");
    }
    Ok(())
}

pub(super) async fn streaming_list_ends_with_a_bookmark(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.claim("a")).await?.ok()?;
    subject.create(&subject.claim("b")).await?.ok()?;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = subject.watch(CLAIM, query).await?;
    events.expect("ADDED", "a").await?;
    let last = events.expect("ADDED", "b").await?;
    let mark = events.expect("BOOKMARK", "").await?;
    let annotation = mark["metadata"]["annotations"]["k8s.io/initial-events-end"].clone();
    ensure!(annotation == "true", "{mark}");
    let (last, mark) =
        (doc::text(&last, "/metadata/resourceVersion"), doc::text(&mark, "/metadata/resourceVersion"));
    ensure!(mark.parse::<u64>()? >= last.parse::<u64>()?, "{mark} {last}");
    subject.create(&subject.claim("c")).await?.ok()?;
    events.expect("ADDED", "c").await?;
    Ok(())
}

pub(super) async fn streaming_list_needs_a_match(subject: Subject) -> anyhow::Result<()> {
    let answer = subject.list(CLAIM, "watch=true&sendInitialEvents=true&allowWatchBookmarks=true").await?;
    answer.refused_like(
        422,
        "Invalid",
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    )
}

pub(super) async fn watch_ends_after_its_timeout(subject: Subject) -> anyhow::Result<()> {
    let mut events = subject.watch("Lease", "timeoutSeconds=1&allowWatchBookmarks=true").await?;
    tokio::time::timeout(Duration::from_secs(20), events.expect_end()).await??;
    Ok(())
}
