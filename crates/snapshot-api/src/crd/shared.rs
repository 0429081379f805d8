//! Parts that several kinds have in common.

use super::schema::{Property, Schema, Shape, list, object, optional, required, text, texts, time};

/// The first members of every object.
pub(super) fn types() -> [Property; 2] {
    [
        optional(
            "apiVersion",
            text(
                "Group and version of this representation. A server that knows newer ones may convert the object.",
            ),
        ),
        optional("kind", text("What this object is. It cannot be changed.")),
    ]
}

/// [`types`] and metadata, followed by `members`.
pub(super) fn whole(description: &'static str, members: impl IntoIterator<Item = Property>) -> Schema {
    let metadata = optional("metadata", Schema::new("", Shape::Metadata));
    Schema::new(description, Shape::Object(types().into_iter().chain([metadata]).chain(members).collect()))
}

/// What becomes of the driver's side.
pub(super) fn deletion_policy(description: &'static str) -> Schema {
    Schema::new(description, Shape::Choice(&["Delete", "Retain"]))
}

/// A reference to any object.
pub(super) fn reference(description: &'static str) -> Schema {
    object(
        description,
        [
            optional("apiVersion", text("Group and version of the object.")),
            optional("fieldPath", text("A part of the object, as a path to a field. Not used here.")),
            optional("kind", text("Kind of the object.")),
            optional("name", text("Name of the object.")),
            optional("namespace", text("Namespace of the object.")),
            optional("resourceVersion", text("The version of the object that the reference was made from.")),
            optional("uid", text("UID of the object. Without it, any object of this name is meant.")),
        ],
    )
}

/// The last error.
pub(super) fn error(description: &'static str) -> Schema {
    object(
        description,
        [
            optional(
                "message",
                text(
                    "What went wrong, in words. Whoever may read this object sees it, so it must hold no secrets.",
                ),
            ),
            optional("time", time("When it went wrong.")),
        ],
    )
}

/// Which claims are meant.
pub(super) fn label_selector(description: &'static str) -> Schema {
    let expression = object(
        "One condition about one label.",
        [
            required("key", text("The label.")),
            required(
                "operator",
                text("How the label compares with the values: In, NotIn, Exists or DoesNotExist."),
            ),
            optional(
                "values",
                list(
                    "The values to compare with; none for Exists and DoesNotExist, at least one otherwise.",
                    text(""),
                )
                .atomic(),
            ),
        ],
    );
    object(
        description,
        [
            optional(
                "matchExpressions",
                list("Conditions about labels, all of which must hold.", expression).atomic(),
            ),
            optional("matchLabels", texts("Labels with their values, all of which must be there.")),
        ],
    )
}
