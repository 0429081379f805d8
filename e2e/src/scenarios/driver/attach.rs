//! What attaching and detaching costs and how it looks with drivers that do not want it.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::storage::v1::CSIDriver;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{CLASS, Calls, LIMIT, containers, use_volume};
use crate::cluster::Cluster;
use crate::deploy;
use crate::sidecars::{ATTACHER, DRIVER};
use crate::workload::{Claim, Mode, Workload};

const ENABLE: &str = "--enable-attach";

/// The first attachment of a volume: a finalizer for each of the two objects, and the status. The second one: no finalizer
/// for the volume. A detachment: the finalizer away. Nothing refused.
pub(super) async fn budget(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "attached", class: CLASS, mode: Mode::Filesystem }).await?;
    let volume = work.bound("attached", LIMIT).await?;
    for (time, of_volume) in [("first", 1), ("second", 0)] {
        let calls = Calls::of(cluster, ATTACHER)?;
        work.attach("budgeted", &volume.name).await?;
        work.attached("budgeted", LIMIT).await?;
        calls.settle().await?;
        let what = format!("the {time} attachment");
        calls.expect(&what, "patch", "volumeattachments", 1)?;
        calls.expect(&what, "patch", "volumeattachments/status", 1)?;
        calls.expect(&what, "patch", "persistentvolumes", of_volume)?;
        calls.expect_all(&what, 2 + of_volume)?;

        let calls = Calls::of(cluster, ATTACHER)?;
        work.detach("budgeted").await?;
        work.detached("budgeted", LIMIT).await?;
        calls.settle().await?;
        let what = format!("the {time} detachment");
        calls.expect(&what, "patch", "volumeattachments", 1)?;
        calls.expect_all(&what, 1)?;
    }
    let calls = Calls::of(cluster, ATTACHER)?;
    work.delete_claim("attached").await?;
    work.volume_gone(&volume.name, LIMIT).await?;
    calls.settle().await?;
    // Provisioner, attacher and the controller manager each take a finalizer off at the same moment.
    let what = "the end of the volume";
    calls.expect(what, "patch", "persistentvolumes", 1)?;
    calls.expect_all(what, 1)
}

/// A driver that cannot attach: attachments are confirmed without a call to it. Then a CSIDriver that wants none: kubelet
/// mounts without.
pub(super) async fn without(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    arguments(cluster, false).await?;
    work.create_claim(&Claim { name: "unattached", class: CLASS, mode: Mode::Filesystem }).await?;
    let volume = work.bound("unattached", LIMIT).await?;
    work.attach("trivial", &volume.name).await?;
    work.attached("trivial", LIMIT).await.context("of a driver that cannot attach")?;
    work.detach("trivial").await?;
    work.detached("trivial", LIMIT).await?;

    required(cluster, false).await?;
    let calls = Calls::of(cluster, ATTACHER)?;
    use_volume(&work, "needs-no-attachment", "unattached").await?;
    ensure!(work.attachment(&volume.name).await?.is_none(), "there is an attachment that nobody asked for");
    calls.expect_all("a volume that need not be attached", 0)?;
    required(cluster, true).await?;

    work.delete_claim("unattached").await?;
    work.volume_gone(&volume.name, LIMIT).await?;
    arguments(cluster, true).await
}

/// Has the driver's pod made anew without the argument, or as its manifest says.
async fn arguments(cluster: &Cluster, attach: bool) -> Result<()> {
    if attach {
        cluster.apply(&deploy::manifest(cluster, DRIVER.manifest))?;
        return containers::recreate(cluster).await;
    }
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), "default");
    let set = serde_json::to_value(sets.get(DRIVER.set).await?)?;
    let mut containers = set.pointer("/spec/template/spec/containers").cloned().unwrap_or_default();
    for container in containers.as_array_mut().into_iter().flatten() {
        if let Some(list) = container.get_mut("args").and_then(Value::as_array_mut) {
            list.retain(|argument| argument != ENABLE);
        }
    }
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    sets.patch(DRIVER.set, &PatchParams::default(), &Patch::Merge(patch)).await?;
    // The sidecars have to ask the driver anew what it can do; it would end them with itself anyway.
    containers::recreate(cluster).await
}

/// The field cannot be changed, so the object is made anew.
async fn required(cluster: &Cluster, attach: bool) -> Result<()> {
    let drivers: Api<CSIDriver> = Api::all(cluster.client.clone());
    let mut driver = drivers.get(deploy::DRIVER).await?;
    drivers.delete(deploy::DRIVER, &DeleteParams::default()).await?;
    driver.metadata.resource_version = None;
    driver.metadata.uid = None;
    driver.spec.attach_required = Some(attach);
    drivers.create(&PostParams::default(), &driver).await?;
    Ok(())
}
