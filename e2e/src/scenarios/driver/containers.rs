//! Signals and deaths of the containers, as their own process 1.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::Api;
use kube::api::DeleteParams;

use super::{CLASS, LIMIT, short_life, use_volume};
use crate::cluster::Cluster;
use crate::deploy;
use crate::node;
use crate::sidecars::{self, DRIVER, SHIPPED, Shipped, with_driver};
use crate::workload::{Claim, Mode, Workload};

/// A container that needs longer would be killed by the kubelet.
const GRACE: Duration = Duration::from_secs(20);
/// What a sidecar leaves in its termination log when the driver is gone.
const LOST: &str = "Lost connection to CSI driver, exiting";

/// A container: pod and name in it.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) pod: String,
    pub(super) name: &'static str,
}

/// The container of a program as it is deployed.
pub(super) fn deployed(shipped: &Shipped) -> Container {
    Container { pod: shipped.pod(), name: shipped.container }
}

async fn status(cluster: &Cluster, container: &Container) -> Result<ContainerStatus> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let statuses = pods
        .get(&container.pod)
        .await?
        .status
        .and_then(|status| status.container_statuses)
        .unwrap_or_default();
    let status = statuses.into_iter().find(|status| status.name == container.name);
    status.with_context(|| format!("pod {} has no container {}", container.pod, container.name))
}

/// How often a container was restarted.
pub(super) async fn restarts(cluster: &Cluster, shipped: &Shipped) -> Result<i32> {
    Ok(status(cluster, &deployed(shipped)).await?.restart_count)
}

/// Sends a signal to process 1 of a container; gives the container's id.
pub(super) async fn signal(cluster: &Cluster, container: &Container, signal: &str) -> Result<String> {
    // Its log can be read before the API server knows its id.
    let id = cluster
        .quietly_until(&format!("id of container {}", container.name), GRACE, async || {
            Ok(status(cluster, container).await?.container_id.filter(|id| !id.is_empty()))
        })
        .await?;
    signal_by_id(cluster, &id, signal).with_context(|| format!("cannot signal {}", container.name))?;
    Ok(id)
}

/// Sends a signal to process 1 of the container with this id; the API server is not needed for that.
pub(super) fn signal_by_id(cluster: &Cluster, id: &str, signal: &str) -> Result<()> {
    let output = Command::new(cluster.spec.program("ctr")?)
        .arg("--address")
        .arg(node::socket(&cluster.spec))
        .args(["--namespace", "k8s.io", "tasks", "kill", "--signal", signal])
        .arg(id.trim_start_matches("containerd://"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Waits until the container with this id has ended; says how.
pub(super) async fn ended(
    cluster: &Cluster,
    container: &Container,
    id: &str,
    limit: Duration,
) -> Result<ContainerStateTerminated> {
    cluster
        .quietly_until(
            &format!("end of container {} of {}", container.name, container.pod),
            limit,
            async || {
                let status = status(cluster, container).await?;
                let mut ends = [status.last_state, status.state]
                    .into_iter()
                    .flatten()
                    .filter_map(|state| state.terminated);
                let mine = |end: &ContainerStateTerminated| end.container_id.as_deref() == Some(id);
                Ok(ends.find(mine))
            },
        )
        .await
}

async fn running(cluster: &Cluster, container: &Container) -> Result<String> {
    cluster
        .quietly_until(&format!("container {} to run", container.name), LIMIT, async || {
            let status = status(cluster, container).await?;
            let runs = status.ready && status.state.and_then(|state| state.running).is_some();
            Ok(status.container_id.filter(|_| runs))
        })
        .await
}

/// Every binary, leading and at work: both signals end it in time and with code 0.
pub(super) async fn signals(cluster: &Cluster) -> Result<()> {
    for name in ["SIGTERM", "SIGINT"] {
        for shipped in SHIPPED {
            let container = deployed(shipped);
            running(cluster, &container).await?;
            let id = signal(cluster, &container, name).await?;
            let end =
                ended(cluster, &container, &id, GRACE).await.with_context(|| format!("after {name}"))?;
            ensure!(end.exit_code == 0, "{} ended with {} after {name}", container.name, end.exit_code);
        }
        // New pods, because the kubelet lets restarts of a container wait longer and longer.
        recreate(cluster).await?;
    }
    short_life(cluster, "after-signals").await
}

/// Has every pod made anew.
pub(super) async fn recreate(cluster: &Cluster) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let mut old = Vec::new();
    for pod in sidecars::sets().into_iter().map(|set| format!("{set}-0")) {
        let deleted = pods.delete(&pod, &DeleteParams::default()).await?.left();
        old.push((pod, deleted.and_then(|pod| pod.metadata.uid)));
    }
    for (pod, old) in old {
        cluster
            .quietly_until(&format!("new pod {pod}"), LIMIT, async || {
                let uid = pods.get(&pod).await?.metadata.uid;
                Ok((uid != old).then_some(()))
            })
            .await?;
    }
    deploy::ready(cluster).await
}

/// SIGKILL at the driver: its volumes, mounted or not, are there afterwards. Every sidecar that
/// works for the API server notices, says so, and ends with 1, to be started again beside the new driver.
pub(super) async fn driver_killed(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "survives", class: CLASS, mode: Mode::Filesystem }).await?;
    let bound = work.bound("survives", LIMIT).await?;
    use_volume(&work, "before-kill", "survives").await?;
    let mut before = Vec::new();
    // The registrar does not: its work is done, and kubelet finds the new driver at the same socket.
    for sidecar in with_driver() {
        let container = deployed(sidecar);
        before.push((running(cluster, &container).await?, container));
    }
    let driver = deployed(DRIVER);
    let id = signal(cluster, &driver, "SIGKILL").await?;
    let end = ended(cluster, &driver, &id, LIMIT).await?;
    ensure!(end.exit_code == 137, "a killed container ends with 137, not {}", end.exit_code);
    for (id, container) in before {
        let end = ended(cluster, &container, &id, LIMIT).await?;
        let (code, words) = (end.exit_code, end.message.unwrap_or_default());
        println!("    {} ended with {code}: {}", container.name, words.trim());
        ensure!(code == 1 && words.contains(LOST), "not with 1 and {LOST:?}");
    }
    running(cluster, &driver).await?;
    use_volume(&work, "after-kill", "survives").await?;
    work.delete_claim("survives").await?;
    work.volume_gone(&bound.name, LIMIT).await?;
    short_life(cluster, "after-kill").await
}
