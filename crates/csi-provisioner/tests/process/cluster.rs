//! A cluster with somebody who binds claims, and a claim whose volume may not get lost.

use std::ops::Deref;

use csi_client::csi::CreateVolumeRequest;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use serde_json::{Value, json};
use testkit::api::Rule;
use testkit::driver::{DriverConfig, Fact, Step};
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests;
use testkit::process::{Calling, DRIVER, Profile, Stand, Subject, eventually};

const PROFILE: Profile = Profile {
    binary: env!("CARGO_BIN_EXE_csi-provisioner"),
    works: "Started provisioner controller",
    user: "system:serviceaccount:default:csi-provisioner",
    lease: "driver-example",
    rules,
};
pub(crate) const CLASS: &str = "class";
const KEPT: &str = "kept";

pub(crate) struct Cluster {
    _controllers: KubeControllers,
    stand: Stand,
    kept: Value,
}

impl Deref for Cluster {
    type Target = Stand;

    fn deref(&self) -> &Stand {
        &self.stand
    }
}

impl Subject for Cluster {
    const WATCHED: &'static [&'static str] = &["PersistentVolumeClaim", "PersistentVolume", "StorageClass"];

    /// One claim has its volume already.
    fn new() -> Self {
        let stand = Stand::with_driver(PROFILE, DriverConfig::default());
        let in_runtime = stand.runtime.enter();
        let controllers = KubeControllers::start(&stand.server, KubeOptions::default());
        drop(in_runtime);
        stand.server.create(&manifests::class(CLASS, DRIVER)).unwrap();
        let mut cluster = Self { _controllers: controllers, stand, kept: Value::Null };
        cluster.keep();
        cluster
    }

    /// A claim.
    fn want(&self, name: &str) {
        self.claim_of(name, CLASS);
    }

    fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.driver().volumes().len(), 1);
        self.assert_nothing_written();
    }

    /// A new claim gets its volume, every claim has exactly one, and the driver has no other.
    fn assert_works(&self) {
        self.want("later");
        for claim in self.server.list("PersistentVolumeClaim") {
            self.bound(claim["metadata"]["name"].as_str().unwrap());
        }
        eventually("driver and API have the same volumes", || {
            let mut handles: Vec<String> = self
                .server
                .list("PersistentVolume")
                .iter()
                .map(|volume| volume["spec"]["csi"]["volumeHandle"].as_str().unwrap().to_owned())
                .collect();
            let mut made: Vec<String> =
                self.driver().volumes().into_iter().map(|volume| volume.id.clone()).collect();
            handles.sort();
            made.sort();
            handles == made
        });
        assert_eq!(
            self.server.list("PersistentVolume").len(),
            self.server.list("PersistentVolumeClaim").len(),
            "one volume per claim"
        );
        let mut names: Vec<String> = (self.driver().history().into_iter())
            .filter_map(|fact| match fact {
                Fact::VolumeCreated { name, .. } => Some(name),
                _ => None,
            })
            .collect();
        let made = names.len();
        names.sort();
        names.dedup();
        assert_eq!(made, names.len(), "no volume was made twice");
        self.assert_kept();
    }
}

impl Calling for Cluster {
    fn script(&self, step: Step) {
        self.driver().script::<CreateVolumeRequest>([step]);
    }

    fn calls(&self) -> usize {
        self.driver().count::<CreateVolumeRequest>() - 1
    }
}

impl Cluster {
    /// The claim that has its volume before any sidecar runs.
    fn keep(&mut self) {
        let claim = self.server.create(&manifests::claim(KEPT, CLASS)).unwrap();
        let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
        let connection = Connection::from_service(self.driver().service(), ConnectionSettings::default());
        let request = CreateVolumeRequest {
            name: name.clone(),
            volume_capabilities: vec![mount()],
            ..Default::default()
        };
        let made = self.runtime.block_on(connection.create_volume(request, CallOptions::default())).unwrap();
        let mut volume = manifests::volume(&name, DRIVER, &made.volume.unwrap().volume_id, CLASS);
        volume["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": DRIVER});
        volume["metadata"]["finalizers"] = json!(["external-provisioner.volume.kubernetes.io/finalizer"]);
        volume["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": KEPT,
            "uid": claim["metadata"]["uid"],
        });
        self.server.create(&volume).unwrap();
        self.bound(KEPT);
        self.kept = self.kept_now();
    }

    /// Claim, object and volume that are to be as they were.
    fn kept_now(&self) -> Value {
        let claim = self.get_claim(KEPT);
        let name = claim["spec"]["volumeName"].as_str().unwrap_or_default().to_owned();
        let volume = self.server.get("PersistentVolume", "", &name).unwrap_or(Value::Null);
        let handles: Vec<String> = self
            .driver()
            .volumes()
            .into_iter()
            .filter(|made| made.name == name)
            .map(|made| made.id.clone())
            .collect();
        json!({
            "claim": [claim["metadata"]["uid"], claim["spec"], claim["status"]["phase"]],
            "volume": [volume["metadata"]["uid"], volume["metadata"]["finalizers"], volume["spec"]],
            "handles": handles,
        })
    }

    pub(crate) fn claim_of(&self, name: &str, class: &str) {
        self.server.create(&manifests::claim(name, class)).unwrap();
    }

    fn get_claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    fn is_bound(&self, claim: &str) -> bool {
        self.get_claim(claim)["status"]["phase"] == "Bound"
    }

    pub(crate) fn bound(&self, claim: &str) {
        eventually(&format!("claim {claim} is bound"), || self.is_bound(claim));
    }
}

fn mount() -> csi_client::csi::VolumeCapability {
    use csi_client::csi::volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode};
    csi_client::csi::VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

/// What upstream's roles grant, where the sidecar uses it (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "create", "patch", "delete"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch", "update"]),
        Rule::new("storage.k8s.io", &["storageclasses"], &["get", "list", "watch"]),
        Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["get"]),
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new("", &["secrets"], &["get"]),
        Rule::new("storage.k8s.io", &["volumeattachments"], &["get", "list", "watch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}
