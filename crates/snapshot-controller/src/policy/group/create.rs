//! The content that is made for a group (sheet 5.14), and the class that a group gets (5.12).

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidecar_core::cache::Store;
use sidecar_core::objects::{Claim, GroupSnapshot, Interned, Volume};
use snapshot_api::names::finalizers::GROUP_CONTENT_BOUND;
use snapshot_api::names::kinds::VOLUME_GROUP_SNAPSHOT;
use snapshot_api::v1::{
    VolumeGroupSnapshotContent, VolumeGroupSnapshotContentSource, VolumeGroupSnapshotContentSpec,
};

use super::{lookup, named};
use crate::policy::class::only_default;
use crate::policy::create::{in_charge, reference, written};
use crate::policy::source::{self, Taken};
use crate::policy::{GroupStores, Stores, node, secrets};

/// Why no content can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A text for an event of its own about it.
    pub event: Option<String>,
    /// The error.
    pub error: String,
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self { event: None, error }
    }
}

/// The volumes of claims, in their order.
pub fn volumes(claims: &[Arc<Claim>], stores: &Stores) -> Result<Vec<Arc<Volume>>, String> {
    claims.iter().map(|claim| source::volume(stores, claim, Taken::Group)).collect()
}

/// The default class of the driver of these volumes: of the first one's, as upstream has it; that they have no other is seen when the
/// content is made.
pub fn default_class(
    group: &GroupSnapshot,
    volumes: &[Arc<Volume>],
    stores: &GroupStores,
) -> Result<Interned, String> {
    let Some(driver) = volumes.first().and_then(|volume| volume.driver.as_ref()) else {
        let key = group.meta.key();
        return Err(format!("snapshotting non-CSI volumes is not supported, group snapshot:{key}"));
    };
    let classes = stores.classes.list();
    let none = "cannot find default group snapshot class";
    only_default(classes.iter().map(|class| &class.0), driver, none)
}

/// The content of a group of these claims.
pub fn plan(
    group: &GroupSnapshot,
    claims: Result<&[Arc<Claim>], String>,
    stores: &Stores,
    groups: &GroupStores,
) -> Result<VolumeGroupSnapshotContent, Failure> {
    let (name, key) = (&group.meta.name, group.meta.key());
    let inputs = |problem: String| {
        Failure::from(format!("failed to get input parameters to create group snapshot {name}: {problem:?}"))
    };
    let Some(class) = &group.class else {
        return Err(inputs(format!("failed to take group snapshot {name} without a group snapshot class")));
    };
    let class = &named(groups, class).map_err(inputs)?.0;
    let volumes = volumes(claims.map_err(inputs)?, stores).map_err(inputs)?;
    let content_name = lookup::made_name(group);
    let annotations = secrets::of_group(&class.parameters, &content_name, &group.meta).map_err(inputs)?;
    for volume in &volumes {
        check_driver(volume, &class.driver, &key.to_string())?;
    }
    let nodes = stores.nodes.as_ref().map(Store::list);
    let managed_by = nodes
        .and_then(|nodes| node::of_all(volumes.iter().map(AsRef::as_ref), nodes.iter().map(AsRef::as_ref)));
    Ok(VolumeGroupSnapshotContent {
        metadata: ObjectMeta {
            name: Some(content_name),
            annotations,
            labels: managed_by.as_ref().map(in_charge),
            finalizers: Some(vec![GROUP_CONTENT_BOUND.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: VolumeGroupSnapshotContentSpec {
            deletion_policy: written(class.policy),
            driver: class.driver.to_string(),
            source: VolumeGroupSnapshotContentSource {
                volume_handles: Some(volumes.iter().map(|volume| volume.handle.to_string()).collect()),
                group_snapshot_handles: None,
            },
            volume_group_snapshot_class_name: Some(class.meta.name.to_string()),
            volume_group_snapshot_ref: reference(&VOLUME_GROUP_SNAPSHOT, &group.meta),
        },
        ..VolumeGroupSnapshotContent::default()
    })
}

fn check_driver(volume: &Volume, class_driver: &str, key: &str) -> Result<(), Failure> {
    let name = &volume.meta.name;
    match volume.driver.as_deref() {
        Some(driver) if driver == class_driver => Ok(()),
        Some(driver) => {
            let text = format!(
                "Volume CSI driver ({driver}) mismatch with VolumeGroupSnapshotClass ({class_driver}) {key}: {name}"
            );
            let error = format!("snapshot controller failed to update {key} on API server: {text}");
            Err(Failure { event: Some(text), error })
        }
        None => Err(Failure {
            event: Some(format!("Cannot snapshot a non-CSI volume: {name}")),
            error: format!("cannot snapshot a non-CSI volume for group snapshot {key}: {name}"),
        }),
    }
}
