//! The conformance lists on the in-process server.

use std::future::Future;

use snapshot_api::names::kinds::{GROUP_SNAPSHOT_GROUP, SNAPSHOT_GROUP};
use testkit::api::ApiServer;
use testkit::conformance::{ALL, CUSTOM, Subject, rules};

/// A server of its own for each scenario.
fn subject(groups: &[&str]) -> Subject {
    let server = ApiServer::new();
    server.add_namespace("corner");
    for group in groups {
        server.install(group);
    }
    Subject { client: server.client(), namespace: "corner".to_owned() }
}

/// Collects what went wrong in which scenario.
async fn all<F: Future<Output = anyhow::Result<()>>>(scenarios: impl Iterator<Item = (&'static str, F)>) {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, scenario) in scenarios {
        count += 1;
        if let Err(error) = scenario.await {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 0, "nothing was tried");
}

#[tokio::test(start_paused = true)]
async fn in_process_server_conforms() {
    all(ALL.iter().map(|(name, scenario)| (*name, scenario(subject(&[]))))).await;
}

#[tokio::test(start_paused = true)]
async fn in_process_server_conforms_in_custom_resources() {
    let groups = [SNAPSHOT_GROUP, GROUP_SNAPSHOT_GROUP];
    all(CUSTOM.iter().map(|(name, scenario)| (*name, scenario(subject(&groups))))).await;
}

/// Annex A.5 of sheet snapshot-controller, row by row.
#[tokio::test(start_paused = true)]
async fn in_process_server_applies_the_rules_of_snapshots() {
    let groups = [SNAPSHOT_GROUP, GROUP_SNAPSHOT_GROUP];
    all(rules::rows().into_iter().map(|row| {
        let subject = subject(&groups);
        (row.name, async move { row.run(&subject).await })
    }))
    .await;
}
