//! `lab demo`: the life of a volume, each step with the object, the actor and the time.
//!
//! The story is told by what the API server, the kubelet and the disk say, never by what should have happened:
//! every line is printed after the thing was seen.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::progress::elapsed;
use crate::sidecars::controllers;
use crate::workload::{Claim, Mode, Workload};
use crate::{audit, control_plane};

mod growth;
mod snapshots;

/// Classes of `deploy/hostpath/storageclasses.yaml`.
const IMMEDIATE: &str = "csi-hostpath-sc";
const WAIT: &str = "csi-hostpath-wait";
const XFS: &str = "csi-hostpath-xfs";
/// A step of the story that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints one line of the story.
fn tell(actor: &str, object: &str, text: &str) {
    println!("[{:6.1} s] {actor:<27} {object:<34} {text}", elapsed().as_secs_f64());
}

fn chapter(title: &str) {
    println!("\n{title}");
}

/// Tells the whole story; fails at the first thing that is not as it should be.
pub(crate) async fn run(cluster: &Cluster) -> Result<ExitCode> {
    let began = Instant::now();
    let log = control_plane::audit_log(&cluster.spec);
    let mark = audit::mark(&log)?;
    let work = Workload::new(cluster, "default");
    println!("\n{:<10} {:<27} {:<34} WHAT HAPPENED", "TIME", "ACTOR", "OBJECT");
    setting(&work).await?;
    let mut volumes = births(&work).await?;
    data(&work, &volumes).await?;
    volumes.push(growth::tell(&work).await?);
    let taken = snapshots::tell(&work, &mut volumes).await?;
    snapshots::deleted(&work, &taken).await?;
    deaths(&work, &volumes).await?;
    for sidecar in controllers() {
        chapter(&format!("API calls of {} for all of this, from the API server's audit log", sidecar.binary));
        print!("{}", audit::table(&audit::count(&log, mark, &format!("{}/", sidecar.binary))?));
    }
    println!("\nThe story took {:.1} s; the machine is taken down now.", began.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

async fn setting(work: &Workload<'_>) -> Result<()> {
    chapter("1. The cluster knows a driver and several kinds of its volumes");
    let driver = work.csi_driver(crate::deploy::DRIVER).await?;
    tell("user", &format!("CSIDriver/{}", crate::deploy::DRIVER), &driver);
    for class in [IMMEDIATE, WAIT, XFS] {
        let mode = work.binding_mode(class).await?;
        tell("user", &format!("StorageClass/{class}"), &format!("volumes of this class are bound {mode}"));
    }
    tell("kubelet", "CSINode/lab", "driver registered through csi-node-driver-registrar");
    Ok(())
}

/// Claims and their volumes, as (claim, volume, handle).
type Volumes = Vec<(&'static str, String, String)>;

async fn births(work: &Workload<'_>) -> Result<Volumes> {
    chapter("2. A claim becomes a volume at once (Immediate)");
    let mut volumes = Vec::new();
    work.create_claim(&Claim { name: "at-once", class: IMMEDIATE, mode: Mode::Filesystem }).await?;
    tell("user", "PersistentVolumeClaim/at-once", "created, 32Mi, file system");
    volumes.push(bound(work, "at-once").await?);

    chapter("3. A claim waits for its first consumer (WaitForFirstConsumer)");
    work.create_claim(&Claim { name: "later", class: WAIT, mode: Mode::Filesystem }).await?;
    tell("user", "PersistentVolumeClaim/later", "created, 32Mi, file system");
    let event = work.event_on_claim("later", "WaitForFirstConsumer", PATIENCE).await?;
    tell(&event.actor, "PersistentVolumeClaim/later", &format!("{}: {}", event.reason, event.message));
    if work.is_bound("later").await? {
        bail!("claim later was bound before a pod wanted it");
    }
    work.create_pod(
        "writer",
        &["at-once", "later"],
        &[],
        "echo \"written by $HOSTNAME\" | tee /data/at-once/note > /data/later/note; sync; cat /data/later/note",
    )
    .await?;
    tell("user", "Pod/writer", "created, mounts both claims");
    let node = work.selected_node("later", PATIENCE).await?;
    tell("kube-scheduler", "PersistentVolumeClaim/later", &format!("node {node} selected"));
    volumes.push(bound(work, "later").await?);

    chapter("4. A claim for a raw device (Block)");
    work.create_claim(&Claim { name: "device", class: IMMEDIATE, mode: Mode::Block }).await?;
    tell("user", "PersistentVolumeClaim/device", "created, 32Mi, raw block device");
    volumes.push(bound(work, "device").await?);
    let distinct: BTreeSet<&String> = volumes.iter().map(|(_, _, handle)| handle).collect();
    if distinct.len() != volumes.len() {
        bail!("two volumes share a handle");
    }
    Ok(volumes)
}

async fn bound(work: &Workload<'_>, claim: &'static str) -> Result<(&'static str, String, String)> {
    let object = format!("PersistentVolumeClaim/{claim}");
    let event = work.event_on_claim(claim, "ProvisioningSucceeded", PATIENCE).await?;
    tell(&event.actor, &object, &format!("{}: {}", event.reason, event.message));
    let volume = work.bound(claim, PATIENCE).await?;
    tell("persistentvolume-controller", &object, &format!("Bound to {}", volume.name));
    let files = Workload::backing(&volume.handle);
    if files.is_empty() {
        bail!(
            "volume {} has no file or folder {} in {}",
            volume.name,
            volume.handle,
            crate::machine::DRIVER_STATE
        );
    }
    tell(
        "hostpath driver",
        &format!("handle {}", short(&volume.handle)),
        &format!("on disk: {}", files.join(", ")),
    );
    Ok((claim, volume.name, volume.handle))
}

fn short(handle: &str) -> &str {
    handle.get(..8).unwrap_or(handle)
}

async fn data(work: &Workload<'_>, volumes: &Volumes) -> Result<()> {
    chapter("5. One pod writes, another one reads it back");
    for (claim, volume, _) in volumes.iter().filter(|(claim, ..)| *claim != "device") {
        attached(work, claim, volume).await?;
    }
    work.succeeded("writer", PATIENCE).await?;
    let written = work.log("writer").await?;
    tell("kubelet", "Pod/writer", &format!("ran to its end, wrote \"{}\"", written.trim()));
    work.delete_pod("writer").await?;
    work.pod_gone("writer", PATIENCE).await?;
    for (_, volume, _) in volumes {
        work.unmounted(volume, PATIENCE).await?;
    }
    tell("kubelet", "Pod/writer", "deleted, both volumes unmounted");
    work.create_pod("reader", &["at-once", "later"], &[], "cat /data/at-once/note /data/later/note").await?;
    tell("user", "Pod/reader", "created, mounts the same claims");
    work.succeeded("reader", PATIENCE).await?;
    let read = work.log("reader").await?;
    let expected = format!("{0}\n{0}\n", written.trim());
    if written.trim().is_empty() || read != expected {
        bail!("the reader read {read:?}, not {expected:?}");
    }
    tell("kubelet", "Pod/reader", &format!("ran to its end, read \"{}\" from both", written.trim()));

    chapter("6. A pod writes to the raw device, another one reads it back");
    // It stays, so that the device can be looked at while it is in use.
    let write = "test -b /dev/volume && echo raw-bytes-0123456789 | dd of=/dev/volume bs=512 conv=sync,fsync 2>/dev/null && echo written && exec sleep 3600";
    work.create_pod("device-writer", &[], &["device"], write).await?;
    tell("user", "Pod/device-writer", "created, has claim device as /dev/volume");
    work.printed("device-writer", "written\n", PATIENCE).await?;
    tell("kubelet", "Pod/device-writer", "wrote to the block device, still runs");
    let devices = work.loop_devices()?;
    if devices.is_empty() {
        bail!("a pod uses a raw device, but no loop device has a file of the driver");
    }
    for device in devices {
        // kubelet holds a raw device by a loop device of its own over it.
        let actor = if device.file.starts_with("/dev") { "kubelet" } else { "hostpath driver" };
        let file = device.file.file_name().unwrap_or_default().display();
        tell(actor, &device.name, &format!("loop device over {file}"));
    }
    work.delete_pod("device-writer").await?;
    work.pod_gone("device-writer", PATIENCE).await?;
    work.loop_devices_gone(PATIENCE).await?;
    tell("kubelet", "Pod/device-writer", "deleted, loop devices detached");
    let read = "head -c 20 /dev/volume";
    work.create_pod("device-reader", &[], &["device"], read).await?;
    work.succeeded("device-reader", PATIENCE).await?;
    let read = work.log("device-reader").await?;
    if read != "raw-bytes-0123456789" {
        bail!("the device holds {read:?}");
    }
    tell("kubelet", "Pod/device-reader", &format!("ran to its end, read \"{read}\""));
    Ok(())
}

/// What kubelet waits for before it mounts.
async fn attached(work: &Workload<'_>, claim: &str, volume: &str) -> Result<()> {
    let attachment = work.attachment_of(volume, PATIENCE).await?;
    let name = attachment.metadata.name.unwrap_or_default();
    let object = format!("VolumeAttachment/{}", name.get(..12).unwrap_or(&name));
    tell(
        "attachdetach-controller",
        &object,
        &format!("wants claim {claim} attached to node {}", attachment.spec.node_name),
    );
    tell("csi-attacher", &object, "attached");
    Ok(())
}

async fn deaths(work: &Workload<'_>, volumes: &Volumes) -> Result<()> {
    chapter("12. The pods and the claims are deleted; the volumes go");
    let pods = ["reader", "device-reader", "grower", "restorer"];
    for pod in pods {
        work.delete_pod(pod).await?;
    }
    for pod in pods {
        work.pod_gone(pod, PATIENCE).await?;
        tell("kubelet", &format!("Pod/{pod}"), "deleted");
    }
    for (_, volume, _) in volumes {
        work.unmounted(volume, PATIENCE).await?;
    }
    tell("kubelet", "PersistentVolumes", "none is mounted any more");
    for (claim, volume, _) in volumes {
        work.no_attachment_of(volume, PATIENCE).await?;
        tell(
            "csi-attacher",
            "VolumeAttachment",
            &format!("volume of claim {claim} detached, attachment gone"),
        );
    }
    // A volume that is still staged cannot be deleted; csi-provisioner would try again, and say so in an event.
    work.loop_devices_gone(PATIENCE).await?;
    for (claim, ..) in volumes {
        work.delete_claim(claim).await?;
        tell("user", &format!("PersistentVolumeClaim/{claim}"), "deleted");
    }
    for (claim, volume, handle) in volumes {
        work.volume_gone(volume, PATIENCE)
            .await
            .with_context(|| format!("the volume of claim {claim} stays"))?;
        tell(
            "csi-provisioner",
            &format!("PersistentVolume/{}", volume.get(..12).unwrap_or(volume)),
            "deleted, volume first",
        );
        let left = Workload::backing(handle);
        if !left.is_empty() {
            bail!("the persistent volume is gone, but its storage is not: {}", left.join(", "));
        }
        tell("hostpath driver", &format!("handle {}", short(handle)), "gone from the disk");
    }
    work.loop_devices_gone(PATIENCE).await?;
    tell("hostpath driver", "loop devices", "none left");
    Ok(())
}
