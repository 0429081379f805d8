//! One implementation goes on where the other one was: begun with one, its image replaced, ended with the other, and back.
//!
//! The other implementation is the one in `BASELINE_BIN_DIR`. Without it the same is done with two pods of ours.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::LIMIT;
use super::tasks::Task;
use crate::cluster::Cluster;
use crate::deploy;
use crate::sidecars::{Shipped, controllers};

/// In both directions, for every sidecar that works for the API server.
pub(super) async fn there_and_back(cluster: &Cluster) -> Result<()> {
    for shipped in controllers() {
        let baseline = shipped.baseline_image();
        let there = cluster.spec.images.iter().any(|image| image.name == baseline);
        let other = if there {
            println!("    {}: ours and the one of BASELINE_BIN_DIR", shipped.binary);
            baseline
        } else {
            println!(
                "    {}: NOT COMPARED with another implementation, BASELINE_BIN_DIR is not set or has no such program; swapped for itself",
                shipped.binary
            );
            shipped.image()
        };
        let mut task = Task::of(cluster, shipped, &format!("swapped-{}", shipped.container)).await?;
        let there = pass_on(cluster, shipped, &mut task, &other).await.context("from ours to the other");
        // Ours is put back in any case, or every scenario after this one would test the other one.
        let back =
            pass_on(cluster, shipped, &mut task, &shipped.image()).await.context("from the other to ours");
        there.and(back)?;
        task.end().await?;
    }
    deploy::ready(cluster).await
}

/// Work is begun and done by who is there; then the image is replaced, and who comes undoes it, and does more.
async fn pass_on(cluster: &Cluster, shipped: &Shipped, task: &mut Task<'_>, image: &str) -> Result<()> {
    task.begin().await?;
    let done = task.done().await;
    let before = holder(cluster, shipped).await?;
    replace(cluster, shipped, image).await?;
    done?;
    task.carry_on().await?;
    task.take_back().await?;
    task.undone().await?;
    task.once().await?;
    let after = holder(cluster, shipped).await?;
    // A StatefulSet's pod keeps its name, hence the Lease its holder.
    ensure!(
        before.contains(&shipped.pod()) && after.contains(&shipped.pod()),
        "held by {before}, then {after}"
    );
    Ok(())
}

async fn holder(cluster: &Cluster, shipped: &Shipped) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "default");
    let spec = leases.get(shipped.account()?.lease).await?.spec.context("an empty Lease")?;
    spec.holder_identity.context("nobody holds the Lease")
}

/// As `kubectl set image` does it, but also when the image is the same.
async fn replace(cluster: &Cluster, shipped: &Shipped, image: &str) -> Result<()> {
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), "default");
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let old = pods.get(&shipped.pod()).await?.metadata.uid;
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": shipped.container, "image": image},
    ]}}}});
    sets.patch(shipped.set, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    // The controller does it too when the image is another one; whoever comes second finds it done.
    let _ = pods.delete(&shipped.pod(), &DeleteParams::default()).await;
    cluster
        .quietly_until(&format!("pod {} of {image}", shipped.pod()), LIMIT, async || {
            let pod = pods.get(&shipped.pod()).await?;
            let runs = pod.spec.into_iter().flat_map(|spec| spec.containers).next().and_then(|it| it.image);
            let ready = (pod.status.and_then(|status| status.container_statuses).unwrap_or_default())
                .iter()
                .any(|status| status.ready);
            Ok((ready && pod.metadata.uid != old && runs.as_deref() == Some(image)).then_some(()))
        })
        .await
}
