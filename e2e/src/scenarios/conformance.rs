//! The testkit's list of what an API server does, on the real one. It holds the in-process server to the truth.

use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use rustix::process::Signal;
use serde_json::json;
use testkit::conformance::{ALL, Scenario, Subject};

use super::Tally;
use crate::cluster::Cluster;

/// Runs the list without the controllers, which would write to the same objects.
pub(super) async fn run(cluster: &Cluster, filter: &str, tally: &mut Tally) -> Result<()> {
    let chosen: Vec<_> = ALL
        .iter()
        .map(|(name, run)| (format!("api_server_{name}"), run))
        .filter(|(name, _)| name.contains(filter))
        .collect();
    if chosen.is_empty() {
        return Ok(());
    }
    cluster.with("kube-controller-manager", |manager| manager.stop(Signal::TERM))?;
    for (number, (name, run)) in chosen.into_iter().enumerate() {
        let began = Instant::now();
        let result = one(cluster, &format!("corner-{number}"), *run).await;
        tally.note(&name, began, result);
    }
    cluster.with("kube-controller-manager", crate::component::Component::start)
}

async fn one(cluster: &Cluster, namespace: &str, run: Scenario) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .context("cannot make the scenario's namespace")?;
    run(Subject { client: cluster.client.clone(), namespace: namespace.to_owned() }).await
}
