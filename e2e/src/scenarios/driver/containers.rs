//! Signals and deaths of the containers, as their own process 1.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::DeleteParams;

use super::{CLASS, LIMIT, short_life, use_volume};
use crate::cluster::Cluster;
use crate::deploy;
use crate::node;
use crate::workload::{Claim, Mode, Workload};

/// A container: pod and name in it.
#[derive(Clone, Copy)]
pub(super) struct Container {
    pod: &'static str,
    name: &'static str,
}

pub(super) const PROVISIONER: Container =
    Container { pod: "csi-hostpath-provisioner-0", name: "csi-provisioner" };
const DRIVER: Container = Container { pod: "csi-hostpathplugin-0", name: "hostpath" };
const REGISTRAR: Container = Container { pod: "csi-hostpathplugin-0", name: "node-driver-registrar" };

/// A container that needs longer would be killed by the kubelet.
const GRACE: Duration = Duration::from_secs(20);

async fn status(cluster: &Cluster, container: Container) -> Result<ContainerStatus> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let statuses = pods
        .get(container.pod)
        .await?
        .status
        .and_then(|status| status.container_statuses)
        .unwrap_or_default();
    let status = statuses.into_iter().find(|status| status.name == container.name);
    status.with_context(|| format!("pod {} has no container {}", container.pod, container.name))
}

/// How often a container was restarted.
pub(super) async fn restarts(cluster: &Cluster, container: Container) -> Result<i32> {
    Ok(status(cluster, container).await?.restart_count)
}

/// Sends a signal to process 1 of a container; gives the container's id.
async fn signal(cluster: &Cluster, container: Container, signal: &str) -> Result<String> {
    let id = status(cluster, container).await?.container_id.unwrap_or_default();
    let bare = id.trim_start_matches("containerd://");
    let output = Command::new(cluster.spec.program("ctr")?)
        .arg("--address")
        .arg(node::socket(&cluster.spec))
        .args(["--namespace", "k8s.io", "tasks", "kill", "--signal", signal, bare])
        .output()?;
    ensure!(
        output.status.success(),
        "cannot signal {}: {}",
        container.name,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(id)
}

/// Waits until the container with this id has ended; gives its exit code.
async fn ended(cluster: &Cluster, container: Container, id: &str, limit: Duration) -> Result<i32> {
    cluster
        .quietly_until(&format!("end of container {}", container.name), limit, async || {
            let status = status(cluster, container).await?;
            let ended =
                [status.last_state, status.state].into_iter().flatten().filter_map(|state| state.terminated);
            let mine = |terminated: &k8s_openapi::api::core::v1::ContainerStateTerminated| {
                terminated.container_id.as_deref() == Some(id)
            };
            Ok(ended.filter(mine).map(|terminated| terminated.exit_code).next())
        })
        .await
}

async fn running(cluster: &Cluster, container: Container) -> Result<()> {
    cluster
        .quietly_until(&format!("container {} to run", container.name), LIMIT, async || {
            let status = status(cluster, container).await?;
            Ok((status.ready && status.state.and_then(|state| state.running).is_some()).then_some(()))
        })
        .await
}

/// Every binary, leading and at work: both signals end it in time and with code 0.
pub(super) async fn signals(cluster: &Cluster) -> Result<()> {
    for name in ["SIGTERM", "SIGINT"] {
        for container in [PROVISIONER, REGISTRAR, DRIVER] {
            running(cluster, container).await?;
            let id = signal(cluster, container, name).await?;
            let code =
                ended(cluster, container, &id, GRACE).await.with_context(|| format!("after {name}"))?;
            ensure!(code == 0, "{} ended with {code} after {name}", container.name);
        }
        // New pods, because the kubelet lets restarts of a container wait longer and longer.
        recreate(cluster).await?;
    }
    short_life(cluster, "after-signals").await
}

async fn recreate(cluster: &Cluster) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    for pod in [PROVISIONER.pod, DRIVER.pod] {
        let old = pods.delete(pod, &DeleteParams::default()).await?.left().and_then(|pod| pod.metadata.uid);
        cluster
            .quietly_until(&format!("new pod {pod}"), LIMIT, async || {
                let uid = pods.get(pod).await?.metadata.uid;
                Ok((uid != old).then_some(()))
            })
            .await?;
    }
    deploy::ready(cluster).await
}

/// SIGKILL at the driver: its volumes, mounted or not, are there afterwards.
pub(super) async fn driver_killed(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "survives", class: CLASS, mode: Mode::Filesystem }).await?;
    let bound = work.bound("survives", LIMIT).await?;
    use_volume(&work, "before-kill", "survives").await?;
    let id = signal(cluster, DRIVER, "SIGKILL").await?;
    let code = ended(cluster, DRIVER, &id, LIMIT).await?;
    if code != 137 {
        bail!("a killed container ends with 137, not {code}");
    }
    running(cluster, DRIVER).await?;
    use_volume(&work, "after-kill", "survives").await?;
    work.delete_claim("survives").await?;
    work.volume_gone(&bound.name, LIMIT).await?;
    short_life(cluster, "after-kill").await
}
