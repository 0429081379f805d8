//! A cluster with a claim that has what it wants and may not be touched.

use std::ops::Deref;

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::{Value, json};
use testkit::api::Rule;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use testkit::manifests;
use testkit::process::{Calling, DRIVER, Profile, Stand, Subject, eventually};

const PROFILE: Profile = Profile {
    binary: env!("CARGO_BIN_EXE_csi-resizer"),
    works: "Started resize controller",
    user: "system:serviceaccount:default:csi-resizer",
    lease: "external-resizer-driver-example",
    rules,
};
const KEPT: &str = "kept";

pub(crate) struct Cluster {
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
    const WATCHED: &'static [&'static str] =
        &["PersistentVolumeClaim", "PersistentVolume", "VolumeAttributesClass"];

    /// One claim has what it wants.
    fn new() -> Self {
        let mut config = DriverConfig::default();
        config.controller.extend([ControllerCapability::ExpandVolume, ControllerCapability::ModifyVolume]);
        let mut cluster = Self { stand: Stand::with_driver(PROFILE, config), kept: Value::Null };
        cluster.bind(KEPT, "1Gi", &Value::Null);
        cluster.kept = cluster.kept_now();
        cluster
    }

    /// A claim of 1 Gi that wants 2.
    fn want(&self, name: &str) {
        self.bind(name, "2Gi", &Value::Null);
    }

    fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.calls(), 0);
        self.assert_nothing_written();
    }

    /// A new claim grows, so does every other that wants to, and what is said is what there is.
    fn assert_works(&self) {
        self.want("later");
        for claim in self.server.list("PersistentVolumeClaim") {
            let name = claim["metadata"]["name"].as_str().unwrap();
            if name != KEPT {
                self.grown(name);
                assert_eq!(self.real_size(name), 2 << 30);
                let volume = self.server.get("PersistentVolume", "", &format!("pv-{name}")).unwrap();
                assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
                assert!(self.get_claim(name)["status"]["conditions"].as_array().is_none_or(Vec::is_empty));
            }
        }
        self.assert_kept();
    }
}

impl Calling for Cluster {
    fn script(&self, step: Step) {
        self.driver().script::<ControllerExpandVolumeRequest>([step]);
    }

    fn calls(&self) -> usize {
        self.driver().count::<ControllerExpandVolumeRequest>()
    }
}

impl Cluster {
    /// A claim that is bound to a volume of 1 Gi with this secret, and asks for this size.
    fn bind(&self, name: &str, wanted: &str, secret: &Value) {
        let mut claim = manifests::claim(name, "class");
        claim["spec"]["volumeName"] = json!(format!("pv-{name}"));
        claim["spec"]["resources"]["requests"]["storage"] = json!(wanted);
        let claim = self.server.create(&claim).unwrap();
        let mut volume = manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
        volume["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name,
            "uid": claim["metadata"]["uid"],
        });
        if !secret.is_null() {
            volume["spec"]["csi"]["controllerExpandSecretRef"] = secret.clone();
        }
        self.server.create(&volume).unwrap();
        self.driver().add_volume(&format!("vol-{name}"), 1 << 30);
        let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        self.server.patch_status("PersistentVolumeClaim", "default", name, &status).unwrap();
    }

    /// Claim, object and volume that are to be as they were.
    fn kept_now(&self) -> Value {
        let claim = self.get_claim(KEPT);
        let volume = self.server.get("PersistentVolume", "", &format!("pv-{KEPT}")).unwrap_or(Value::Null);
        json!([claim["spec"], claim["status"], volume["spec"], self.real_size(KEPT)])
    }

    fn real_size(&self, claim: &str) -> i64 {
        let id = format!("vol-{claim}");
        self.driver().volumes().iter().find(|volume| volume.id == id).map_or(0, |volume| volume.capacity)
    }

    /// A claim whose expansion takes a secret.
    pub(crate) fn secretive_claim(&self, name: &str) {
        let secret = json!({"kind": "Secret", "metadata": {"name": "secret", "namespace": "default"}});
        self.server.create(&secret).unwrap();
        self.bind(name, "2Gi", &json!({"namespace": "default", "name": "secret"}));
    }

    fn get_claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    pub(crate) fn has_grown(&self, claim: &str) -> bool {
        self.get_claim(claim)["status"]["capacity"]["storage"] == "2Gi"
    }

    fn grown(&self, claim: &str) {
        eventually(&format!("claim {claim} has grown"), || self.has_grown(claim));
    }
}

/// What upstream's roles grant, where the sidecar uses it (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch"]),
        Rule::new("", &["persistentvolumeclaims/status"], &["patch"]),
        Rule::new("", &["pods"], &["get", "list", "watch"]),
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new("", &["secrets"], &["get"]),
        Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["get", "list", "watch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}
