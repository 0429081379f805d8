//! The PersistentVolume that is saved for a volume, field by field as sheet 5.3.1 has it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeSpec, SecretReference,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidecar_core::objects::Class;
use sidecar_core::quantity;

use super::migration;
use super::names::{
    DELETION_SECRET_NAME, DELETION_SECRET_NAMESPACE, IDENTITY_ATTRIBUTE, MODIFY_SECRET_NAME,
    MODIFY_SECRET_NAMESPACE, PROVISIONED_BY, VOLUME_FINALIZER,
};
use super::prepare::{Inputs, Plan, attributes_class_name};
use super::secrets::SecretRef;
use super::wish::is_read_only_many;

/// A volume as the driver made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    /// The driver's name for it.
    pub volume_id: String,
    /// Bytes it holds.
    pub capacity: i64,
    /// What the node side of the driver needs to know.
    pub context: BTreeMap<String, String>,
}

/// The object for a volume that was made after `plan`.
pub(crate) fn build(inputs: &Inputs<'_>, class: &Class, plan: &Plan, created: Created) -> PersistentVolume {
    let capacity = Quantity(quantity::binary_si(created.capacity));
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(plan.wish.name.clone()),
            annotations: Some(annotations(class, plan)),
            finalizers: Some(vec![VOLUME_FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: Some(inputs.claim.access_modes.iter().map(str::to_owned).collect()),
            mount_options: non_empty(&class.mount_options),
            capacity: Some([("storage".to_owned(), capacity)].into()),
            persistent_volume_reclaim_policy: class.reclaim.map(|policy| policy.as_str().to_owned()),
            storage_class_name: Some(inputs.claim.class.as_deref().unwrap_or_default().to_owned()),
            volume_mode: inputs.claim.volume_mode.map(|mode| mode.as_str().to_owned()),
            claim_ref: Some(claim_reference(inputs)),
            volume_attributes_class_name: attributes_class_name(inputs.settings, inputs.claim)
                .map(str::to_owned),
            csi: Some(csi_source(inputs, plan, created.volume_id, created.context)),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn annotations(class: &Class, plan: &Plan) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(PROVISIONED_BY.to_owned(), class.provisioner.to_string())]);
    let (name, namespace) = match &plan.provisioner_secret {
        Some(secret) => (secret.name.clone(), secret.namespace.clone()),
        None => (String::new(), String::new()),
    };
    annotations.insert(DELETION_SECRET_NAME.to_owned(), name);
    annotations.insert(DELETION_SECRET_NAMESPACE.to_owned(), namespace);
    if let Some(secret) = &plan.references.controller_modify {
        annotations.insert(MODIFY_SECRET_NAME.to_owned(), secret.name.clone());
        annotations.insert(MODIFY_SECRET_NAMESPACE.to_owned(), secret.namespace.clone());
    }
    annotations
}

fn claim_reference(inputs: &Inputs<'_>) -> ObjectReference {
    let meta = &inputs.claim.meta;
    ObjectReference {
        kind: Some("PersistentVolumeClaim".to_owned()),
        api_version: Some("v1".to_owned()),
        namespace: meta.namespace.as_deref().map(str::to_owned),
        name: Some(meta.name.to_string()),
        uid: Some(meta.uid.to_string()),
        resource_version: Some(meta.resource_version.to_string()),
        ..ObjectReference::default()
    }
}

fn csi_source(
    inputs: &Inputs<'_>,
    plan: &Plan,
    handle: String,
    context: BTreeMap<String, String>,
) -> CSIPersistentVolumeSource {
    let mut attributes = BTreeMap::from([(IDENTITY_ATTRIBUTE.to_owned(), inputs.settings.identity.clone())]);
    attributes.extend(context);
    let read_only = inputs.settings.controller_publish_readonly && is_read_only_many(&plan.wish.capabilities);
    let references = &plan.references;
    CSIPersistentVolumeSource {
        driver: inputs.driver.names.name().to_owned(),
        volume_handle: handle,
        read_only: read_only.then_some(true),
        fs_type: Some(plan.fs_type.clone()).filter(|fs_type| !fs_type.is_empty()),
        volume_attributes: Some(attributes),
        controller_publish_secret_ref: reference(references.controller_publish.as_ref()),
        node_stage_secret_ref: reference(references.node_stage.as_ref()),
        node_publish_secret_ref: reference(references.node_publish.as_ref()),
        controller_expand_secret_ref: reference(references.controller_expand.as_ref()),
        node_expand_secret_ref: reference(references.node_expand.as_ref()),
    }
}

fn reference(secret: Option<&SecretRef>) -> Option<SecretReference> {
    secret.map(|secret| SecretReference {
        name: Some(secret.name.clone()),
        namespace: Some(secret.namespace.clone()),
    })
}

fn non_empty(options: &[Box<str>]) -> Option<Vec<String>> {
    (!options.is_empty()).then(|| options.iter().map(ToString::to_string).collect())
}

/// What a volume under our name turned out to be, when saving ours was answered with AlreadyExists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Our own, saved by an earlier attempt.
    Ours,
    /// Someone else's: it must neither be overwritten nor deleted.
    Foreign,
}

/// Compares driver, handle and claim of what is there with what was to be saved (sheet 13.16).
pub(crate) fn occupant(found: &PersistentVolume, ours: &PersistentVolume) -> Occupant {
    if identity(found).is_some_and(|found| Some(found) == identity(ours)) {
        Occupant::Ours
    } else {
        Occupant::Foreign
    }
}

/// Driver and handle, and UID of the claim.
fn identity(volume: &PersistentVolume) -> Option<((String, String), &str)> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some((migration::identity(volume)?, claim.uid.as_deref()?))
}
