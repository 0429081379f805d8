//! `lab test`: scenarios on the real control plane and node, and on labs as a whole.
//!
//! Scenarios run one after the other, those that need less first, so that a broken driver does not hide
//! what the control plane has to say. The closing line is `N passed, N failed`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;

use crate::cluster::Cluster;
use crate::deploy;
use crate::programs::Release;
use crate::progress::say;
use crate::spec::{Extent, Spec};

mod conformance;
mod control_plane;
mod driver;
mod node;
mod outside;

/// One scenario inside the lab.
pub(crate) struct Scenario {
    name: &'static str,
    needs: Extent,
    run: Run,
}

type Run = Box<dyn for<'a> Fn(&'a Cluster) -> LocalBoxFuture<'a, Result<()>>>;

/// Names a scenario and says what it needs.
fn scenario(
    name: &'static str,
    needs: Extent,
    run: impl for<'a> Fn(&'a Cluster) -> LocalBoxFuture<'a, Result<()>> + 'static,
) -> Scenario {
    Scenario { name, needs, run: Box::new(run) }
}

/// What the oldest Kubernetes cannot pass, and why.
const ONLY_ON_THE_NEWEST: &[(&str, &str)] = &[
    ("api_server_discovery_names_the_kinds", "VolumeAttributesClass has no v1 there"),
    ("caches_read_the_same_in_protobuf_and_in_json", "VolumeAttributesClass has no v1 there"),
    ("api_server_streaming_list_ends_with_a_bookmark", "it does not stream lists unless told to"),
    ("api_server_class_is_immutable", "it words the refusal otherwise"),
    ("api_server_a_rule_says_what_is_broken", "it words the refusal otherwise"),
    ("api_server_a_reference_without_a_name_has_no_answer", "it words the refusal otherwise"),
    ("api_server_rules_wait_for_shapes", "it words the refusal otherwise"),
    ("api_server_shapes_in_a_status_are_named_from_there", "it words the refusal otherwise"),
];

/// Whether a scenario can be run here; says so if not.
fn is_for(cluster: &Cluster, name: &str) -> bool {
    let reason = match cluster.spec.kubernetes {
        Release::Newest => None,
        Release::Oldest => ONLY_ON_THE_NEWEST.iter().find(|(only, _)| *only == name),
    };
    if let Some((_, reason)) = reason {
        say(&format!("not run on the oldest Kubernetes: {name}: {reason}"));
    }
    reason.is_none()
}

/// What has passed and failed so far.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Reports one result and counts it.
    fn note(&mut self, name: &str, began: Instant, result: Result<()>) {
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("PASS [{seconds:6.1} s] {name}");
            }
            Err(error) => {
                println!(
                    "FAIL [{seconds:6.1} s] {name}\n    {}",
                    format!("{error:#}").replace('\n', "\n    ")
                );
                self.failed.push(name.to_owned());
            }
        }
    }

    fn file(dir: &Path) -> std::path::PathBuf {
        dir.join("tally.json")
    }
}

/// Runs the scenarios whose names contain `filter`.
pub(crate) async fn run(cluster: &Cluster, filter: &str) -> Result<ExitCode> {
    let mut tally = Tally::default();
    conformance::run(cluster, filter, &mut tally).await?;
    let mut all: Vec<Scenario> =
        control_plane::all().into_iter().chain(node::all()).chain(driver::all()).collect();
    all.retain(|scenario| scenario.name.contains(filter) && scenario.needs <= cluster.spec.extent);
    all.retain(|scenario| is_for(cluster, scenario.name));
    let mut deployed = None;
    for scenario in &all {
        if scenario.needs == Extent::Driver && deployed.is_none() {
            let began = Instant::now();
            let result = deploy::driver(cluster).await;
            deployed = Some(result.is_ok());
            if result.is_err() {
                say(&cluster.report().await.unwrap_or_else(|error| format!("no report: {error:#}")));
            }
            tally.note("the_driver_is_deployed_from_the_manifests", began, result);
        }
        if scenario.needs == Extent::Driver && deployed == Some(false) {
            tally.note(
                scenario.name,
                Instant::now(),
                Err(anyhow::anyhow!("not run: the driver is not deployed")),
            );
            continue;
        }
        let began = Instant::now();
        let result = (scenario.run)(cluster).await;
        tally.note(scenario.name, began, result);
    }
    let code = if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    fs::write(Tally::file(&cluster.spec.dir), serde_json::to_vec(&tally)?)?;
    Ok(code)
}

/// What the inside counted, read before the lab's folder goes.
pub(crate) fn tally(dir: &Path) -> Result<Tally> {
    let text = fs::read(Tally::file(dir)).context("the scenarios did not run to their end")?;
    Ok(serde_json::from_slice(&text)?)
}

/// Runs the scenarios on whole labs, then prints the closing lines.
pub(crate) fn conclude(mut tally: Tally, spec: &Spec) -> u8 {
    let filter = match &spec.task {
        crate::spec::Task::Test { filter } => filter.as_str(),
        _ => "",
    };
    // Those start labs of their own, with the newest.
    if spec.kubernetes == Release::Newest {
        outside::run(&mut tally, filter);
    }
    if !tally.failed.is_empty() {
        println!("\nfailed:\n    {}", tally.failed.join("\n    "));
    }
    println!("\nscenarios: {} passed, {} failed", tally.passed, tally.failed.len());
    u8::from(!tally.failed.is_empty() || tally.passed == 0)
}
