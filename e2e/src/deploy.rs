//! Deploys the hostpath driver and its sidecars from `deploy/hostpath`, as a user would.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::storage::v1::CSINode;
use snapshot_api::names::kinds;

use crate::cluster::Cluster;
use crate::node;
use crate::progress::Step;
use crate::sidecars;

/// The driver's name in the API.
pub(crate) const DRIVER: &str = "hostpath.csi.k8s.io";
/// Pods start within seconds here; a crash loop shows as a time-out.
const READY: Duration = Duration::from_secs(60);

/// Applies the manifests and waits until the driver is registered and everything is ready.
pub(crate) async fn driver(cluster: &Cluster) -> Result<()> {
    definitions(cluster).await?;
    for folder in ["snapshot-controller", "hostpath"] {
        let step = Step::start(format!("applying deploy/{folder}"));
        cluster.apply(&manifest(cluster, folder))?;
        step.done();
    }
    ready(cluster).await
}

/// A manifest of `deploy`, or a folder of them.
pub(crate) fn manifest(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.spec.repository.join("deploy").join(name)
}

/// Installs the definitions of the snapshot kinds from `deploy/crds`, as a user would, and waits until they are served.
/// Doing it again does no harm.
pub(crate) async fn definitions(cluster: &Cluster) -> Result<()> {
    cluster.apply(&manifest(cluster, "crds"))?;
    for kind in kinds::ALL {
        let (path, name) =
            (format!("/apis/{}/{}?limit=1", kind.api_version(), kind.plural), kind.definition_name());
        cluster
            .quietly_until(&format!("{name} to be served"), READY, async || {
                let request = http::Request::get(&path).body(Vec::new())?;
                cluster.client.request_text(request).await?;
                Ok(Some(()))
            })
            .await?;
    }
    Ok(())
}

/// Removes the definitions, and with them every object of their kinds.
pub(crate) fn remove_definitions(cluster: &Cluster) -> Result<()> {
    let folder = manifest(cluster, "crds");
    let output = cluster
        .kubectl()?
        .args(["delete", "--ignore-not-found", "--timeout=60s", "--filename"])
        .arg(&folder)
        .output()?;
    ensure!(
        output.status.success(),
        "kubectl delete -f {}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Waits until the driver is registered and everything is ready.
pub(crate) async fn ready(cluster: &Cluster) -> Result<()> {
    let sets: kube::Api<StatefulSet> = kube::Api::namespaced(cluster.client.clone(), "default");
    for name in sidecars::sets() {
        cluster
            .until(&format!("pod {name}-0 to be ready"), READY, async || {
                let ready =
                    sets.get(name).await?.status.and_then(|status| status.ready_replicas).unwrap_or(0);
                Ok((ready == 1).then_some(()))
            })
            .await?;
    }
    let nodes: kube::Api<CSINode> = kube::Api::all(cluster.client.clone());
    cluster
        .until(&format!("kubelet to know driver {DRIVER}"), READY, async || {
            let drivers = nodes.get(node::NAME).await?.spec.drivers;
            Ok(drivers.iter().any(|driver| driver.name == DRIVER).then_some(()))
        })
        .await
}
