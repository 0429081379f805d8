//! Deploys the hostpath driver and its sidecars from `deploy/hostpath`, as a user would.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::storage::v1::CSINode;

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
    let step = Step::start("applying deploy/hostpath");
    cluster.apply(&manifest(cluster, ""))?;
    step.done();
    ready(cluster).await
}

/// A manifest of `deploy/hostpath`, or all of them.
pub(crate) fn manifest(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.spec.repository.join("deploy/hostpath").join(name)
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
