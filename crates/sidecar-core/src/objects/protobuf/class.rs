//! StorageClass and VolumeAttributesClass.

use super::Type::{Bool, Message, Messages, Text, TextMap, Texts};
use super::meta::OBJECT_META;
use super::{Shape, field};

/// `StorageClass`.
pub(in super::super) static CLASS: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "provisioner", Text),
        field(3, "parameters", TextMap),
        field(4, "reclaimPolicy", Text),
        field(5, "mountOptions", Texts),
        field(6, "allowVolumeExpansion", Bool),
        field(7, "volumeBindingMode", Text),
        field(8, "allowedTopologies", Messages(&TOPOLOGY_TERM)),
    ],
};

/// `TopologySelectorTerm`.
static TOPOLOGY_TERM: Shape =
    Shape { fields: &[field(1, "matchLabelExpressions", Messages(&TOPOLOGY_REQUIREMENT))] };

/// `TopologySelectorLabelRequirement`.
static TOPOLOGY_REQUIREMENT: Shape = Shape { fields: &[field(1, "key", Text), field(2, "values", Texts)] };

/// `VolumeAttributesClass`.
pub(in super::super) static ATTRIBUTES_CLASS: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "driverName", Text),
        field(3, "parameters", TextMap),
    ],
};
