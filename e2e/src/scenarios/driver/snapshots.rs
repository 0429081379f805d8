//! Snapshots on the real API server: what they cost, and that none goes while it is restored from.

use anyhow::{Context, Result, ensure};

use snapshot_api::names::finalizers::PROVISIONER_SOURCE;

use super::calls::Calls;
use super::{CLASS, LIMIT, containers};
use crate::cluster::Cluster;
use crate::sidecars::{DRIVER, SNAPSHOT_CONTROLLER, SNAPSHOTTER};
use crate::workload::{Claim, Mode, Workload};

/// A claim with a volume, for snapshots.
async fn source(work: &Workload<'_>, name: &str) -> Result<()> {
    work.create_claim(&Claim { name, class: CLASS, mode: Mode::Filesystem }).await?;
    work.bound(name, LIMIT).await.map(drop)
}

/// Deletes a claim and waits for the end of its volume.
async fn gone(work: &Workload<'_>, claim: &str) -> Result<()> {
    let bound = work.bound(claim, LIMIT).await?;
    work.delete_claim(claim).await?;
    work.volume_gone(&bound.name, LIMIT).await?;
    let left = Workload::backing(&bound.handle);
    ensure!(left.is_empty(), "the volume is gone, but its storage is not: {}", left.join(", "));
    Ok(())
}

/// One snapshot, made and deleted: at most 4 writes and no read of the sidecar; 8 writes, no read but the claim whose
/// finalizer is written back, and 3 events of the controller. Nothing is refused.
pub(super) async fn budget(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    source(&work, "snapshot-budget").await?;
    let (sidecar, controller) = (Calls::of(cluster, SNAPSHOTTER)?, Calls::of(cluster, SNAPSHOT_CONTROLLER)?);
    work.create_snapshot("budget", "snapshot-budget").await?;
    let snapshot = work.snapshot_ready("budget", LIMIT).await?;
    work.delete_snapshot("budget").await?;
    work.snapshot_gone(&snapshot, LIMIT).await?;
    let what = "one snapshot's life";
    sidecar.settle().await?;
    sidecar.expect(what, "get", "volumesnapshotcontents", 0)?;
    sidecar.expect_all(what, 4)?;
    controller.settle().await?;
    controller.expect(what, "create", "volumesnapshotcontents", 1)?;
    controller.expect(what, "delete", "volumesnapshotcontents", 1)?;
    for resource in ["volumesnapshots", "volumesnapshotcontents", "persistentvolumes"] {
        controller.expect(what, "get", resource, 0)?;
    }
    controller.expect(what, "create", "events", 3)?;
    let reads = controller.count("get", "persistentvolumeclaims");
    ensure!(reads <= 2, "{what}: the claim was read {reads} times");
    controller.expect_all(what, 8 + 3 + reads)?;
    println!("    of the claim, for its finalizer: {reads} reads");
    gone(&work, "snapshot-budget").await
}

/// A snapshot is deleted while the driver fills a volume from it: the claim gets the volume, then the snapshot goes. The
/// driver is caught in the act by stopping its process.
pub(super) async fn restored_while_deleted(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    source(&work, "original").await?;
    work.create_pod("original-writer", &["original"], &[], "echo kept > /data/original/note; sync").await?;
    work.succeeded("original-writer", LIMIT).await?;
    work.delete_pod("original-writer").await?;
    work.pod_gone("original-writer", LIMIT).await?;
    work.create_snapshot("fleeting", "original").await?;
    let snapshot = work.snapshot_ready("fleeting", LIMIT).await?;
    let driver = containers::signal(cluster, &containers::deployed(DRIVER), "SIGSTOP").await?;
    work.restore(&Claim { name: "copy", class: CLASS, mode: Mode::Filesystem }, "fleeting").await?;
    work.protected("fleeting", PROVISIONER_SOURCE, LIMIT).await?;
    work.delete_snapshot("fleeting").await?;
    work.event_on_snapshot("fleeting", "SnapshotDeletePending", LIMIT).await?;
    containers::signal_by_id(cluster, &driver, "SIGCONT")?;
    work.bound("copy", LIMIT).await.context("a claim whose snapshot is being deleted")?;
    work.create_pod("copy-reader", &["copy"], &[], "cat /data/copy/note").await?;
    work.succeeded("copy-reader", LIMIT).await?;
    let read = work.log("copy-reader").await?;
    ensure!(read == "kept\n", "the copy holds {read:?}");
    work.delete_pod("copy-reader").await?;
    work.pod_gone("copy-reader", LIMIT).await?;
    work.snapshot_gone(&snapshot, LIMIT).await?;
    gone(&work, "copy").await?;
    gone(&work, "original").await
}
