//! The content of a group of snapshots.

use sidecar_core::objects::{Finalizers, GroupContent, GroupContentIndex, GroupSnapshotClass, SnapshotClass};

use super::{Class, Content, GROUP, Status, View, Words};

impl Content for GroupContent {
    type Class = GroupSnapshotClass;
    const WORDS: &'static Words = &GROUP;
    const BY_CLASS: GroupContentIndex = GroupContentIndex::Class;

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
            is_member: false,
            is_dynamic: !self.volume_handles.is_empty(),
            given: self.handles.as_ref().map(|handles| &*handles.group),
            status: self.status.as_ref().map(|status| Status {
                handle: status.handle.as_deref(),
                ready: status.ready,
                error: status.error.as_ref().map(|error| &*error.message),
                in_group: false,
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

impl Class for GroupSnapshotClass {
    fn class(&self) -> &SnapshotClass {
        &self.0
    }
}
