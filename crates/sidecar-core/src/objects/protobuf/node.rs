//! Node, CSINode and Pod.

use super::Type::{Inline, Int, Message, Messages, Text, TextMap, Texts, Time};
use super::meta::OBJECT_META;
use super::{Shape, field, kept};

/// `Node`.
pub(in super::super) static NODE: Shape = Shape { fields: &[field(1, "metadata", Message(&NODE_META))] };

/// `ObjectMeta`, as far as nodes need it.
static NODE_META: Shape = Shape {
    fields: &[
        field(1, "name", Text),
        field(5, "uid", Text),
        field(6, "resourceVersion", Text),
        field(9, "deletionTimestamp", Time),
        field(11, "labels", TextMap),
        field(14, "finalizers", Texts),
    ],
};

/// `CSINode`.
pub(in super::super) static CSI_NODE: Shape = Shape {
    fields: &[field(1, "metadata", Message(&OBJECT_META)), field(2, "spec", Message(&CSI_NODE_SPEC))],
};

/// `CSINodeSpec`.
static CSI_NODE_SPEC: Shape = Shape { fields: &[field(1, "drivers", Messages(&CSI_NODE_DRIVER))] };

/// `CSINodeDriver`.
static CSI_NODE_DRIVER: Shape = Shape {
    fields: &[
        field(1, "name", Text),
        field(2, "nodeID", Text),
        field(3, "topologyKeys", Texts),
        field(4, "allocatable", Message(&NODE_RESOURCES)),
    ],
};

/// `VolumeNodeResources`.
static NODE_RESOURCES: Shape = Shape { fields: &[kept(1, "count", Int)] };

/// `Pod`.
pub(in super::super) static POD: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "spec", Message(&POD_SPEC)),
        field(3, "status", Message(&POD_STATUS)),
    ],
};

/// `PodSpec`.
static POD_SPEC: Shape = Shape { fields: &[field(1, "volumes", Messages(&POD_VOLUME))] };

/// `PodStatus`.
static POD_STATUS: Shape = Shape { fields: &[field(1, "phase", Text)] };

/// `Volume`.
static POD_VOLUME: Shape =
    Shape { fields: &[field(1, "name", Text), field(2, "", Inline(&POD_VOLUME_SOURCE))] };

/// `VolumeSource`.
static POD_VOLUME_SOURCE: Shape = Shape {
    fields: &[
        field(10, "persistentVolumeClaim", Message(&CLAIM_SOURCE)),
        field(29, "ephemeral", Message(&EPHEMERAL_SOURCE)),
    ],
};

/// `PersistentVolumeClaimVolumeSource`.
static CLAIM_SOURCE: Shape = Shape { fields: &[field(1, "claimName", Text)] };

/// `EphemeralVolumeSource`, of which only its being there is read.
static EPHEMERAL_SOURCE: Shape = Shape { fields: &[] };
