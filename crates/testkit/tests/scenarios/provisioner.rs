//! A provisioner of a hundred lines, to try the simulation on: it looks at everything again and again, and is right.
//! With a flaw chosen it is wrong in a way that the simulation must find.

use std::time::Duration;

use csi_client::csi::{self, volume_capability};
use csi_client::{CallOptions, Connection, ConnectionSettings};
use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams, ListParams, PostParams, ResourceExt, WatchParams};
use serde_json::json;
use testkit::simulation::Incarnation;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const DRIVER: &str = "driver.example";

/// What is wrong with a provisioner.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Names a volume anew at each attempt, so that a lost answer makes two.
    FreshNames,
    /// Deletes the volume of any deleted PV object that it sees, claimed or not.
    ForgetsVolumes,
}

#[derive(Clone)]
pub(crate) struct Provisioner {
    claims: Api<PersistentVolumeClaim>,
    volumes: Api<PersistentVolume>,
    driver: Connection,
    flaw: Flaw,
    life: Incarnation,
}

impl Provisioner {
    pub(crate) fn new(life: Incarnation, flaw: Flaw) -> Self {
        let client = life.client();
        let driver = Connection::from_service(life.driver(), ConnectionSettings::default());
        Self { claims: Api::all(client.clone()), volumes: Api::all(client), driver, flaw, life }
    }

    pub(crate) async fn run(self) {
        loop {
            // Any failure ends the round; the next one looks afresh.
            let _ = timeout(Duration::from_secs(60), self.round()).await;
            let _ = timeout(Duration::from_secs(5), self.wait_for_change()).await;
        }
    }

    async fn wait_for_change(&self) -> anyhow::Result<()> {
        let events = self.claims.watch(&WatchParams::default().timeout(60), "0").await?;
        pin_mut!(events);
        // The first events repeat what is there.
        let mut fresh = events.skip(20);
        fresh.try_next().await?;
        Ok(())
    }

    async fn round(&self) -> anyhow::Result<()> {
        let everything = ListParams::default();
        let claims = timeout(PATIENCE, self.claims.list(&everything)).await??;
        let volumes = timeout(PATIENCE, self.volumes.list(&everything)).await??;
        for claim in &claims.items {
            let name = format!("pvc-{}", claim.uid().unwrap_or_default());
            let provisioner = claim.annotations().get("volume.kubernetes.io/storage-provisioner");
            let unbound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_none());
            let made = volumes.items.iter().any(|volume| volume.name_any() == name);
            if provisioner.is_some_and(|name| name == DRIVER) && unbound && !made {
                let _ = self.provision(claim, name).await;
            }
        }
        for volume in &volumes.items {
            let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
            if phase == Some("Released") {
                let _ = self.delete(volume).await;
            }
        }
        Ok(())
    }

    async fn provision(&self, claim: &PersistentVolumeClaim, name: String) -> anyhow::Result<()> {
        let asked = match self.flaw {
            Flaw::FreshNames => {
                format!("{}-{name}", self.life.clock().now().as_millisecond())
            }
            _ => name.clone(),
        };
        let mode = csi::volume_capability::AccessMode {
            mode: csi::volume_capability::access_mode::Mode::SingleNodeWriter.into(),
        };
        let request = csi::CreateVolumeRequest {
            name: asked,
            capacity_range: Some(csi::CapacityRange { required_bytes: 1 << 30, limit_bytes: 0 }),
            volume_capabilities: vec![csi::VolumeCapability {
                access_mode: Some(mode),
                access_type: Some(volume_capability::AccessType::Mount(
                    volume_capability::MountVolume::default(),
                )),
            }],
            ..Default::default()
        };
        let answer = self.driver.create_volume(request, CallOptions::timeout(PATIENCE)).await?;
        let handle = answer.volume.unwrap_or_default().volume_id;
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()),
                "persistentVolumeReclaimPolicy": "Delete",
                "csi": {"driver": DRIVER, "volumeHandle": handle},
                "claimRef": {"namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid()},
            },
        }))?;
        timeout(PATIENCE, self.volumes.create(&PostParams::default(), &volume)).await??;
        Ok(())
    }

    async fn delete(&self, volume: &PersistentVolume) -> anyhow::Result<()> {
        let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
        let volume_id = csi.map(|csi| csi.volume_handle.clone()).unwrap_or_default();
        if self.flaw != Flaw::ForgetsVolumes {
            let request = csi::DeleteVolumeRequest { volume_id, ..Default::default() };
            self.driver.delete_volume(request, CallOptions::timeout(PATIENCE)).await?;
        }
        let (name, options) = (volume.name_any(), DeleteParams::default());
        timeout(PATIENCE, self.volumes.delete(&name, &options)).await??;
        Ok(())
    }
}
