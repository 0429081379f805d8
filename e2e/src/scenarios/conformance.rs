//! The testkit's lists of what an API server does, on the real one. They hold the in-process server to the truth.

use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use rustix::process::Signal;
use serde_json::json;
use testkit::conformance::{ALL, CUSTOM, Scenario, Subject, rules};

use super::{Tally, is_for};
use crate::cluster::Cluster;
use crate::component::Component;
use crate::deploy;

/// Runs the lists without the controllers, which would write to the same objects.
pub(super) async fn run(cluster: &Cluster, filter: &str, tally: &mut Tally) -> Result<()> {
    let (mut plain, mut custom) = (Chosen::plain(filter), Chosen::custom(filter));
    for chosen in [&mut plain, &mut custom] {
        chosen.retain(|chosen| is_for(cluster, &chosen.name));
    }
    if plain.is_empty() && custom.is_empty() {
        return Ok(());
    }
    cluster.with("kube-controller-manager", |manager| manager.stop(Signal::TERM))?;
    Chosen::run(plain, cluster, tally).await;
    if !custom.is_empty() {
        let began = Instant::now();
        let installed = deploy::definitions(cluster).await;
        let ready = installed.is_ok();
        tally.note("api_server_takes_the_definitions_of_snapshots", began, installed);
        if ready {
            Chosen::run(custom, cluster, tally).await;
        }
        // What the scenarios leave behind must not meet the snapshot controller.
        deploy::remove_definitions(cluster)?;
    }
    cluster.with("kube-controller-manager", Component::start)
}

/// A scenario, or a row of the table of rules.
struct Chosen {
    name: String,
    case: Case,
}

enum Case {
    Scenario(Scenario),
    Row(rules::Row),
}

impl Chosen {
    fn plain(filter: &str) -> Vec<Self> {
        Self::choose(ALL.iter().map(|(name, run)| (*name, Case::Scenario(*run))), filter)
    }

    fn custom(filter: &str) -> Vec<Self> {
        let scenarios = CUSTOM.iter().map(|(name, run)| (*name, Case::Scenario(*run)));
        let rows = rules::rows().into_iter().map(|row| (row.name, Case::Row(row)));
        Self::choose(scenarios.chain(rows), filter)
    }

    fn choose(cases: impl Iterator<Item = (&'static str, Case)>, filter: &str) -> Vec<Self> {
        cases
            .map(|(name, case)| Self { name: format!("api_server_{name}"), case })
            .filter(|chosen| chosen.name.contains(filter))
            .collect()
    }

    /// Runs each in a namespace of its own.
    async fn run(chosen: Vec<Self>, cluster: &Cluster, tally: &mut Tally) {
        for Self { name, case } in chosen {
            let began = Instant::now();
            let result = async {
                let subject = corner(cluster, &name).await?;
                match &case {
                    Case::Scenario(run) => run(subject).await,
                    Case::Row(row) => row.run(&subject).await,
                }
            };
            let result = result.await;
            tally.note(&name, began, result);
        }
    }
}

async fn corner(cluster: &Cluster, name: &str) -> Result<Subject> {
    let namespace: String = name.replace('_', "-").chars().take(50).collect();
    let namespace = format!("{}-corner", namespace.trim_end_matches('-'));
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .context("cannot make the scenario's namespace")?;
    Ok(Subject { client: cluster.client.clone(), namespace })
}
