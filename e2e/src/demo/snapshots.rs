//! The part of the story in which volumes are snapshotted, one alone and two together, and one is restored.

use anyhow::{Result, ensure};

use super::{IMMEDIATE, PATIENCE, Volumes, bound, chapter, short, tell as line};
use crate::workload::{Claim, Mode, Ready, Workload};

const SNAPSHOT: &str = "before";
const GROUP: &str = "both";
const LABEL: (&str, &str) = ("snapshot", "together");

/// What the chapters leave behind.
pub(super) struct Taken {
    snapshot: Ready,
    members: Vec<Ready>,
    group: String,
}

/// Tells it. Claim `restored` and its volume are added to the others; pod `restorer` is left.
pub(super) async fn tell(work: &Workload<'_>, volumes: &mut Volumes) -> Result<Taken> {
    chapter("9. A snapshot keeps what a volume held, and a new claim gets it back");
    work.create_snapshot(SNAPSHOT, "at-once").await?;
    let object = format!("VolumeSnapshot/{SNAPSHOT}");
    line("user", &object, "created, of claim at-once");
    let snapshot = work.snapshot_ready(SNAPSHOT, PATIENCE).await?;
    for reason in ["CreatingSnapshot", "SnapshotCreated", "SnapshotReady"] {
        let event = work.event_on_snapshot(SNAPSHOT, reason, PATIENCE).await?;
        line(&event.actor, &object, &format!("{}: {}", event.reason, event.message));
    }
    on_disk(&snapshot)?;

    let change = "echo changed > /data/at-once/note; sync";
    work.create_pod("changer", &["at-once"], &[], change).await?;
    work.succeeded("changer", PATIENCE).await?;
    work.delete_pod("changer").await?;
    work.pod_gone("changer", PATIENCE).await?;
    line("kubelet", "Pod/changer", "ran to its end, overwrote the note in at-once");
    let claim = Claim { name: "restored", class: IMMEDIATE, mode: Mode::Filesystem };
    work.restore(&claim, SNAPSHOT).await?;
    line(
        "user",
        "PersistentVolumeClaim/restored",
        &format!("created, to hold what snapshot {SNAPSHOT} holds"),
    );
    volumes.push(bound(work, "restored").await?);
    let read = "cat /data/at-once/note /data/restored/note";
    work.create_pod("restorer", &["at-once", "restored"], &[], read).await?;
    work.succeeded("restorer", PATIENCE).await?;
    let read = work.log("restorer").await?;
    ensure!(read == "changed\nwritten by writer\n", "the pod read {read:?}");
    line(
        "kubelet",
        "Pod/restorer",
        "ran to its end, read \"changed\" from at-once, \"written by writer\" from restored",
    );

    chapter("10. Two volumes are snapshotted at one moment");
    for claim in ["at-once", "later"] {
        work.label_claim(claim, LABEL).await?;
    }
    work.create_group_snapshot(GROUP, LABEL).await?;
    line(
        "user",
        &format!("VolumeGroupSnapshot/{GROUP}"),
        &format!("created, of claims with {}={}", LABEL.0, LABEL.1),
    );
    let (group, members) = work.group_ready(GROUP, PATIENCE).await?;
    ensure!(members.len() == 2, "the group has {} members", members.len());
    line("csi-snapshotter", &format!("VolumeGroupSnapshot/{GROUP}"), "ready to use");
    for member in &members {
        let name = member.name.get(..20).unwrap_or(&member.name);
        line("snapshot-controller", &format!("VolumeSnapshot/{name}"), "member, ready to use");
        on_disk(member)?;
    }
    Ok(Taken { snapshot, members, group })
}

fn on_disk(snapshot: &Ready) -> Result<()> {
    let files = Workload::backing(&snapshot.handle);
    ensure!(!files.is_empty(), "snapshot {} has no file named {}", snapshot.name, snapshot.handle);
    line(
        "hostpath driver",
        &format!("snapshot {}", short(&snapshot.handle)),
        &format!("restores to {}, on disk: {}", snapshot.size, files.join(", ")),
    );
    Ok(())
}

/// Tells how they go.
pub(super) async fn deleted(work: &Workload<'_>, taken: &Taken) -> Result<()> {
    chapter("11. The snapshots are deleted; what the driver kept of them goes");
    work.delete_snapshot(&taken.snapshot.name).await?;
    work.snapshot_gone(&taken.snapshot, PATIENCE).await?;
    line(
        "snapshot-controller",
        &format!("VolumeSnapshot/{SNAPSHOT}"),
        "gone, its content too, nothing on the disk",
    );
    work.delete_group_snapshot(GROUP).await?;
    work.group_gone(GROUP, PATIENCE).await?;
    for member in &taken.members {
        work.snapshot_gone(member, PATIENCE).await?;
    }
    let left = Workload::backing(&taken.group);
    ensure!(left.is_empty(), "the group is gone, but not from the disk: {}", left.join(", "));
    line(
        "snapshot-controller",
        &format!("VolumeGroupSnapshot/{GROUP}"),
        "gone with both members, nothing on the disk",
    );
    Ok(())
}
