//! What an expansion and a change of class cost, and how csi-resizer hands an expansion over to kubelet.

use anyhow::{Context, Result, ensure};

use super::tasks::CLASSES;
use super::{Calls, LIMIT};
use crate::cluster::Cluster;
use crate::sidecars::RESIZER;
use crate::workload::{Claim, Mode, Workload};

/// The class whose volumes have a file system of their own, which grows.
const XFS: &str = "csi-hostpath-xfs";
/// `df` in MiB; a pod prints its second field.
const DF: &str = "df -m /data/grown | tail -n 1 | awk '{print $2}'";

/// An expansion of a volume that nobody uses: two patches of the claim's status, one of the volume, two events. A change of
/// class: the same. Nothing refused.
pub(super) async fn budget(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "grown", class: XFS, mode: Mode::Filesystem }).await?;
    let volume = work.bound("grown", LIMIT).await?;

    let calls = Calls::of(cluster, RESIZER)?;
    work.resize("grown", 64).await?;
    work.controller_resized("grown", 64, LIMIT).await?;
    calls.settle().await?;
    calls.expect("an expansion", "patch", "persistentvolumeclaims/status", 2)?;
    calls.expect("an expansion", "patch", "persistentvolumes", 1)?;
    calls.expect("an expansion", "create", "events", 2)?;
    calls.expect_all("an expansion", 5)?;

    for class in CLASSES {
        let calls = Calls::of(cluster, RESIZER)?;
        work.modify("grown", class).await?;
        work.modified("grown", class, LIMIT).await?;
        calls.settle().await?;
        calls.expect("a change of class", "patch", "persistentvolumeclaims/status", 2)?;
        calls.expect("a change of class", "patch", "persistentvolumes", 1)?;
        calls.expect("a change of class", "create", "events", 2)?;
        calls.expect_all("a change of class", 5)?;
    }
    work.delete_claim("grown").await?;
    work.volume_gone(&volume.name, LIMIT).await
}

/// What csi-resizer leaves for kubelet, kubelet does: when a pod mounts the volume, and under a pod that has it mounted.
pub(super) async fn hand_over(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "grown", class: XFS, mode: Mode::Filesystem }).await?;
    let volume = work.bound("grown", LIMIT).await?;
    work.resize("grown", 64).await?;
    work.controller_resized("grown", 64, LIMIT).await?;
    ensure!(work.waits_for_kubelet("grown").await?, "nothing is left to kubelet");

    let script =
        format!("while sleep 0.2; do now=$({DF}); [ $now = \"$last\" ] || echo $now; last=$now; done");
    work.create_pod("grows", &["grown"], &[], &script).await?;
    work.resized("grown", 64, LIMIT).await.context("when a pod mounted it")?;
    let first = work.sizes("grows", 1, LIMIT).await?;
    work.resize("grown", 128).await?;
    work.resized("grown", 128, LIMIT).await.context("under a pod")?;
    let both = work.sizes("grows", 2, LIMIT).await?;
    println!("    the pod saw {both:?} MiB of a volume of 64 and then 128");
    let [small, large] = both[..] else { anyhow::bail!("the pod saw {both:?}") };
    ensure!(
        first[..] == [small] && (32..=64).contains(&small) && (96..=128).contains(&large),
        "not 64, then 128"
    );

    work.delete_pod("grows").await?;
    work.pod_gone("grows", LIMIT).await?;
    work.no_attachment_of(&volume.name, LIMIT).await?;
    work.delete_claim("grown").await?;
    work.volume_gone(&volume.name, LIMIT).await
}
