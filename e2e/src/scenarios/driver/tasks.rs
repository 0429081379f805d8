//! What each sidecar is for, in its shortest form: begun, and seen to its end.

use anyhow::{Context, Result, bail, ensure};

use super::{CLASS, LIMIT, short_life};
use crate::cluster::Cluster;
use crate::sidecars::{ATTACHER, PROVISIONER, RESIZER, SNAPSHOT_CONTROLLER, SNAPSHOTTER, Shipped};
use crate::workload::{Bound, Claim, Mode, SIZE, Workload};

/// The classes of `deploy/hostpath/volumeattributesclasses.yaml`.
pub(super) const CLASSES: [&str; 2] = ["csi-hostpath-silver", "csi-hostpath-gold"];

/// The label by which a group snapshot finds its claim.
const LABEL: &str = "task";

/// What a claim grows to, in Mi.
const GROWN: u16 = 2 * SIZE;

/// Work for a sidecar. It needs a volume of the deployed driver, which it makes when it is prepared.
pub(super) struct Task<'a> {
    work: Workload<'a>,
    cluster: &'a Cluster,
    kind: Kind,
    name: String,
    volume: Option<Bound>,
    /// How often it was prepared.
    times: u16,
    /// Whether what the next beginning needs is there.
    ready: bool,
}

enum Kind {
    Provision,
    Attach,
    Resize,
    /// A snapshot, and a group of one.
    Snapshot,
}

impl<'a> Task<'a> {
    /// The task of a sidecar, with what it needs; for that, the deployed provisioner must run.
    pub(super) async fn of(cluster: &'a Cluster, shipped: &Shipped, name: &str) -> Result<Self> {
        let kind = match shipped.binary {
            it if it == PROVISIONER.binary => Kind::Provision,
            it if it == ATTACHER.binary => Kind::Attach,
            it if it == RESIZER.binary => Kind::Resize,
            it if [SNAPSHOTTER.binary, SNAPSHOT_CONTROLLER.binary].contains(&it) => Kind::Snapshot,
            it => bail!("no task is known for {it}"),
        };
        let work = Workload::new(cluster, "default");
        let volume = match kind {
            Kind::Provision | Kind::Resize => None,
            Kind::Attach | Kind::Snapshot => {
                work.create_claim(&Claim { name, class: CLASS, mode: Mode::Filesystem }).await?;
                let volume = work.bound(name, LIMIT).await?;
                work.label_claim(name, (LABEL, name)).await?;
                Some(volume)
            }
        };
        Ok(Self { work, cluster, kind, name: name.to_owned(), volume, times: 0, ready: false })
    }

    /// Makes what the next beginning needs; for that, driver and provisioner must work.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.times += 1;
        self.ready = true;
        if matches!(self.kind, Kind::Resize) {
            // A new claim each time: one that waits for kubelet's part of an expansion is not expanded again.
            let name = self.current();
            self.work.create_claim(&Claim { name: &name, class: CLASS, mode: Mode::Filesystem }).await?;
            self.work.bound(&name, LIMIT).await?;
        }
        Ok(())
    }

    /// Gives the sidecar something to do, another thing each time.
    pub(super) async fn begin(&mut self) -> Result<()> {
        if !self.ready {
            self.prepare().await?;
        }
        self.ready = false;
        let name = self.current();
        match &self.kind {
            Kind::Provision => {
                self.work.create_claim(&Claim { name: &name, class: CLASS, mode: Mode::Filesystem }).await
            }
            Kind::Attach => self.work.attach(&name, &self.volume()?.name).await,
            Kind::Resize => {
                self.work.resize(&name, GROWN).await?;
                self.work.modify(&name, CLASSES[0]).await
            }
            Kind::Snapshot => {
                self.work.create_snapshot(&name, &self.name).await?;
                self.work.create_group_snapshot(&name, (LABEL, &self.name)).await
            }
        }
    }

    /// Has somebody else go on with what was begun and done.
    pub(super) async fn carry_on(&self) -> Result<()> {
        match &self.kind {
            Kind::Provision | Kind::Attach | Kind::Snapshot => Ok(()),
            Kind::Resize => {
                self.work.modify(&self.current(), CLASSES[1]).await?;
                self.work.modified(&self.current(), CLASSES[1], LIMIT).await
            }
        }
    }

    /// Takes back what was begun, done or not.
    pub(super) async fn take_back(&self) -> Result<()> {
        match &self.kind {
            Kind::Provision | Kind::Resize => self.work.delete_claim(&self.current()).await,
            Kind::Attach => self.work.detach(&self.current()).await,
            Kind::Snapshot => {
                self.work.delete_snapshot(&self.current()).await?;
                self.work.delete_group_snapshot(&self.current()).await
            }
        }
    }

    /// All of it once, seen to its end.
    pub(super) async fn once(&mut self) -> Result<()> {
        if matches!(self.kind, Kind::Provision) {
            self.times += 1;
            return short_life(self.cluster, &self.current()).await;
        }
        self.begin().await?;
        self.done().await?;
        self.take_back().await?;
        self.undone().await
    }

    /// The call to the driver that it comes down to.
    pub(super) fn call(&self) -> &'static str {
        match self.kind {
            Kind::Provision => "/csi.v1.Controller/CreateVolume",
            Kind::Attach => "/csi.v1.Controller/ControllerPublishVolume",
            Kind::Resize => "/csi.v1.Controller/ControllerExpandVolume",
            Kind::Snapshot => "/csi.v1.Controller/CreateSnapshot",
        }
    }

    /// Waits until what was begun is done.
    pub(super) async fn done(&self) -> Result<()> {
        match &self.kind {
            Kind::Provision => self.work.bound(&self.current(), LIMIT).await.map(drop),
            Kind::Attach => self.work.attached(&self.current(), LIMIT).await,
            Kind::Resize => {
                self.work.controller_resized(&self.current(), GROWN, LIMIT).await?;
                self.work.modified(&self.current(), CLASSES[0], LIMIT).await
            }
            Kind::Snapshot => {
                self.work.snapshot_ready(&self.current(), LIMIT).await?;
                let (_, members) = self.work.group_ready(&self.current(), LIMIT).await?;
                ensure!(members.len() == 1, "the group has {} members", members.len());
                Ok(())
            }
        }
    }

    /// Waits until nothing is left of what was begun.
    pub(super) async fn undone(&self) -> Result<()> {
        match &self.kind {
            Kind::Provision | Kind::Resize => Ok(()),
            Kind::Attach => self.work.detached(&self.current(), LIMIT).await,
            Kind::Snapshot => {
                self.work.group_gone(&self.current(), LIMIT).await?;
                self.work.no_snapshots(LIMIT).await
            }
        }
    }

    /// Removes what it needed.
    pub(super) async fn end(self) -> Result<()> {
        if let Some(volume) = &self.volume {
            self.work.delete_claim(&self.name).await?;
            self.work.volume_gone(&volume.name, LIMIT).await.context("after the task")?;
            ensure!(Workload::backing(&volume.handle).is_empty(), "storage of {} is left", volume.handle);
        }
        Ok(())
    }

    /// The volume that it is about.
    pub(super) fn volume(&self) -> Result<&Bound> {
        self.volume.as_ref().context("a task without a volume of its own")
    }

    fn current(&self) -> String {
        format!("{}-{}", self.name, self.times)
    }
}
