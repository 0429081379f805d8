//! Schemas of the kinds for single snapshots.

use super::Rule::{ExactlyOne, Immutable, NamesObject, NotEmpty, RequiredOnceSet};
use super::schema::{Schema, Shape, flag, integer, object, optional, required, text, texts, time};
use super::shared::{deletion_policy, error, reference, whole};

/// `v1beta1` has neither rules, nor metadata in its schema, nor the fields that came later.
fn first_version(current: Schema, newer: &[&str]) -> Schema {
    without(current, newer).plain()
}

/// Drops members by name at any depth.
fn without(mut schema: Schema, names: &[&str]) -> Schema {
    if let Shape::Object(members) = &mut schema.shape {
        members.retain(|member| !names.contains(&member.name));
        for member in members {
            member.schema = without(member.schema.clone(), names);
        }
    }
    schema
}

pub(super) fn snapshot_v1beta1() -> Schema {
    first_version(snapshot(), &["metadata", "volumeGroupSnapshotName"])
}

pub(super) fn content_v1beta1() -> Schema {
    first_version(content(), &["metadata", "sourceVolumeMode", "volumeGroupSnapshotHandle"])
}

pub(super) fn class_v1beta1() -> Schema {
    first_version(class(), &["metadata"])
}

/// VolumeSnapshot.
pub(super) fn snapshot() -> Schema {
    let source = object(
        "Where the snapshot comes from: a claim to take it of, or a content that stands for one which exists. One of \
         the two must be set, and what is set stays as it is.",
        [
            optional(
                "persistentVolumeClaimName",
                text("The claim, in the namespace of this object, whose volume a snapshot is taken of.")
                    .rules([Immutable("persistentVolumeClaimName is immutable")]),
            ),
            optional(
                "volumeSnapshotContentName",
                text("The VolumeSnapshotContent that stands for a snapshot which exists already.")
                    .rules([Immutable("volumeSnapshotContentName is immutable")]),
            ),
        ],
    )
    .rules([
        RequiredOnceSet("persistentVolumeClaimName"),
        RequiredOnceSet("volumeSnapshotContentName"),
        ExactlyOne("volumeSnapshotContentName", "persistentVolumeClaimName"),
    ]);
    let spec = object(
        "What is wanted.",
        [
            required("source", source),
            optional(
                "volumeSnapshotClassName",
                text(
                    "The VolumeSnapshotClass to use. If absent, the default class of the volume's driver is taken; if \
                     there is none, or more than one, nothing is created.",
                )
                .rules([NotEmpty("volumeSnapshotClassName")]),
            ),
        ],
    );
    whole(
        "A user's wish for a snapshot of a volume at one point in time, or for the use of a snapshot that exists.",
        [required("spec", spec), optional("status", snapshot_status())],
    )
}

fn snapshot_status() -> Schema {
    object(
        "What there is. Before use, check that the content named here names this snapshot in turn.",
        [
            optional(
                "boundVolumeSnapshotContentName",
                text("The VolumeSnapshotContent that belongs to this snapshot. Absent until one does."),
            ),
            optional(
                "creationTime",
                time("The point in time whose data the snapshot holds, as the driver tells."),
            ),
            optional("error", error("The last thing that went wrong while the snapshot was made or bound.")),
            optional(
                "readyToUse",
                flag("Whether a volume can be restored from the snapshot now. Absent if nobody knows."),
            ),
            optional(
                "restoreSize",
                Schema::new(
                    "The least size of a volume that is restored from the snapshot, if the driver tells. A claim that \
                     asks for less is not satisfied.",
                    Shape::Quantity,
                ),
            ),
            optional(
                "volumeGroupSnapshotName",
                text("The VolumeGroupSnapshot that this snapshot is a member of, if any."),
            ),
        ],
    )
}

/// VolumeSnapshotContent.
pub(super) fn content() -> Schema {
    let source = object(
        "Where the snapshot comes from: a volume to take it of, or a snapshot that the driver has. One of the two must \
         be set, and what is set stays as it is.",
        [
            optional(
                "snapshotHandle",
                text("What the driver calls the snapshot that exists already.")
                    .rules([Immutable("snapshotHandle is immutable")]),
            ),
            optional(
                "volumeHandle",
                text("What the driver calls the volume that a snapshot is taken of.")
                    .rules([Immutable("volumeHandle is immutable")]),
            ),
        ],
    )
    .rules([
        RequiredOnceSet("volumeHandle"),
        RequiredOnceSet("snapshotHandle"),
        ExactlyOne("volumeHandle", "snapshotHandle"),
    ]);
    let spec = object(
        "What this object stands for.",
        [
            required(
                "deletionPolicy",
                deletion_policy(
                    "Whether the driver's snapshot is deleted when the VolumeSnapshot is: Delete, or Retain, which keeps \
                     this object, too.",
                ),
            ),
            required("driver", text("The CSI driver that has the snapshot, by the name it tells itself.")),
            required("source", source),
            optional(
                "sourceVolumeMode",
                text(
                    "The mode of the volume that the snapshot was taken of, Filesystem or Block. If absent, it is not \
                     known.",
                )
                .rules([Immutable("sourceVolumeMode is immutable")]),
            ),
            optional(
                "volumeSnapshotClassName",
                text(
                    "The VolumeSnapshotClass that the snapshot was made with. The class may have been deleted or \
                     replaced since.",
                ),
            ),
            required(
                "volumeSnapshotRef",
                reference(
                    "The VolumeSnapshot that this object belongs to. It must name this object in turn; for a snapshot \
                     that exists already, name and namespace are enough until it is bound.",
                )
                .atomic()
                .rules([NamesObject("spec.volumeSnapshotRef")]),
            ),
        ],
    )
    .rules([RequiredOnceSet("sourceVolumeMode")]);
    whole(
        "A snapshot as its driver has it; the other half of a VolumeSnapshot.",
        [required("spec", spec), optional("status", content_status())],
    )
}

fn content_status() -> Schema {
    object(
        "What the driver tells of the snapshot.",
        [
            optional(
                "creationTime",
                integer("The point in time whose data the snapshot holds, in nanoseconds since 1970."),
            ),
            optional("error", error("The last thing that went wrong while the snapshot was made.")),
            optional(
                "readyToUse",
                flag("Whether a volume can be restored from the snapshot now. Absent if nobody knows."),
            ),
            optional(
                "restoreSize",
                Schema::new(
                    "The least size in bytes of a volume that is restored from the snapshot, if the driver tells.",
                    Shape::Integer { minimum: Some(0) },
                ),
            ),
            optional("snapshotHandle", text("What the driver calls the snapshot. Absent until it is made.")),
            optional(
                "volumeGroupSnapshotHandle",
                text("What the driver calls the group that the snapshot is a member of, if any."),
            ),
        ],
    )
}

/// VolumeSnapshotClass.
pub(super) fn class() -> Schema {
    whole(
        "How snapshots are made: by which driver, with which parameters, and what becomes of them. Classes are for the \
         whole cluster; one of them may be its driver's default.",
        class_members(
            "What is written into the contents of snapshots of this class: Delete has the driver delete its snapshot \
             with the user's, Retain keeps it.",
        ),
    )
}

/// The members of both kinds of classes.
pub(super) fn class_members(policy: &'static str) -> [super::Property; 3] {
    [
        required("deletionPolicy", deletion_policy(policy)),
        required("driver", text("The CSI driver in charge, by the name it tells itself.")),
        optional(
            "parameters",
            texts(
                "What the driver is told besides, and which Secrets it is given. Only the driver knows what its \
                 parameters mean.",
            ),
        ),
    ]
}
