//! The content that is made for a snapshot (sheet 5.5.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidecar_core::objects::{Claim, DeletionPolicy, Interned, Meta, Snapshot, Volume};
use snapshot_api::names::finalizers::CONTENT_BOUND;
use snapshot_api::names::kinds::{SnapshotKind, VOLUME_SNAPSHOT};
use snapshot_api::names::labels;
use snapshot_api::v1::{
    DeletionPolicy as WrittenPolicy, VolumeSnapshotContent, VolumeSnapshotContentSource,
    VolumeSnapshotContentSpec,
};

use super::source::{self, Taken};
use super::{Stores, class, lookup, node, secrets};

/// What is to be created, and what is to be protected before.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The claim.
    pub claim: Arc<Claim>,
    /// The content.
    pub content: VolumeSnapshotContent,
}

/// What is to be created for a snapshot of a claim. `note_mode`: write down the volume's mode.
///
/// Upstream protects the claim before it knows whether there is anything to make, and leaves it protected if there is not.
pub fn plan(snapshot: &Snapshot, stores: &Stores, note_mode: bool) -> Result<Plan, String> {
    let name = &snapshot.meta.name;
    let namespace = snapshot.meta.namespace();
    let claim = snapshot.claim.as_deref().and_then(|claim| stores.claims.get(namespace, claim));
    let Some(claim) = claim else {
        return Err(format!(
            "snapshot controller failed to update {name} on API server: cannot get claim from snapshot"
        ));
    };
    let inputs =
        |problem: String| format!("failed to get input parameters to create snapshot {name}: {problem:?}");
    let Some(class) = &snapshot.class else {
        return Err(inputs(format!("failed to take snapshot {name} without a snapshot class")));
    };
    let class = class::named(stores, class).map_err(inputs)?;
    let volume = source::volume(stores, &claim, Taken::Snapshot).map_err(inputs)?;
    let content_name = lookup::made_name(snapshot);
    let secret = secrets::of_snapshot(&class.parameters, &content_name, &snapshot.meta).map_err(inputs)?;
    let Some(driver) = &volume.driver else {
        return Err(format!("cannot find CSI PersistentVolumeSource for volume {}", volume.meta.name));
    };
    if *driver != class.driver {
        // Upstream makes the content, and its driver is asked for a volume that it does not know, for ever (13.8).
        return Err(inputs(format!(
            "the class {} is of the driver {}, the volume {} of the driver {driver}",
            class.meta.name, class.driver, volume.meta.name
        )));
    }
    let nodes = stores.nodes.as_ref().map(sidecar_core::cache::Store::list);
    let managed_by = nodes.and_then(|nodes| node::of(&volume, nodes.iter().map(AsRef::as_ref)));
    let content = VolumeSnapshotContent {
        metadata: ObjectMeta {
            name: Some(content_name),
            annotations: secret,
            labels: managed_by.as_ref().map(in_charge),
            // Upstream adds it with a second write. Until then nothing would hold the content if it were deleted.
            finalizers: Some(vec![CONTENT_BOUND.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: VolumeSnapshotContentSpec {
            deletion_policy: written(class.policy),
            driver: class.driver.to_string(),
            source: VolumeSnapshotContentSource {
                volume_handle: Some(volume.handle.to_string()),
                snapshot_handle: None,
            },
            source_volume_mode: mode(&volume).filter(|_| note_mode),
            volume_snapshot_class_name: Some(class.meta.name.to_string()),
            volume_snapshot_ref: reference(&VOLUME_SNAPSHOT, &snapshot.meta),
        },
        ..VolumeSnapshotContent::default()
    };
    Ok(Plan { claim, content })
}

/// The policy as it is written.
pub fn written(policy: DeletionPolicy) -> WrittenPolicy {
    match policy {
        DeletionPolicy::Delete => WrittenPolicy::Delete,
        DeletionPolicy::Retain => WrittenPolicy::Retain,
    }
}

/// The labels that put a node in charge.
pub fn in_charge(node: &Interned) -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), node.to_string())])
}

/// The mode of a volume as it is written.
pub fn mode(volume: &Volume) -> Option<String> {
    volume.volume_mode.map(|mode| mode.as_str().to_owned())
}

/// A whole reference to an object.
pub fn reference(kind: &SnapshotKind, meta: &Meta) -> ObjectReference {
    ObjectReference {
        api_version: Some(kind.api_version()),
        kind: Some(kind.kind.to_owned()),
        name: Some(meta.name.to_string()),
        namespace: Some(meta.namespace().to_owned()),
        uid: Some(meta.uid.to_string()),
        resource_version: Some(meta.resource_version.to_string()),
        field_path: None,
    }
}
