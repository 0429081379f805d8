//! The part of the story in which a volume gets larger, with a pod that uses it and without, and is treated otherwise.

use anyhow::{Result, bail, ensure};

use super::{PATIENCE, XFS, attached, bound, chapter, tell as line};
use crate::workload::{Claim, Mode, Workload};

const CLAIM: &str = "growing";
const OBJECT: &str = "PersistentVolumeClaim/growing";
/// A class of `deploy/hostpath/volumeattributesclasses.yaml`.
const GOLD: &str = "csi-hostpath-gold";
/// Prints the size of the mounted file system in MiB whenever it changes.
const WATCH: &str = "while sleep 0.1; do now=$(df -m /data/growing | tail -n 1 | awk '{print $2}'); \
                     [ \"$now\" = \"$last\" ] || echo $now; last=$now; done";

/// Tells it; gives the claim, its volume and handle. Pod `grower` is left running.
pub(super) async fn tell(work: &Workload<'_>) -> Result<(&'static str, String, String)> {
    chapter("7. A volume grows: under a pod that uses it, and while no pod does");
    work.create_claim(&Claim { name: CLAIM, class: XFS, mode: Mode::Filesystem }).await?;
    line("user", OBJECT, "created, 32Mi, a file system of its own");
    let volume = bound(work, CLAIM).await?;
    work.create_pod("growing", &[CLAIM], &[], WATCH).await?;
    line("user", "Pod/growing", "created, prints the size of its file system");
    attached(work, CLAIM, &volume.1).await?;
    let before = size(work, "growing", 1).await?;
    line("kubelet", "Pod/growing", &format!("runs, sees {before} MiB"));

    work.resize(CLAIM, 64).await?;
    line("user", OBJECT, "now wants 64Mi");
    for reason in ["Resizing", "FileSystemResizeRequired"] {
        let event = work.event_on_claim(CLAIM, reason, PATIENCE).await?;
        line(&event.actor, OBJECT, &format!("{}: {}", event.reason, event.message));
    }
    work.resized(CLAIM, 64, PATIENCE).await?;
    line("kubelet", OBJECT, "file system grown while it is mounted, capacity 64Mi");
    let after = size(work, "growing", 2).await?;
    ensure!(after > before, "the pod sees {after} MiB after {before}");
    line("kubelet", "Pod/growing", &format!("still runs, now sees {after} MiB"));

    work.delete_pod("growing").await?;
    work.pod_gone("growing", PATIENCE).await?;
    work.no_attachment_of(&volume.1, PATIENCE).await?;
    line("csi-attacher", "VolumeAttachment", "pod deleted, volume detached, attachment gone");
    work.resize(CLAIM, 128).await?;
    line("user", OBJECT, "now wants 128Mi, no pod uses it");
    work.controller_resized(CLAIM, 128, PATIENCE).await?;
    if !work.waits_for_kubelet(CLAIM).await? {
        bail!("nothing is left to do for kubelet");
    }
    line("csi-resizer", OBJECT, "volume has 128Mi; NodeResizePending: the file system waits for kubelet");
    work.create_pod("grower", &[CLAIM], &[], WATCH).await?;
    work.resized(CLAIM, 128, PATIENCE).await?;
    let last = size(work, "grower", 1).await?;
    ensure!(last > after, "the next pod sees {last} MiB after {after}");
    line("kubelet", "Pod/grower", &format!("runs, sees {last} MiB from the start"));

    chapter("8. The volume in use gets another VolumeAttributesClass");
    work.modify(CLAIM, GOLD).await?;
    line("user", OBJECT, &format!("now wants class {GOLD}"));
    for reason in ["VolumeModify", "VolumeModifySuccessful"] {
        let event = work.event_on_claim(CLAIM, reason, PATIENCE).await?;
        line(&event.actor, OBJECT, &format!("{}: {}", event.reason, event.message));
    }
    work.modified(CLAIM, GOLD, PATIENCE).await?;
    Ok(volume)
}

/// The last of `count` sizes that a pod has printed.
async fn size(work: &Workload<'_>, pod: &str, count: usize) -> Result<u32> {
    Ok(work.sizes(pod, count, PATIENCE).await?.last().copied().unwrap_or_default())
}
