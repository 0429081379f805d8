//! What a snapshot needs next (sheet 5.3 to 5.7, 5.10).
//!
//! Upstream asks for the class first, of every snapshot and always, so that a ready one whose class was deleted is never looked
//! at again. Here only those without a content need one (13.2).

use std::sync::Arc;

use sidecar_core::objects::{DeletionPolicy, Interned, Snapshot, SnapshotContent};
use snapshot_api::names::finalizers::{SNAPSHOT_BOUND, SNAPSHOT_SOURCE};
use snapshot_api::names::kinds::GROUP_SNAPSHOT_API_VERSION;

use super::class::{self, Choice};
use super::{Problem, Stores, lookup};
use crate::events;

/// The next thing to do about a snapshot that is not being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Write down that it is protected, and its class if it names none, before anything is done in its name.
    Prepare {
        /// The default class.
        class: Option<Interned>,
        /// Finalizers to add.
        finalizers: Vec<&'static str>,
    },
    /// Make its content.
    Create,
    /// Bind the content that was made by hand.
    Bind(Arc<SnapshotContent>),
    /// Copy what the content says.
    Copy(Arc<SnapshotContent>),
    /// It is ready; an error about its class that is left in its status goes.
    ClearError,
    /// It belongs to a group that it does not name as its owner: see that it does.
    Adopt(Interned),
    /// It names its owner in a version of the API that upstream's controller does not recognise any more (13.1).
    Modernise,
    /// Something is wrong.
    Report(Problem),
    /// As [`Next::Report`], unless the API server knows of a content of this name that the caches have not shown yet.
    ReportUnlessThere(Box<str>, Problem),
    /// Something is wrong with the content, which leaves open how the snapshot is to be protected.
    ReportUnprotected(Problem),
    /// Nothing now; to be tried again with this text.
    Wait(String),
    /// Nothing.
    Settled,
}

/// What to do next.
pub fn next(snapshot: &Snapshot, stores: &Stores) -> Next {
    if snapshot.claim.is_some() == snapshot.content.is_some() {
        const MESSAGE: &str =
            "Exactly one of PersistentVolumeClaimName and VolumeSnapshotContentName should be specified";
        return Next::Report(Problem::unready(events::VALIDATION_ERROR, MESSAGE, MESSAGE));
    }
    // One that was made by hand stays that when a group adopts it.
    let member = snapshot.group.is_some() && snapshot.content.is_none();
    let content = if member { Ok(None) } else { lookup::own(snapshot, stores) };
    let content = match content {
        Ok(content) => content,
        Err(problem) => return Next::ReportUnprotected(problem),
    };
    let settled = snapshot.is_ready() && snapshot.bound_content().is_some();
    let class = if settled || content.is_some() { Ok(Choice::None) } else { class::choose(snapshot, stores) };
    let class = match class {
        Ok(class) => class,
        Err(problem) => return Next::Report(problem),
    };
    if let Some(prepare) = prepare(snapshot, content.as_deref(), &class) {
        return prepare;
    }
    match (settled, member) {
        (true, _) => ready(snapshot, stores),
        (false, true) => unready_member(snapshot, stores),
        (false, false) => unready(snapshot, content),
    }
}

/// Upstream protects the bond with a second write once the snapshot is bound; by the policy of its class it is known before.
fn prepare(snapshot: &Snapshot, content: Option<&SnapshotContent>, class: &Choice) -> Option<Next> {
    let policy = match (content, class.class()) {
        (Some(content), _) => Some(content.policy),
        // A content that is made by hand may come later, with a policy of its own.
        (None, Some(class)) if snapshot.content.is_none() => Some(class.policy),
        _ => None,
    };
    let bound = policy == Some(DeletionPolicy::Delete);
    let wanted = [Some(SNAPSHOT_SOURCE), bound.then_some(SNAPSHOT_BOUND)];
    let missing = wanted.into_iter().flatten().filter(|name| !snapshot.meta.finalizers.has(name));
    let finalizers: Vec<_> = missing.collect();
    let class = match class {
        Choice::Default(class) => Some(class.meta.name.clone()),
        Choice::None | Choice::Named(_) => None,
    };
    (class.is_some() || !finalizers.is_empty()).then_some(Next::Prepare { class, finalizers })
}

fn ready(snapshot: &Snapshot, stores: &Stores) -> Next {
    let bound = snapshot.bound_content().unwrap_or_default();
    let Some(content) = stores.contents.get("", bound) else {
        return Next::ReportUnlessThere(bound.into(), missing(None));
    };
    if !lookup::is_bound_to(&content.snapshot, &snapshot.meta) {
        return Next::Report(Problem {
            reason: events::MISBOUND,
            message: events::MISBOUND_MESSAGE.to_owned(),
            unready: true,
            error: None,
        });
    }
    let status = snapshot.status.as_ref();
    let group = status.and_then(|status| status.group.clone());
    if group.is_none() && content.status.as_ref().is_some_and(|status| status.group_handle.is_some()) {
        // It became ready while groups were not worked on.
        return Next::Copy(content);
    }
    if let (Some(group), None) = (group, &snapshot.group) {
        return Next::Adopt(group);
    }
    if snapshot.group.as_ref().is_some_and(|owner| *owner.api_version != *GROUP_SNAPSHOT_API_VERSION) {
        return Next::Modernise;
    }
    match status.and_then(|status| status.error.as_ref()) {
        Some(error) if class::is_class_error(&error.message) => Next::ClearError,
        _ => Next::Settled,
    }
}

fn missing(error: Option<String>) -> Problem {
    Problem {
        reason: events::CONTENT_MISSING,
        message: events::CONTENT_MISSING_MESSAGE.to_owned(),
        unready: true,
        error,
    }
}

fn unready_member(snapshot: &Snapshot, stores: &Stores) -> Next {
    let key = snapshot.meta.key();
    match (lookup::of_member(snapshot, stores), snapshot.bound_content()) {
        (Some(content), _) => Next::Copy(content),
        (None, None) => Next::Wait(format!("detected group snapshot member {key} with no content, retrying")),
        (None, Some(name)) => {
            Next::Wait(format!("group snapshot member {key} requests an non-existing content {name}"))
        }
    }
}

fn unready(snapshot: &Snapshot, content: Option<Arc<SnapshotContent>>) -> Next {
    let key = snapshot.meta.key();
    match (content, &snapshot.content) {
        (Some(content), Some(_)) if needs_binding(snapshot, &content) => Next::Bind(content),
        (Some(content), None) if content.snapshot_handle.is_some() => Next::Report(Problem::unready(
            events::HANDLE_SET,
            format!("Snapshot handle should not be set in content {key} for dynamic provisioning"),
            format!(
                "snapshotHandle should not be set in the content for dynamic provisioning for snapshot {key}"
            ),
        )),
        (Some(content), _) => Next::Copy(content),
        (None, Some(name)) => {
            Next::Report(missing(Some(format!("snapshot {key} requests an non-existing content {name}"))))
        }
        (None, None) => match cut_content(snapshot) {
            // It was cut once. Another content would be a snapshot of another time under the same name.
            Some(name) => Next::ReportUnlessThere(name, missing(None)),
            None => Next::Create,
        },
    }
}

/// The content of a snapshot that the driver has cut already.
fn cut_content(snapshot: &Snapshot) -> Option<Box<str>> {
    let cut = snapshot.status.as_ref().is_some_and(|status| status.creation_time.is_some());
    cut.then(|| snapshot.bound_content().map_or_else(|| lookup::made_name(snapshot).into(), Into::into))
}

/// Whether a content that was made by hand lacks the snapshot's UID, or a class while the snapshot has one.
fn needs_binding(snapshot: &Snapshot, content: &SnapshotContent) -> bool {
    content.snapshot.uid.is_empty() || (content.class.is_none() && snapshot.class.is_some())
}
