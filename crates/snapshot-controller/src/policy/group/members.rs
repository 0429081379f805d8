//! The members of a group that has been cut (sheet 5.15, 13.5, 13.16).
//!
//! A member is a snapshot and its content, made by the controller once the driver has said which snapshots there are. Upstream makes the
//! content first and binds it when it knows the snapshot's UID, and writes both statuses anew at every look. Here the
//! snapshot comes first: its content is bound from the start, and nothing is ever reset.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Map, Value, json};
use sidecar_core::objects::{
    GroupContent, GroupMember, GroupSnapshot, Meta, SecretAnnotations, SnapshotContent, Uid, Volume,
    VolumeIndex,
};
use snapshot_api::names::annotations::{GROUP_HANDLE, SECRET_NAME, SECRET_NAMESPACE};
use snapshot_api::names::finalizers::{CONTENT_BOUND, SNAPSHOT_IN_GROUP, SNAPSHOT_SOURCE};
use snapshot_api::names::kinds::{GROUP_SNAPSHOT_API_VERSION, VOLUME_GROUP_SNAPSHOT, VOLUME_SNAPSHOT};
use snapshot_api::names::member_names;
use snapshot_api::v1::{
    VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotContentSource, VolumeSnapshotContentSpec,
    VolumeSnapshotSource, VolumeSnapshotSpec,
};

use crate::policy::Stores;
use crate::policy::create::{in_charge, mode, reference, written};

/// Whether the driver has cut the group and said what came of it.
pub fn is_cut(content: &GroupContent) -> bool {
    let status = content.status.as_ref();
    status.is_some_and(|status| status.handle.is_some() && !status.members.is_empty())
}

/// A member that there should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The snapshot.
    pub snapshot: VolumeSnapshot,
    /// Its content, but for the reference to the snapshot.
    pub content: VolumeSnapshotContent,
    /// What the content's status says.
    pub status: Map<String, Value>,
}

impl Member {
    /// Name of the snapshot.
    pub fn snapshot_name(&self) -> &str {
        self.snapshot.metadata.name.as_deref().unwrap_or_default()
    }

    /// Name of the content.
    pub fn content_name(&self) -> &str {
        self.content.metadata.name.as_deref().unwrap_or_default()
    }

    /// The content, bound to the snapshot.
    pub fn bound(&self, snapshot: &Meta) -> VolumeSnapshotContent {
        let mut content = self.content.clone();
        content.spec.volume_snapshot_ref = reference(&VOLUME_SNAPSHOT, snapshot);
        content
    }
}

/// The members of a group that has been cut.
pub fn plan(group: &GroupSnapshot, content: &GroupContent, stores: &Stores) -> Vec<Member> {
    let Some(status) = &content.status else { return Vec::new() };
    let Some(handle) = status.handle.as_deref() else { return Vec::new() };
    status.members.iter().map(|member| plan_one(group, content, handle, member, stores)).collect()
}

fn plan_one(
    group: &GroupSnapshot,
    content: &GroupContent,
    handle: &str,
    member: &GroupMember,
    stores: &Stores,
) -> Member {
    let volume = volume(&content.driver, &member.volume_handle, stores);
    let names = member_names(&group.meta.uid.to_string(), &member.volume_handle);
    let claim = volume.as_ref().and_then(|volume| volume.claim.as_ref());
    Member {
        snapshot: VolumeSnapshot {
            metadata: ObjectMeta {
                name: Some(names.snapshot),
                namespace: Some(group.meta.namespace().to_owned()),
                finalizers: Some(vec![SNAPSHOT_IN_GROUP.to_owned(), SNAPSHOT_SOURCE.to_owned()]),
                owner_references: Some(vec![owner(&group.meta.name, &group.meta.uid)]),
                ..ObjectMeta::default()
            },
            spec: VolumeSnapshotSpec {
                source: VolumeSnapshotSource {
                    persistent_volume_claim_name: Some(
                        claim.map(|claim| claim.name.to_string()).unwrap_or_default(),
                    ),
                    volume_snapshot_content_name: None,
                },
                volume_snapshot_class_name: None,
            },
            ..VolumeSnapshot::default()
        },
        content: VolumeSnapshotContent {
            metadata: ObjectMeta {
                name: Some(names.content),
                annotations: Some(annotations(handle, &content.secret)),
                labels: content.managed_by.as_ref().map(in_charge),
                finalizers: Some(vec![CONTENT_BOUND.to_owned()]),
                ..ObjectMeta::default()
            },
            spec: VolumeSnapshotContentSpec {
                deletion_policy: written(content.policy),
                driver: content.driver.to_string(),
                source: VolumeSnapshotContentSource {
                    volume_handle: Some(member.volume_handle.to_string()),
                    snapshot_handle: None,
                },
                source_volume_mode: volume.as_deref().and_then(mode),
                ..VolumeSnapshotContentSpec::default()
            },
            ..VolumeSnapshotContent::default()
        },
        status: status_fields(handle, member),
    }
}

/// The one volume of a driver with this handle.
fn volume(driver: &str, handle: &str, stores: &Stores) -> Option<std::sync::Arc<Volume>> {
    let mut found = stores.volumes.by(VolumeIndex::Handle, handle);
    found.retain(|volume| volume.driver.as_deref() == Some(driver));
    if found.len() == 1 { found.pop() } else { None }
}

/// The group's Secret is its members', too. Upstream resolves it from the class once more, without the group, which fails for
/// templates that name it.
fn annotations(handle: &str, secret: &SecretAnnotations) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(GROUP_HANDLE.to_owned(), handle.to_owned())]);
    if let (Some(name), Some(namespace)) = (&secret.name, &secret.namespace) {
        annotations.insert(SECRET_NAME.to_owned(), name.to_string());
        annotations.insert(SECRET_NAMESPACE.to_owned(), namespace.to_string());
    }
    annotations
}

/// The owner reference of a member.
pub fn owner(name: &str, uid: &Uid) -> OwnerReference {
    OwnerReference {
        api_version: GROUP_SNAPSHOT_API_VERSION.to_owned(),
        kind: VOLUME_GROUP_SNAPSHOT.kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_string(),
        ..OwnerReference::default()
    }
}

fn status_fields(handle: &str, member: &GroupMember) -> Map<String, Value> {
    let fields = [
        ("snapshotHandle", Some(json!(&*member.snapshot_handle))),
        ("volumeGroupSnapshotHandle", Some(json!(handle))),
        ("creationTime", member.creation_time.map(|time| json!(time))),
        ("restoreSize", member.restore_size.map(|size| json!(size))),
        ("readyToUse", Some(json!(member.ready == Some(true)))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Whether a member's content does not say yet what the driver has for it.
pub fn needs_status(content: &SnapshotContent) -> bool {
    content.status.as_ref().is_none_or(|status| status.handle.is_none() && status.error.is_none())
}
