//! A cluster with a node and an attachment that may not get lost.

use std::collections::BTreeSet;
use std::ops::Deref;

use csi_client::csi::ControllerPublishVolumeRequest;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use serde_json::{Value, json};
use testkit::api::Rule;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use testkit::manifests;
use testkit::process::{Calling, DRIVER, Profile, Stand, Subject, eventually};

const PROFILE: Profile = Profile {
    binary: env!("CARGO_BIN_EXE_csi-attacher"),
    works: "Starting CSI attacher",
    user: "system:serviceaccount:default:csi-attacher",
    lease: "external-attacher-leader-driver-example",
    rules,
};
const FINALIZER: &str = "external-attacher/driver-example";
const KEPT: &str = "kept";
const NODE_ID: &str = "id-node";
const GIB: i64 = 1 << 30;

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
    const WATCHED: &'static [&'static str] = &["VolumeAttachment", "PersistentVolume", "CSINode"];

    /// One volume is attached already.
    fn new() -> Self {
        let controller = vec![ControllerCapability::PublishUnpublishVolume];
        let stand = Stand::with_driver(PROFILE, DriverConfig { controller, ..DriverConfig::default() });
        let mut cluster = Self { stand, kept: Value::Null };
        cluster.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node"},
            "spec": {"drivers": [{"name": DRIVER, "nodeID": NODE_ID}]},
        }));
        cluster.keep();
        cluster
    }

    /// A volume, and its attachment, of this name.
    fn want(&self, name: &str) {
        self.attach(name, Value::Null);
    }

    fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.published().len(), 1);
        self.assert_nothing_written();
    }

    /// A new attachment is carried out, and driver and API agree about all.
    fn assert_works(&self) {
        if self.get("later").is_null() {
            self.want("later");
        }
        eventually("driver and API have the same attachments", || {
            let attachments = self.server.list("VolumeAttachment");
            let all = attachments.iter().all(|attachment| attachment["status"]["attached"] == true);
            let names =
                attachments.iter().map(|found| found["metadata"]["name"].as_str().unwrap().to_owned());
            all && names.collect::<BTreeSet<_>>() == self.published()
        });
        self.assert_kept();
    }
}

impl Calling for Cluster {
    fn script(&self, step: Step) {
        self.driver().script::<ControllerPublishVolumeRequest>([step]);
    }

    fn calls(&self) -> usize {
        self.driver().count::<ControllerPublishVolumeRequest>() - 1
    }
}

impl Cluster {
    /// The attachment that is there before any sidecar runs.
    fn keep(&mut self) {
        self.attach(KEPT, json!([FINALIZER]));
        let status = json!({"status": {"attached": true, "attachmentMetadata": {"device": "/dev/kept"}}});
        self.server.patch_status("VolumeAttachment", "", KEPT, &status).unwrap();
        let connection = Connection::from_service(self.driver().service(), ConnectionSettings::default());
        let request = ControllerPublishVolumeRequest {
            volume_id: KEPT.into(),
            node_id: NODE_ID.into(),
            volume_capability: Some(csi_client::csi::VolumeCapability::default()),
            ..Default::default()
        };
        let publish = connection.controller_publish_volume(request, CallOptions::default());
        self.runtime.block_on(publish).unwrap();
        self.kept = self.kept_now();
    }

    /// Attachment, volume and what the driver has, that are to be as they were.
    fn kept_now(&self) -> Value {
        let attachment = self.get(KEPT);
        let volume = self.server.get("PersistentVolume", "", KEPT).unwrap_or(Value::Null);
        json!({
            "attachment": [attachment["metadata"]["uid"], attachment["metadata"]["finalizers"], attachment["status"]],
            "volume": [volume["metadata"]["uid"], volume["metadata"]["finalizers"], volume["spec"]],
            "attached": self.published().contains(KEPT),
        })
    }

    /// Handles of what the driver has attached.
    fn published(&self) -> BTreeSet<String> {
        let volumes = self.driver().volumes();
        let attached = volumes.iter().filter(|volume| volume.published.contains_key(NODE_ID));
        attached.map(|volume| volume.id.clone()).collect()
    }

    fn create(&self, object: Value) {
        self.server.create(&object).unwrap();
    }

    fn attach(&self, name: &str, finalizers: Value) {
        self.driver().add_volume(name, GIB);
        let mut volume = manifests::volume(name, DRIVER, name, "");
        volume["metadata"]["finalizers"] = finalizers.clone();
        self.create(volume);
        self.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": name, "finalizers": finalizers},
            "spec": {"attacher": DRIVER, "nodeName": "node", "source": {"persistentVolumeName": name}},
        }));
    }

    pub(crate) fn detach(&self, name: &str) {
        self.server.delete("VolumeAttachment", "", name).unwrap();
    }

    fn get(&self, name: &str) -> Value {
        self.server.get("VolumeAttachment", "", name).unwrap_or(Value::Null)
    }

    pub(crate) fn attached(&self, name: &str) {
        eventually(&format!("{name} is attached"), || self.get(name)["status"]["attached"] == true);
    }
}

/// What upstream's roles grant (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        Rule::new("storage.k8s.io", &["csinodes"], &["get", "list", "watch"]),
        Rule::new("storage.k8s.io", &["volumeattachments"], &["get", "list", "watch", "patch"]),
        Rule::new("storage.k8s.io", &["volumeattachments/status"], &["patch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}
