//! Stand-ins for the controllers of kube-controller-manager that sidecars work with, for tests without a real one.
//!
//! [`KubeControllers`] plays the part of the persistent-volume controller: it names the provisioner of a claim, binds
//! claims and volumes to each other, and releases volumes whose claim is gone; with protection switched on also the
//! two finalizers that hold objects in use. It is a task driven by what is written, and works the same every time.

mod binding;
mod protection;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use crate::api::{ApiServer, Delta, doc};

/// Namespace and name of a claim.
type ClaimKey = (String, String);

/// How the controllers behave.
#[derive(Debug, Clone, Default)]
pub struct KubeOptions {
    /// Whether claims and volumes in use are held by finalizers.
    pub protection: bool,
    /// Longest time between a change and the reaction to it, and the seed that chooses it; zero reacts at once.
    pub latency: Duration,
    /// Seed of the latency.
    pub seed: u64,
}

/// The running controllers; they stop when this is dropped.
#[derive(Debug)]
pub struct KubeControllers {
    task: AbortHandle,
}

impl Drop for KubeControllers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KubeControllers {
    /// Starts them on the current runtime.
    pub fn start(server: &ApiServer, options: KubeOptions) -> Self {
        let deltas = server.deltas();
        let mut loops =
            Loop { server: server.clone(), options, claims: BTreeSet::new(), volumes: BTreeSet::new() };
        loops.everything();
        let task = tokio::spawn(loops.run(deltas));
        Self { task: task.abort_handle() }
    }
}

/// What is to be looked at again.
struct Loop {
    server: ApiServer,
    options: KubeOptions,
    claims: BTreeSet<ClaimKey>,
    volumes: BTreeSet<String>,
}

impl Loop {
    async fn run(mut self, mut deltas: UnboundedReceiver<Delta>) {
        let mut random = fastrand::Rng::with_seed(self.options.seed);
        loop {
            self.step();
            let Some(delta) = deltas.recv().await else { return };
            self.note(&delta);
            if !self.options.latency.is_zero() {
                tokio::time::sleep(self.options.latency.mul_f64(random.f64())).await;
            }
            while let Ok(delta) = deltas.try_recv() {
                self.note(&delta);
            }
        }
    }

    /// Everything there is needs a look, at the start and when a class appears.
    fn everything(&mut self) {
        self.claims.extend(self.server.objects("PersistentVolumeClaim").iter().map(|claim| key(claim)));
        let volumes = self.server.objects("PersistentVolume");
        self.volumes.extend(volumes.iter().map(|volume| name(volume).to_owned()));
    }

    fn note(&mut self, delta: &Delta) {
        let object = &delta.object;
        match delta.kind {
            "PersistentVolumeClaim" => {
                self.claims.insert(key(object));
                self.volumes.extend(volume_of(object));
            }
            "PersistentVolume" => {
                self.volumes.insert(name(object).to_owned());
                self.claims.extend(claim_of(object));
                if claim_of(object).is_none() {
                    self.everything();
                }
            }
            "StorageClass" => self.everything(),
            "Pod" => {
                let namespace = doc::text(object, "/metadata/namespace");
                let used = doc::list(object, "/spec/volumes")
                    .iter()
                    .map(|volume| doc::text(volume, "/persistentVolumeClaim/claimName"))
                    .filter(|claim| !claim.is_empty());
                self.claims.extend(used.map(|claim| (namespace.to_owned(), claim.to_owned())));
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        for key in std::mem::take(&mut self.claims) {
            if let Some(claim) = self.server.object("PersistentVolumeClaim", &key.0, &key.1) {
                if self.options.protection {
                    protection::claim(&self.server, &claim);
                }
                binding::claim(&self.server, &claim);
            }
            // The volumes made for a claim of this name, to be released if it is gone.
            self.volumes.extend(binding::volumes_for(&self.server, &key));
        }
        for name in std::mem::take(&mut self.volumes) {
            if let Some(volume) = self.server.object("PersistentVolume", "", &name) {
                if self.options.protection {
                    protection::volume(&self.server, &volume);
                }
                binding::volume(&self.server, &volume);
            }
        }
    }
}

fn key(object: &Value) -> ClaimKey {
    (doc::text(object, "/metadata/namespace").to_owned(), name(object).to_owned())
}

fn name(object: &Value) -> &str {
    doc::text(object, "/metadata/name")
}

fn volume_of(claim: &Value) -> Option<String> {
    Some(doc::text(claim, "/spec/volumeName")).filter(|name| !name.is_empty()).map(str::to_owned)
}

fn claim_of(volume: &Value) -> Option<ClaimKey> {
    let part = |field: &str| doc::text(volume, &format!("/spec/claimRef/{field}")).to_owned();
    Some((part("namespace"), part("name"))).filter(|key| !key.1.is_empty())
}
