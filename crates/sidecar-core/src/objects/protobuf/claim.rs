//! PersistentVolumeClaim.

use super::Type::{Message, Messages, QuantityMap, Text, TextMap, Texts, Time};
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::{Shape, field, kept};

/// `PersistentVolumeClaim`.
pub(in super::super) static CLAIM: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "spec", Message(&CLAIM_SPEC)),
        field(3, "status", Message(&CLAIM_STATUS)),
    ],
};

/// `PersistentVolumeClaimSpec`.
static CLAIM_SPEC: Shape = Shape {
    fields: &[
        field(1, "accessModes", Texts),
        field(2, "resources", Message(&RESOURCE_REQUIREMENTS)),
        field(3, "volumeName", Text),
        field(4, "selector", Message(&LABEL_SELECTOR)),
        kept(5, "storageClassName", Text),
        field(6, "volumeMode", Text),
        field(7, "dataSource", Message(&OBJECT_REFERENCE)),
        field(8, "dataSourceRef", Message(&OBJECT_REFERENCE)),
        field(9, "volumeAttributesClassName", Text),
    ],
};

/// `VolumeResourceRequirements`.
static RESOURCE_REQUIREMENTS: Shape = Shape { fields: &[field(2, "requests", QuantityMap)] };

/// `TypedObjectReference`, and `TypedLocalObjectReference`, which lacks the last field.
static OBJECT_REFERENCE: Shape = Shape {
    fields: &[
        kept(1, "apiGroup", Text),
        field(2, "kind", Text),
        field(3, "name", Text),
        kept(4, "namespace", Text),
    ],
};

/// `PersistentVolumeClaimStatus`.
static CLAIM_STATUS: Shape = Shape {
    fields: &[
        field(1, "phase", Text),
        field(3, "capacity", QuantityMap),
        field(4, "conditions", Messages(&CONDITION)),
        field(5, "allocatedResources", QuantityMap),
        field(7, "allocatedResourceStatuses", TextMap),
        kept(8, "currentVolumeAttributesClassName", Text),
        field(9, "modifyVolumeStatus", Message(&MODIFY_STATUS)),
    ],
};

/// `PersistentVolumeClaimCondition`.
static CONDITION: Shape = Shape {
    fields: &[
        field(1, "type", Text),
        field(2, "status", Text),
        field(3, "lastProbeTime", Time),
        field(4, "lastTransitionTime", Time),
        field(5, "reason", Text),
        field(6, "message", Text),
    ],
};

/// `ModifyVolumeStatus`.
static MODIFY_STATUS: Shape =
    Shape { fields: &[field(1, "targetVolumeAttributesClassName", Text), field(2, "status", Text)] };
