//! The words for one snapshot and for a group: names in the API, and texts that users, alerts and test suites know
//! (sheet 5, 8).

use std::fmt::Display;

use sidecar_core::go_text::quote;
use sidecar_core::secret_reference::Keys;
use snapshot_api::names::{annotations, finalizers, parameters};

/// The words for one kind of content.
#[derive(Debug)]
pub struct Words {
    /// The annotation that stands while a call to take the snapshot may be under way.
    pub being_created: &'static str,
    /// Our finalizer.
    pub finalizer: &'static str,
    /// Where a class names the secret for looking at snapshots.
    pub look_secret: Keys,
    /// The token of that secret's templates, which stands for the content's name.
    pub name_token: &'static str,
    /// The kind and group of its class, as the API server's messages have them.
    pub class_resource: &'static str,
    /// Name of the queue in metrics.
    pub queue: &'static str,
    /// Reason of the event when the first try to take a snapshot fails.
    pub creation_failed: &'static str,
    /// Reason of the event when a later try or a look fails.
    pub check_failed: &'static str,
    /// Reason of the event when a deletion fails.
    pub delete_failed: &'static str,
    /// Parameters with names that the driver gets: of the user's object, its namespace, the content.
    pub metadata: [&'static str; 3],
    /// `snapshot`, `group snapshot`.
    noun: &'static str,
    /// The same with a capital.
    title: &'static str,
    /// The content, in most texts.
    content: &'static str,
    /// The content, in the text about the annotation that could not be taken off.
    unmarked: &'static str,
    /// The annotation, in texts.
    mark: &'static str,
    /// The handle, where one to look at is missing.
    handle: &'static str,
    /// The handle, where one to delete is missing.
    delete_handle: &'static str,
}

/// For one snapshot.
pub static SINGLE: Words = Words {
    being_created: annotations::BEING_CREATED,
    finalizer: finalizers::CONTENT_BOUND,
    look_secret: Keys {
        title: "SnapshotterList",
        name: parameters::LIST_SECRET_NAME,
        namespace: parameters::LIST_SECRET_NAMESPACE,
        deprecated: None,
    },
    name_token: "volumesnapshotcontent.name",
    class_resource: "volumesnapshotclass.snapshot.storage.k8s.io",
    queue: "csi-snapshotter-content",
    creation_failed: "SnapshotCreationFailed",
    check_failed: "SnapshotContentCheckandUpdateFailed",
    delete_failed: "SnapshotDeleteError",
    metadata: [parameters::SNAPSHOT_NAME, parameters::SNAPSHOT_NAMESPACE, parameters::CONTENT_NAME],
    noun: "snapshot",
    title: "Snapshot",
    content: "content",
    unmarked: "content",
    mark: "VolumeSnapshotBeingCreated",
    handle: "snapshotHandle",
    delete_handle: "snapshotHandle",
};

/// For a group.
pub static GROUP: Words = Words {
    being_created: annotations::GROUP_BEING_CREATED,
    finalizer: finalizers::GROUP_CONTENT_BOUND,
    look_secret: Keys {
        title: "GroupSnapshotterGet",
        name: parameters::GROUP_GET_SECRET_NAME,
        namespace: parameters::GROUP_GET_SECRET_NAMESPACE,
        deprecated: None,
    },
    name_token: "volumegroupsnapshotcontent.name",
    class_resource: "volumegroupsnapshotclass.groupsnapshot.storage.k8s.io",
    queue: "csi-snapshotter-groupsnapshotcontent",
    creation_failed: "GroupSnapshotCreationFailed",
    check_failed: "GroupSnapshotContentCheckandUpdateFailed",
    delete_failed: "GroupSnapshotDeleteError",
    metadata: [parameters::GROUP_NAME, parameters::GROUP_NAMESPACE, parameters::GROUP_CONTENT_NAME],
    noun: "group snapshot",
    title: "Group snapshot",
    content: "group snapshot content",
    unmarked: "groupSnapshotContent",
    mark: "VolumeGroupSnapshotBeingCreated",
    handle: "groupSnapshotHandle",
    delete_handle: "groupsnapshotHandle",
};

/// Message of the event about missing credentials for a deletion.
pub(crate) const NO_CREDENTIALS: &str = "Failed to get snapshot credentials";
/// Message of the event about a status that could not be emptied after a deletion.
pub(crate) const NOT_CLEARED: &str = "Failed to clear content status";

impl Words {
    // ---- first words of what is reported ----

    /// Of a failed first try.
    pub fn creation_prefix(&self) -> String {
        format!("Failed to create {}: ", self.noun)
    }

    /// Of a failed later try or look.
    pub fn check_prefix(&self) -> String {
        format!("Failed to check and update {} content: ", self.noun)
    }

    /// Of a failed deletion; alone it is the message of its event.
    pub fn delete_prefix(&self) -> String {
        format!("Failed to delete {}", self.noun)
    }

    // ---- taking ----

    pub(crate) fn no_inputs(&self, name: &str, error: &str) -> String {
        let Self { noun, content, .. } = self;
        format!("failed to get input parameters to create {noun} for {content} {name}: {}", quote(error))
    }

    pub(crate) fn no_class(&self, name: &str) -> String {
        let Self { noun, .. } = self;
        format!("failed to take {noun} {name} without a {noun} class")
    }

    pub(crate) fn class_not_found(&self, class: &str) -> String {
        format!("{} {} not found", self.class_resource, quote(class))
    }

    pub(crate) fn unbound(&self, name: &str) -> String {
        let Self { noun, title, .. } = self;
        format!("cannot create {noun}. {title} content {name} not bound to a {noun}")
    }

    pub(crate) fn not_marked(&self, name: &str, error: impl Display) -> String {
        let Self { mark, content, .. } = self;
        format!("failed to add {mark} annotation on the {content} {name}: {}", quote(&error.to_string()))
    }

    pub(crate) fn not_unmarked(&self, name: &str, error: impl Display) -> String {
        let Self { mark, unmarked, .. } = self;
        format!("failed to remove {mark} annotation on the {unmarked} {name}: {}", quote(&error.to_string()))
    }

    pub(crate) fn not_unmarked_after_error(&self, name: &str, error: impl Display) -> String {
        let Self { mark, content, .. } = self;
        format!("failed to remove {mark} annotation from the {content} {name}: {error}")
    }

    pub(crate) fn not_taken(&self, volumes: &str, error: &str) -> String {
        format!("failed to take {} of the {volumes}: {}", self.noun, quote(error))
    }

    pub(crate) fn status_not_updated(&self, name: &str, error: impl Display) -> String {
        format!("error updating status for volume {} content {name}: {error}", self.noun)
    }

    // ---- looking ----

    pub(crate) fn no_look_class(&self, class: &str, name: &str, error: &str) -> String {
        let Self { noun, .. } = self;
        format!("failed to get {noun} class {class} for {noun} content {name}: {error}")
    }

    pub(crate) fn no_look_secret(&self, name: &str, error: impl Display) -> String {
        format!("failed to get secret reference for {} content {name}: {error}", self.noun)
    }

    pub(crate) fn no_look_credentials(&self, name: &str, error: impl Display) -> String {
        format!("failed to get credentials for {} content {name}: {error}", self.noun)
    }

    pub(crate) fn no_member_credentials(&self, name: &str, error: impl Display) -> String {
        format!("failed to get credentials from annotation for {} content {name}: {error}", self.noun)
    }

    pub(crate) fn not_listed(&self, name: &str, error: &str) -> String {
        let Self { noun, content, .. } = self;
        format!("failed to list {noun} for {content} {name}: {}", quote(error))
    }

    pub(crate) fn nothing_to_list(&self, name: &str) -> String {
        let Self { noun, content, handle, .. } = self;
        format!("failed to list {noun} for {content} {name}: {handle} is missing")
    }

    // ---- deleting ----

    pub(crate) fn no_delete_inputs(&self, name: &str, error: &str) -> String {
        let Self { noun, content, .. } = self;
        format!("failed to get input parameters to delete {noun} for {content} {name}: {}", quote(error))
    }

    pub(crate) fn nothing_to_delete(&self, name: &str) -> String {
        format!("failed to delete {} content {name}: {} is missing", self.noun, self.delete_handle)
    }

    pub(crate) fn not_deleted(&self, name: &str, error: &str) -> String {
        format!("failed to delete {} {}, err: {error}", self.noun, quote(name))
    }

    // ---- credentials of the annotations ----

    pub(crate) fn half_a_secret(&self, name: &str) -> String {
        let name = quote(name);
        format!(
            "cannot retrieve secrets for {} content {name}, err: secret name or namespace not specified",
            self.noun
        )
    }

    pub(crate) fn no_secret(&self, name: &str) -> String {
        format!("cannot get credentials for {} content {}", self.noun, quote(name))
    }
}
