//! Schemas of the kinds for group snapshots. `v1` and `v1beta2` are the same; `v1beta1` knows fewer rules and another list of
//! members.

use super::Rule::{ExactlyOne, Immutable, KeepsObject, KeepsUid, NamesObject, NotEmpty, RequiredOnceSet};
use super::schema::{Property, Schema, flag, integer, list, object, optional, required, text, time};
use super::shared::{deletion_policy, error, label_selector, reference, whole};
use super::snapshot::class_members;

/// Which generation of the group kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// `v1` and `v1beta2`.
    Current,
    /// `v1beta1`.
    First,
}

impl Age {
    /// `schema`, which stays as it is once it is set, except in the first version.
    fn fixed(self, schema: Schema, message: &'static str) -> Schema {
        match self {
            Self::Current => schema.rules([Immutable(message)]),
            Self::First => schema,
        }
    }
}

/// VolumeGroupSnapshot.
pub(super) fn snapshot(age: Age) -> Schema {
    let source = object(
        "Where the group comes from: claims to take snapshots of, or a content that stands for a group which exists. One \
         of the two must be set, and what is set stays as it is.",
        [
            optional(
                "selector",
                label_selector(
                    "The claims, by their labels, in the namespace of this object, whose volumes snapshots are taken of, \
                     all at one point in time. What is chosen once does not change when labels do.",
                )
                .atomic()
                .rules([Immutable("selector is immutable")]),
            ),
            optional(
                "volumeGroupSnapshotContentName",
                text("The VolumeGroupSnapshotContent that stands for a group which exists already.")
                    .rules([Immutable("volumeGroupSnapshotContentName is immutable")]),
            ),
        ],
    )
    .rules([
        RequiredOnceSet("selector"),
        RequiredOnceSet("volumeGroupSnapshotContentName"),
        ExactlyOne("selector", "volumeGroupSnapshotContentName"),
    ]);
    let spec = object(
        "What is wanted.",
        [
            required("source", source),
            optional(
                "volumeGroupSnapshotClassName",
                text(
                    "The VolumeGroupSnapshotClass to use. If absent, the default class of the volumes' driver is taken; \
                     if there is none, or more than one, nothing is created.",
                )
                .rules([NotEmpty("volumeGroupSnapshotClassName")]),
            ),
        ],
    );
    whole(
        "A user's wish for snapshots of several volumes at the same point in time, or for the use of a group that \
         exists.",
        [required("spec", spec), optional("status", snapshot_status(age))],
    )
}

fn snapshot_status(age: Age) -> Schema {
    let bound = text("The VolumeGroupSnapshotContent that belongs to this group. Absent until one does.");
    object(
        "What there is. Before use, check that the content named here names this group in turn.",
        [
            optional(
                "boundVolumeGroupSnapshotContentName",
                age.fixed(bound, "boundVolumeGroupSnapshotContentName is immutable once set"),
            ),
            optional(
                "creationTime",
                time("The point in time whose data the group holds, as the driver tells."),
            ),
            optional("error", error("The last thing that went wrong while the group was made or bound.")),
            optional(
                "readyToUse",
                flag("Whether volumes can be restored from every member now. Absent if nobody knows."),
            ),
        ],
    )
}

/// VolumeGroupSnapshotContent.
pub(super) fn content(age: Age) -> Schema {
    let class = text(
        "The VolumeGroupSnapshotClass that the group was made with. The class may have been deleted or replaced since.",
    );
    let driver = text("The CSI driver that has the group, by the name it tells itself.");
    let spec = object(
        "What this object stands for.",
        [
            required(
                "deletionPolicy",
                deletion_policy(
                    "Whether the driver's group is deleted when the VolumeGroupSnapshot is: Delete, or Retain, which \
                     keeps this object, too.",
                ),
            ),
            required("driver", age.fixed(driver, "driver is immutable once set")),
            required("source", content_source()),
            optional(
                "volumeGroupSnapshotClassName",
                age.fixed(class, "volumeGroupSnapshotClassName is immutable once set"),
            ),
            required("volumeGroupSnapshotRef", content_reference(age)),
        ],
    );
    whole(
        "A group of snapshots as its driver has it; the other half of a VolumeGroupSnapshot.",
        [required("spec", spec), optional("status", content_status(age))],
    )
}

fn content_source() -> Schema {
    let handles = object(
        "The driver's names of a group that exists already.",
        [
            required("volumeGroupSnapshotHandle", text("What the driver calls the group.")),
            required(
                "volumeSnapshotHandles",
                list("What the driver calls the members of the group.", text("")),
            ),
        ],
    );
    object(
        "Where the group comes from: volumes to take snapshots of, or a group that the driver has. One of the two must be \
         set, and what is set stays as it is.",
        [
            optional("groupSnapshotHandles", handles.rules([Immutable("groupSnapshotHandles is immutable")])),
            optional(
                "volumeHandles",
                list("What the driver calls the volumes that snapshots are taken of.", text(""))
                    .rules([Immutable("volumeHandles is immutable")]),
            ),
        ],
    )
    .rules([
        RequiredOnceSet("volumeHandles"),
        RequiredOnceSet("groupSnapshotHandles"),
        ExactlyOne("volumeHandles", "groupSnapshotHandles"),
    ])
}

fn content_reference(age: Age) -> Schema {
    const NAME: &str = "volumeGroupSnapshotRef";
    let fixed = match age {
        Age::Current => vec![KeepsObject(NAME), KeepsUid(NAME)],
        Age::First => Vec::new(),
    };
    reference(
        "The VolumeGroupSnapshot that this object belongs to. It must name this object in turn; for a group that exists \
         already, name and namespace are enough until it is bound.",
    )
    .atomic()
    .rules([NamesObject(NAME)])
    .rules(fixed)
}

fn content_status(age: Age) -> Schema {
    let handle = text("What the driver calls the group. Absent until it is made.");
    object(
        "What the driver tells of the group.",
        [
            optional("creationTime", time("The point in time whose data the group holds.")),
            optional("error", error("The last thing that went wrong while the group was made.")),
            optional(
                "readyToUse",
                flag("Whether volumes can be restored from every member now. Absent if nobody knows."),
            ),
            optional(
                "volumeGroupSnapshotHandle",
                age.fixed(handle, "volumeGroupSnapshotHandle is immutable once set"),
            ),
            match age {
                Age::Current => members(),
                Age::First => pairs(),
            },
        ],
    )
}

/// The list of members.
fn members() -> Property {
    let member = object(
        "A snapshot of the group.",
        [
            optional(
                "creationTime",
                integer("The point in time whose data the snapshot holds, in nanoseconds since 1970."),
            ),
            optional(
                "readyToUse",
                flag("Whether a volume could be restored from the snapshot when it was listed."),
            ),
            optional(
                "restoreSize",
                integer("The least size in bytes of a volume that is restored from the snapshot."),
            ),
            optional("snapshotHandle", text("What the driver calls the snapshot.")),
            optional(
                "volumeHandle",
                text("What the driver calls the volume that the snapshot was taken of."),
            ),
        ],
    );
    optional("volumeSnapshotInfoList", list("The snapshots of the group, as the driver listed them.", member))
}

/// The list of members in the first version.
fn pairs() -> Property {
    let pair = object(
        "A snapshot of the group.",
        [
            required("snapshotHandle", text("What the driver calls the snapshot.")),
            required(
                "volumeHandle",
                text("What the driver calls the volume that the snapshot was taken of."),
            ),
        ],
    );
    optional("volumeSnapshotHandlePairList", list("The snapshots of the group and their volumes.", pair))
}

/// VolumeGroupSnapshotClass.
pub(super) fn class(age: Age) -> Schema {
    let members = class_members(
        "What is written into the contents of groups of this class: Delete has the driver delete its group with the \
         user's, Retain keeps it.",
    );
    let fixed = members.map(|member| {
        let message = match member.name {
            "deletionPolicy" => "deletionPolicy is immutable once set",
            "driver" => "driver is immutable once set",
            _ => "parameters are immutable once set",
        };
        Property { schema: age.fixed(member.schema, message), ..member }
    });
    whole(
        "How group snapshots are made: by which driver, with which parameters, and what becomes of them. Classes are for \
         the whole cluster; one of them may be its driver's default.",
        fixed,
    )
}
