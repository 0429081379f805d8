//! What a user does in a cluster, and what can be seen of it: claims, pods, volumes, events, files on the node.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass, VolumeAttachment};
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::deploy::DRIVER;
use crate::images::BUSYBOX;
use crate::leftovers::{self, LoopDevice};
use crate::machine::DRIVER_STATE;

mod attachment;
mod growth;
mod snapshots;

pub(crate) use snapshots::Ready;

/// Size of a new claim in Mi: the smallest file system that can grow.
pub(crate) const SIZE: u16 = 32;

/// How a pod sees a volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Filesystem,
    Block,
}

/// A claim to be made, of [`SIZE`].
pub(crate) struct Claim<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: &'a str,
    pub(crate) mode: Mode,
}

/// What a bound claim is bound to.
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) handle: String,
}

/// An event, told.
pub(crate) struct Told {
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A user of one namespace.
pub(crate) struct Workload<'a> {
    cluster: &'a Cluster,
    namespace: String,
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    events: Api<Event>,
    volumes: Api<PersistentVolume>,
    attachments: Api<VolumeAttachment>,
}

impl<'a> Workload<'a> {
    /// A user of `namespace`.
    pub(crate) fn new(cluster: &'a Cluster, namespace: &str) -> Self {
        let client = || cluster.client.clone();
        Self {
            cluster,
            namespace: namespace.to_owned(),
            claims: Api::namespaced(client(), namespace),
            pods: Api::namespaced(client(), namespace),
            events: Api::namespaced(client(), namespace),
            volumes: Api::all(client()),
            attachments: Api::all(client()),
        }
    }

    /// How Kubernetes is told to treat the driver.
    pub(crate) async fn csi_driver(&self, name: &str) -> Result<String> {
        let spec = Api::<CSIDriver>::all(self.cluster.client.clone()).get(name).await?.spec;
        let modes = spec.volume_lifecycle_modes.unwrap_or_default().join(", ");
        Ok(format!("attach required: {}, lifecycle: {modes}", spec.attach_required.unwrap_or(true)))
    }

    /// When a class wants its volumes bound.
    pub(crate) async fn binding_mode(&self, class: &str) -> Result<String> {
        let class = Api::<StorageClass>::all(self.cluster.client.clone()).get(class).await?;
        Ok(class.volume_binding_mode.unwrap_or_else(|| "Immediate".to_owned()))
    }

    /// Makes a claim.
    pub(crate) async fn create_claim(&self, claim: &Claim<'_>) -> Result<()> {
        let object = serde_json::from_value(claim_object(claim, &Value::Null))?;
        self.claims
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot create claim {}", claim.name))?;
        Ok(())
    }

    /// Deletes a claim.
    pub(crate) async fn delete_claim(&self, name: &str) -> Result<()> {
        self.claims
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete claim {name}"))?;
        Ok(())
    }

    /// Whether a claim is bound.
    pub(crate) async fn is_bound(&self, claim: &str) -> Result<bool> {
        let status = self.claims.get(claim).await?.status;
        Ok(status.and_then(|status| status.phase).as_deref() == Some("Bound"))
    }

    /// Waits until a claim is bound to a volume of a CSI driver.
    pub(crate) async fn bound(&self, claim: &str, limit: Duration) -> Result<Bound> {
        let name = self
            .cluster
            .quietly_until(&format!("volume for claim {claim}"), limit, async || {
                if !self.is_bound(claim).await? {
                    return Ok(None);
                }
                Ok(self.claims.get(claim).await?.spec.and_then(|spec| spec.volume_name))
            })
            .await?;
        let source = self.volumes.get(&name).await?.spec.and_then(|spec| spec.csi);
        let handle = source.context("the volume is not one of a CSI driver")?.volume_handle;
        Ok(Bound { name, handle })
    }

    /// Waits until the scheduler has chosen a node for a claim.
    pub(crate) async fn selected_node(&self, claim: &str, limit: Duration) -> Result<String> {
        self.cluster
            .quietly_until(&format!("node for claim {claim}"), limit, async || {
                let annotations = self.claims.get(claim).await?.metadata.annotations.unwrap_or_default();
                Ok(annotations.get("volume.kubernetes.io/selected-node").cloned())
            })
            .await
    }

    /// Waits for an event on a claim.
    pub(crate) async fn event_on_claim(&self, claim: &str, reason: &str, limit: Duration) -> Result<Told> {
        let fields =
            format!("involvedObject.kind=PersistentVolumeClaim,involvedObject.name={claim},reason={reason}");
        let parameters = ListParams::default().fields(&fields);
        self.cluster
            .quietly_until(&format!("event {reason} on claim {claim}"), limit, async || {
                Ok(self.events.list(&parameters).await?.items.into_iter().next().map(told))
            })
            .await
    }

    /// Makes a pod that mounts claims below /data, has at most one claim as device /dev/volume, and runs a shell script.
    pub(crate) async fn create_pod(
        &self,
        name: &str,
        mounted: &[&str],
        device: &[&str],
        script: &str,
    ) -> Result<()> {
        let volume = |claim: &&str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
        let mounts: Vec<Value> = mounted
            .iter()
            .map(|claim| json!({"name": claim, "mountPath": format!("/data/{claim}")}))
            .collect();
        let devices: Vec<Value> =
            device.iter().map(|claim| json!({"name": claim, "devicePath": "/dev/volume"})).collect();
        let pod = json!({
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "dnsPolicy": "Default",
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never",
                    "command": ["sh", "-c", script],
                    "env": [{"name": "HOSTNAME", "value": name}],
                    "volumeMounts": mounts, "volumeDevices": devices,
                }],
                "volumes": mounted.iter().chain(device).map(volume).collect::<Vec<_>>(),
            },
        });
        let pod = serde_json::from_value(pod)?;
        self.pods
            .create(&PostParams::default(), &pod)
            .await
            .with_context(|| format!("cannot create pod {name}"))?;
        Ok(())
    }

    /// Waits until a pod's container has ended well; fails at once if it ended otherwise.
    pub(crate) async fn succeeded(&self, pod: &str, limit: Duration) -> Result<()> {
        let phase = self
            .cluster
            .quietly_until(&format!("end of pod {pod}"), limit, async || {
                let phase =
                    self.pods.get(pod).await?.status.and_then(|status| status.phase).unwrap_or_default();
                if phase != "Succeeded" && phase != "Failed" {
                    bail!("pod {pod} is {phase}; {}", self.last_event(pod).await?);
                }
                Ok(Some(phase))
            })
            .await?;
        if phase == "Failed" {
            bail!("pod {pod} failed: {}", self.log(pod).await.unwrap_or_default());
        }
        Ok(())
    }

    async fn last_event(&self, pod: &str) -> Result<String> {
        let fields = format!("involvedObject.kind=Pod,involvedObject.name={pod}");
        let events = self.events.list(&ListParams::default().fields(&fields)).await?.items;
        let last = events
            .into_iter()
            .max_by_key(|event| event.metadata.resource_version.as_deref().map_or(0, number));
        Ok(last
            .map(told)
            .map_or_else(|| "no event".to_owned(), |event| format!("{}: {}", event.reason, event.message)))
    }

    /// Waits until a running pod has printed exactly this.
    pub(crate) async fn printed(&self, pod: &str, text: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("output of pod {pod}"), limit, async || {
                let log = self.log(pod).await?;
                if log != text {
                    bail!("it printed {log:?}");
                }
                Ok(Some(()))
            })
            .await
    }

    /// What a pod printed.
    pub(crate) async fn log(&self, pod: &str) -> Result<String> {
        self.pods.logs(pod, &LogParams::default()).await.with_context(|| format!("no log of pod {pod}"))
    }

    /// Deletes a pod.
    pub(crate) async fn delete_pod(&self, name: &str) -> Result<()> {
        self.pods
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete pod {name}"))?;
        Ok(())
    }

    /// Waits until a pod is gone; the kubelet lets it go only when its volumes are unmounted.
    pub(crate) async fn pod_gone(&self, name: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("end of deleted pod {name}"), limit, async || {
                Ok(self.pods.get_opt(name).await?.is_none().then_some(()))
            })
            .await
    }

    /// Waits until a persistent volume is gone.
    pub(crate) async fn volume_gone(&self, name: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("deletion of volume {name}"), limit, async || {
                Ok(self.volumes.get_opt(name).await?.is_none().then_some(()))
            })
            .await
    }

    /// Waits until a volume is mounted in no pod.
    pub(crate) async fn unmounted(&self, volume: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("volume {volume} to be unmounted"), limit, async || {
                let mounts = fs::read_to_string("/proc/self/mountinfo")?;
                Ok((!mounts.contains(&format!("/{volume}/"))).then_some(()))
            })
            .await
    }

    /// Waits until no loop device has a file of the driver.
    pub(crate) async fn loop_devices_gone(&self, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until("loop devices to be detached", limit, async || {
                let left = self.loop_devices()?;
                if let Some(device) = left.first() {
                    bail!("{} still has {}", device.name, device.file.display());
                }
                Ok(Some(()))
            })
            .await
    }

    /// Files and folders of the driver's state that belong to a volume.
    pub(crate) fn backing(handle: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(Path::new(DRIVER_STATE), handle, &mut found);
        found
    }

    /// How many volumes the driver has on the disk: what bears a volume's name, a UUID, in the place of whole volumes.
    pub(crate) fn volumes_on_disk() -> Result<usize> {
        let is_volume = |name: &str| name.len() == 36 && name.matches('-').count() == 4;
        let entries = fs::read_dir(DRIVER_STATE)?.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.iter().filter(|entry| is_volume(&entry.file_name().to_string_lossy())).count())
    }

    /// Loop devices over files of the driver.
    pub(crate) fn loop_devices(&self) -> Result<Vec<LoopDevice>> {
        leftovers::loops(&self.cluster.spec.dir.join("driver"))
    }
}

/// The object of a claim, to be filled from a source unless that is null.
fn claim_object(claim: &Claim<'_>, source: &Value) -> Value {
    json!({
        "metadata": {"name": claim.name},
        "spec": {
            "storageClassName": claim.class,
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": format!("{:?}", claim.mode),
            "dataSource": source,
            "resources": {"requests": {"storage": format!("{SIZE}Mi")}},
        },
    })
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn told(event: Event) -> Told {
    let source = event.source.and_then(|source| source.component);
    let actor = event.reporting_component.filter(|name| !name.is_empty()).or(source).unwrap_or_default();
    // csi-provisioner reports as driver_pod_uuid, csi-resizer as follows.
    let actor = if actor.starts_with(&format!("{DRIVER}_")) {
        "csi-provisioner".to_owned()
    } else if actor == format!("external-resizer {DRIVER}") {
        "csi-resizer".to_owned()
    } else {
        actor
    };
    Told { actor, reason: event.reason.unwrap_or_default(), message: event.message.unwrap_or_default() }
}

fn collect(dir: &Path, handle: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(handle) {
            found.push(path.display().to_string());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, handle, found);
        }
    }
}
