//! What a group needs next (sheet 5.12 to 5.14).
//!
//! The bond is protected before there is a content. Upstream protects it when it is there, whatever may have happened
//! between the two.

pub mod content;
pub mod create;
pub mod deletion;
pub mod lookup;
pub mod members;
pub mod selector;

use std::sync::Arc;

use sidecar_core::objects::{GroupContent, GroupSnapshot, GroupSnapshotClass};
use snapshot_api::names::finalizers::GROUP_BOUND;

use super::{GroupStores, Problem};
use crate::events::group as events;

/// The next thing to do about a group that is not being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Write down that it is protected, and its class if it names none. The class depends on the claims.
    Prepare {
        /// Whether it needs a class.
        class: bool,
        /// Whether it needs the finalizer.
        finalizer: bool,
    },
    /// Make its content, out of its claims.
    Create,
    /// Bind the content that was made by hand.
    Bind(Arc<GroupContent>),
    /// See that its members are there, then copy what the content says.
    MembersAndCopy(Arc<GroupContent>),
    /// Copy what the content says.
    Copy(Arc<GroupContent>),
    /// It is ready; an error about its class that is left in its status goes.
    ClearError,
    /// Something is wrong.
    Report(Problem),
    /// As [`Next::Report`], unless the API server knows of a content of this name that the caches have not shown yet.
    ReportUnlessThere(Box<str>, Problem),
    /// Something is wrong with the content, which leaves open how the group is to be protected.
    ReportUnprotected(Problem),
    /// Nothing.
    Settled,
}

/// What to do next.
pub fn next(group: &GroupSnapshot, stores: &GroupStores) -> Next {
    if group.selector.is_some() == group.content.is_some() {
        const MESSAGE: &str =
            "Exactly one of Selector and VolumeGroupSnapshotContentName should be specified";
        return Next::Report(Problem::unready(events::VALIDATION_ERROR, MESSAGE, MESSAGE));
    }
    let content = match lookup::own(group, stores) {
        Ok(content) => content,
        Err(problem) => return Next::ReportUnprotected(problem),
    };
    let settled = group.is_ready() && group.bound_content().is_some();
    let needs_class = !settled && content.is_none();
    if needs_class
        && let Some(name) = &group.class
        && let Err(error) = named(stores, name)
    {
        let message = format!("failed to get group snapshot class with error {error}");
        return Next::Report(Problem::keeping_readiness(events::GET_CLASS_FAILED, message, error));
    }
    let class = needs_class && group.class.is_none() && group.content.is_none();
    let protect = content.is_some() || (group.content.is_none() && !settled);
    let finalizer = protect && !group.meta.finalizers.has(GROUP_BOUND);
    if class || finalizer {
        return Next::Prepare { class, finalizer };
    }
    if settled { ready(group, stores) } else { unready(group, content) }
}

/// The class of that name.
pub fn named(stores: &GroupStores, name: &str) -> Result<Arc<GroupSnapshotClass>, String> {
    let missing = || format!("volumegroupsnapshotclass.groupsnapshot.storage.k8s.io {name:?} not found");
    stores.classes.get("", name).ok_or_else(missing)
}

/// Why a group that names no class gets none.
pub fn no_default(error: String) -> Problem {
    let message = format!("Failed to set default group snapshot class with error {error}");
    Problem::keeping_readiness(events::SET_DEFAULT_CLASS_FAILED, message, error)
}

fn ready(group: &GroupSnapshot, stores: &GroupStores) -> Next {
    let bound = group.bound_content().unwrap_or_default();
    let Some(content) = stores.contents.get("", bound) else {
        return Next::ReportUnlessThere(bound.into(), missing(None));
    };
    if !super::lookup::is_bound_to(&content.snapshot, &group.meta) {
        return Next::Report(Problem {
            reason: events::MISBOUND,
            message: events::MISBOUND_MESSAGE.to_owned(),
            unready: true,
            error: None,
        });
    }
    match group.status.as_ref().and_then(|status| status.error.as_ref()) {
        Some(error) if is_class_error(&error.message) => Next::ClearError,
        _ => Next::Settled,
    }
}

/// Whether an error in a status is about the class.
pub fn is_class_error(message: &str) -> bool {
    message.starts_with("failed to get group snapshot class with error ")
        || message.starts_with("Failed to set default group snapshot class with error ")
}

fn missing(error: Option<String>) -> Problem {
    Problem {
        reason: events::CONTENT_MISSING,
        message: events::CONTENT_MISSING_MESSAGE.to_owned(),
        unready: true,
        error,
    }
}

fn unready(group: &GroupSnapshot, content: Option<Arc<GroupContent>>) -> Next {
    let key = group.meta.key();
    match (content, &group.content) {
        (Some(content), Some(_)) if needs_binding(group, &content) => Next::Bind(content),
        (Some(content), None) if members::is_cut(&content) => Next::MembersAndCopy(content),
        (Some(content), _) => Next::Copy(content),
        (None, Some(name)) => Next::Report(missing(Some(format!(
            "group snapshot {key} requests an non-existing group snapshot content {name}"
        )))),
        (None, None) => match cut_content(group) {
            // It was cut once. Another content would be a group of another time under the same name.
            Some(name) => Next::ReportUnlessThere(name, missing(None)),
            None => Next::Create,
        },
    }
}

/// The content of a group that the driver has cut already.
fn cut_content(group: &GroupSnapshot) -> Option<Box<str>> {
    let cut = group.status.as_ref().is_some_and(|status| status.creation_time.is_some());
    cut.then(|| group.bound_content().map_or_else(|| lookup::made_name(group).into(), Into::into))
}

/// Whether a content that was made by hand lacks the group's UID, or a class while the group has one.
fn needs_binding(group: &GroupSnapshot, content: &GroupContent) -> bool {
    content.snapshot.uid.is_empty() || (content.class.is_none() && group.class.is_some())
}
