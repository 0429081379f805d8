//! Driver and API server die while a call to the driver is under way: provisioning, attaching and expanding at once.
//!
//! The call is caught in the act by stopping the driver's process before it is made.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use rustix::process::Signal;

use super::containers::{self, deployed};
use super::tasks::Task;
use super::{LIMIT, short_life};
use crate::cluster::Cluster;
use crate::deploy;
use crate::sidecars::{DRIVER, Shipped, with_driver};

/// A log line of `-v=5` may be late by so much.
const LOGGED: Duration = Duration::from_secs(20);

/// Work of every sidecar, whose calls the driver has got and does not answer.
struct InFlight<'a> {
    cluster: &'a Cluster,
    tasks: Vec<(&'static Shipped, Task<'a>)>,
    /// Id of the driver's container.
    driver: String,
}

impl<'a> InFlight<'a> {
    async fn begin(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let mut tasks = Vec::new();
        for shipped in with_driver() {
            let mut task = Task::of(cluster, shipped, &format!("{name}-{}", shipped.container)).await?;
            task.prepare().await?;
            tasks.push((shipped, task));
        }
        let mut before = Vec::new();
        for (shipped, task) in &tasks {
            before.push(calls(cluster, shipped, task.call()).await?);
        }
        let driver = containers::signal(cluster, &deployed(DRIVER), "SIGSTOP").await?;
        for (_, task) in &mut tasks {
            task.begin().await?;
        }
        for ((shipped, task), before) in tasks.iter().zip(before) {
            cluster
                .quietly_until(&format!("{} under way", task.call()), LOGGED, async || {
                    Ok((calls(cluster, shipped, task.call()).await? > before).then_some(()))
                })
                .await?;
        }
        Ok(Self { cluster, tasks, driver })
    }

    /// Everything that was begun is done, can be undone, and leaves nothing.
    async fn conclude(self) -> Result<()> {
        for (shipped, task) in self.tasks {
            let of = || format!("the work of {}", shipped.binary);
            task.done().await.with_context(of)?;
            task.take_back().await.with_context(of)?;
            task.undone().await.with_context(of)?;
            task.end().await.with_context(of)?;
        }
        short_life(self.cluster, "after-loss").await
    }
}

/// How many calls of a kind a sidecar says it has made.
async fn calls(cluster: &Cluster, shipped: &Shipped, call: &str) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let log = pods.logs(&shipped.pod(), &LogParams::default()).await?;
    Ok(log.lines().filter(|line| line.contains("GRPC call") && line.contains(call)).count())
}

/// Killed, with all of its containers' state, before it has done anything about the calls.
pub(super) async fn driver(cluster: &Cluster) -> Result<()> {
    let work = InFlight::begin(cluster, "driver-lost").await?;
    containers::signal_by_id(cluster, &work.driver, "SIGKILL")?;
    containers::ended(cluster, &deployed(DRIVER), &work.driver, LIMIT).await?;
    work.conclude().await?;
    // New pods, because the kubelet lets restarts of a container wait longer and longer.
    containers::recreate(cluster).await
}

/// Killed while the driver is at work: what it answers is saved as soon as there is somebody to save it.
pub(super) async fn api_server(cluster: &Cluster) -> Result<()> {
    let work = InFlight::begin(cluster, "server-lost").await?;
    cluster.with("kube-apiserver", |server| server.stop(Signal::KILL))?;
    containers::signal_by_id(cluster, &work.driver, "SIGCONT")?;
    cluster.with("kube-apiserver", crate::component::Component::start)?;
    cluster.api_ready().await?;
    deploy::ready(cluster).await?;
    work.conclude().await
}
