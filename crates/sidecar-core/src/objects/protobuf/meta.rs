//! `k8s.io.apimachinery.pkg.apis.meta.v1`.

use super::Type::{Int, Message, Messages, Text, TextMap, Texts, Time};
use super::{Shape, field};

/// `ObjectMeta`.
pub(super) static OBJECT_META: Shape = Shape {
    fields: &[
        field(1, "name", Text),
        field(3, "namespace", Text),
        field(5, "uid", Text),
        field(6, "resourceVersion", Text),
        field(9, "deletionTimestamp", Time),
        field(11, "labels", TextMap),
        field(12, "annotations", TextMap),
        field(13, "ownerReferences", Messages(&OWNER_REFERENCE)),
        field(14, "finalizers", Texts),
    ],
};

/// Any object of which only the metadata matters.
pub(crate) static BARE: Shape = Shape { fields: &[field(1, "metadata", Message(&OBJECT_META))] };

/// `OwnerReference`.
static OWNER_REFERENCE: Shape = Shape {
    fields: &[
        field(1, "kind", Text),
        field(3, "name", Text),
        field(4, "uid", Text),
        field(5, "apiVersion", Text),
    ],
};

/// `LabelSelector`, of which only its being there is read.
pub(super) static LABEL_SELECTOR: Shape = Shape { fields: &[] };

/// `Status`.
pub(crate) static STATUS: Shape = Shape {
    fields: &[
        field(2, "status", Text),
        field(3, "message", Text),
        field(4, "reason", Text),
        field(5, "details", Message(&STATUS_DETAILS)),
        field(6, "code", Int),
    ],
};

/// `StatusDetails`.
static STATUS_DETAILS: Shape = Shape {
    fields: &[
        field(1, "name", Text),
        field(2, "group", Text),
        field(3, "kind", Text),
        field(4, "causes", Messages(&STATUS_CAUSE)),
        field(5, "retryAfterSeconds", Int),
        field(6, "uid", Text),
    ],
};

/// `StatusCause`.
static STATUS_CAUSE: Shape =
    Shape { fields: &[field(1, "reason", Text), field(2, "message", Text), field(3, "field", Text)] };
