//! What happens in the namespaces: set up the machine, start the cluster, do the task, report.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::progress::{self, say};
use crate::spec::{Extent, Spec, Task};
use crate::{bench, demo, deploy, machine, outside, scenarios};

/// Runs the lab whose folder is `dir`; the process ends with the task's status.
pub(crate) fn run(dir: &Path) -> Result<ExitCode> {
    let spec = Spec::load(dir)?;
    progress::continue_from(spec.started());
    machine::set_up(&spec)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let cluster = Cluster::start(spec).await?;
        let result = work(&cluster).await;
        if result.is_err() {
            say(&cluster.report().await.unwrap_or_else(|error| format!("no report: {error:#}")));
        }
        result
    })
}

async fn work(cluster: &Cluster) -> Result<ExitCode> {
    // The scenarios deploy it when they come to it.
    let scenarios = matches!(cluster.spec.task, Task::Test { .. });
    if cluster.spec.extent == Extent::Driver && !scenarios {
        deploy::driver(cluster).await?;
    }
    match &cluster.spec.task {
        Task::Command(words) => command(cluster, words),
        Task::Demo => demo::run(cluster).await,
        Task::Bench { binaries, only } => bench::run(cluster, binaries, only.as_deref()).await,
        Task::Test { filter } => scenarios::run(cluster, filter).await,
    }
}

fn command(cluster: &Cluster, words: &[String]) -> Result<ExitCode> {
    let (program, arguments) = words.split_first().context("no command to run")?;
    say(&format!("running {}", words.join(" ")));
    let tools = cluster.spec.dir.join("bin");
    std::fs::create_dir_all(&tools)?;
    for (name, file) in &cluster.spec.programs {
        std::os::unix::fs::symlink(file, tools.join(name))?;
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let status = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", cluster.pki.kubeconfig("admin"))
        .env("CONTAINERD_ADDRESS", crate::node::socket(&cluster.spec))
        .env("LAB_DIR", &cluster.spec.dir)
        .env("LAB_AUDIT_LOG", crate::control_plane::audit_log(&cluster.spec))
        .env("PATH", path)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(ExitCode::from(outside::exit_code(status)))
}
