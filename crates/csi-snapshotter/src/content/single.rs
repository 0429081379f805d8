//! The content of one snapshot.

use sidecar_core::objects::{ContentIndex, Finalizers, SnapshotClass, SnapshotContent};

use super::{Class, Content, SINGLE, Status, View, Words};

impl Content for SnapshotContent {
    type Class = SnapshotClass;
    const WORDS: &'static Words = &SINGLE;
    const BY_CLASS: ContentIndex = ContentIndex::Class;

    fn view(&self) -> View<'_> {
        View {
            meta: &self.meta,
            driver: &self.driver,
            class: self.class.as_ref(),
            policy: self.policy,
            snapshot: &self.snapshot,
            secret: &self.secret,
            managed_by: self.managed_by.as_ref(),
            being_created: self.being_created,
            being_deleted: self.being_deleted,
            is_member: self.is_member,
            is_dynamic: self.volume_handle.is_some(),
            given: self.snapshot_handle.as_deref(),
            status: self.status.as_ref().map(|status| Status {
                handle: status.handle.as_deref(),
                ready: status.ready,
                error: status.error.as_ref().map(|error| &*error.message),
                in_group: status.group_handle.is_some(),
            }),
        }
    }

    fn of_others(&self) -> Self {
        let mut rest = Self { status: None, being_created: false, ..self.clone() };
        rest.meta.resource_version = 0;
        rest.meta.finalizers = Finalizers::default();
        rest
    }
}

impl Class for SnapshotClass {
    fn class(&self) -> &SnapshotClass {
        self
    }
}
