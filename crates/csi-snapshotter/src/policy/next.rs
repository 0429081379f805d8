//! What is to be done about a content (sheet 5.4, 5.5, 5.7, 5.13).
//!
//! The rule behind it: before the driver is asked to take a snapshot, the content says that it is being created, and it says
//! so until the outcome is known and, where a snapshot was taken, its handle is written down. A content that says so is
//! never let go. So whatever is forgotten by whomever, no snapshot is left behind.

use sidecar_core::objects::DeletionPolicy;

use crate::content::View;

/// What this process knows and the content does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What has become of the last call to take the snapshot.
    pub call: LastCall,
    /// The driver has deleted the snapshot, or there is none that we may delete.
    pub deleted: bool,
    /// The driver does not tell about the snapshot, although it says that it does.
    pub untold: bool,
}

/// What has become of the last call to take a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastCall {
    /// This process has made none.
    #[default]
    Unknown,
    /// It has not been answered, or the answer is not written down.
    Open,
    /// It has been answered, and the answer is written down.
    Settled,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until somebody changes something.
    Nothing,
    /// Look again later: somebody else writes down what is needed.
    Wait,
    /// Have the driver take the snapshot, or tell about the one that it is taking.
    Take,
    /// Have the driver tell about the snapshot.
    Look,
    /// The same for a snapshot that we had taken: if the driver does not tell, have it taken again.
    LookOrTake,
    /// Say no longer that it is being created.
    Unmark,
    /// Have the driver delete the snapshot.
    Delete,
    /// The same for one that was there before the content and that nobody has looked at: find out whose it is first.
    FindAndDelete,
    /// Take out of the status what says that there is a snapshot.
    Clear,
    /// Let the content go.
    Release,
}

/// Whether the content is to go, unless a call to take its snapshot is still open.
pub fn is_unwanted(view: &View<'_>) -> bool {
    view.meta.deleting && (view.is_unbound() || view.being_deleted)
}

/// Whether the content is to go now (sheet 5.4). One that a user deletes while its snapshot lives is not.
pub fn should_delete(view: &View<'_>) -> bool {
    is_unwanted(view) && (view.is_unbound() || !view.being_created)
}

/// Whether a content may go although nobody can ask about its snapshot any more, for want of a class: there is a handle to delete
/// it by, and that takes no class (row D1-9). Upstream does not ask again either: after each answer its contents say that nothing
/// is being created, where ours go on saying so until they are ready (sheet 5.6, step 8). What is known to be open stays so: the
/// call might end after the deletion and take the snapshot once more.
pub fn may_go_unasked(view: &View<'_>, past: Past) -> bool {
    is_unwanted(view) && view.handle().is_some() && past.call != LastCall::Open
}

/// Whether a call to take the snapshot may bring one yet. It is known here even if the content says so no longer: upstream's snapshot
/// controller writes all annotations back as its cache has them, and so may take our mark away (5.10).
fn is_open(view: &View<'_>, past: Past) -> bool {
    past.call == LastCall::Open && !view.is_ready()
}

/// What is to be done about a content. `can_look`: the driver tells about a snapshot that was taken without being asked to
/// take it again.
pub fn next(view: &View<'_>, past: Past, can_look: bool, finalizer: &str) -> Step {
    let (open, settled) = (is_open(view, past), past.call == LastCall::Settled);
    if should_delete(view) && !open {
        return remove(view, past, finalizer);
    }
    if is_unwanted(view) && settled {
        return Step::Unmark;
    }
    if view.is_dynamic && view.status.is_none() && !view.is_member {
        return Step::Take;
    }
    if view.is_ready() {
        return if view.being_created { Step::Unmark } else { Step::Nothing };
    }
    if view.given.is_some() || (view.in_group() && view.handle().is_some()) {
        return Step::Look;
    }
    if view.is_member {
        return Step::Wait;
    }
    // While a call to take it is open, only another such call closes it.
    let closed = settled || !(view.being_created || open);
    if can_look && !past.untold && view.handle().is_some() && closed { Step::LookOrTake } else { Step::Take }
}

fn remove(view: &View<'_>, past: Past, finalizer: &str) -> Step {
    // Nothing held it when this was written: it is gone, whatever the watch shows.
    if view.meta.finalizers.is_empty() {
        return Step::Nothing;
    }
    let ours = view.policy == DeletionPolicy::Delete && !view.in_group();
    match view.handle() {
        Some(_) if ours && !past.deleted => Step::Delete,
        // Upstream empties the status always. Where the content goes with our finalizer in the next moment, nobody could
        // read that.
        Some(_) if ours && outlives_us(view, finalizer) => Step::Clear,
        None if ours && !past.deleted && is_unseen(view, finalizer) => Step::FindAndDelete,
        _ if view.meta.finalizers.has(finalizer) => Step::Release,
        _ => Step::Nothing,
    }
}

/// Whether it stands for a snapshot that was there before it, and was given up before its status could say so.
///
/// Upstream goes by the status alone: it lets such a content go, and what it stands for stays in the driver for ever, whatever the
/// policy says (sheet 5.5, step 1a). There is a reason: a status without handle is also what is left of a snapshot that was
/// deleted. Here our finalizer tells the two apart: it goes last, and to delete once more after a crash does no harm. A content that
/// was never bound has not been given up by anybody, and a member goes with its group: both are let go as upstream does it.
fn is_unseen(view: &View<'_>, finalizer: &str) -> bool {
    let given_up = view.given.is_some() && !view.is_unbound() && !view.is_member;
    given_up && view.meta.finalizers.has(finalizer)
}

/// Whether another content stands for this snapshot too (upstream issue 676), and is not on its way to have it deleted as well.
pub fn is_kept_by(handle: &str, other: &View<'_>) -> bool {
    let named = other.given == Some(handle) || other.handle() == Some(handle);
    named && !(is_unwanted(other) && other.policy == DeletionPolicy::Delete)
}

/// Whether the content will still be there when we have let it go, so that its status must not name what is deleted.
fn outlives_us(view: &View<'_>, finalizer: &str) -> bool {
    view.meta.finalizers.iter().any(|held| held != finalizer)
}

/// Whether the annotation can go after an answer: what comes next, if anything, is not a call to take the snapshot.
pub fn ends_taking(ready: bool, can_look: bool) -> bool {
    ready || can_look
}

impl Step {
    /// Whether it is about a snapshot that may become ready.
    pub fn asks(self) -> bool {
        matches!(self, Self::Take | Self::Look | Self::LookOrTake | Self::Wait)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::content::{Content, GROUP, SINGLE};
    use crate::policy::fixtures::{content, group};

    const OPEN: Past = Past { call: LastCall::Unknown, deleted: false, untold: false };
    const CALLED: Past = Past { call: LastCall::Open, ..OPEN };
    const SETTLED: Past = Past { call: LastCall::Settled, ..OPEN };
    const DELETED: Past = Past { deleted: true, ..OPEN };
    const CREATED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-created";
    const DELETED_MARK: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";

    fn marked(key: &str) -> Value {
        json!({"metadata": {"annotations": {key: "yes"}}})
    }

    fn going(key: &str) -> Value {
        json!({"metadata": {
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [SINGLE.finalizer], "annotations": {key: "yes"},
        }})
    }

    fn ready(handle: &str) -> Value {
        json!({"snapshotHandle": handle, "readyToUse": true})
    }

    fn step(overlay: &Value, past: Past, can_look: bool) -> Step {
        next(&content(overlay).view(), past, can_look, SINGLE.finalizer)
    }

    fn with(mut overlay: Value, status: Value) -> Value {
        overlay["status"] = status;
        overlay
    }

    /// Row SD.
    #[test]
    fn should_delete_no_timestamp_unbound_static_annotation_none() {
        let of = |overlay: &Value| should_delete(&content(overlay).view());
        assert!(!of(&marked(DELETED_MARK)), "no timestamp");
        let unbound = json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"source": {"volumeHandle": null, "snapshotHandle": "s"}, "volumeSnapshotRef": {"uid": null}},
        });
        assert!(of(&unbound), "unbound static");
        assert!(of(&going(DELETED_MARK)), "annotation");
        assert!(!of(&going("example.com/other")), "none");
    }

    /// Row G-SD.
    #[test]
    fn group_should_delete_none_unbound_static_being_created_being_deleted_bound_without_annotation() {
        let of = |annotations: Value, spec: Value| {
            let overlay = json!({
                "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations}, "spec": spec,
            });
            should_delete(&group(&overlay).view())
        };
        let given = |uid: Value| {
            let handles = json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["s"]});
            let source = json!({"volumeHandles": null, "groupSnapshotHandles": handles});
            json!({"source": source, "volumeGroupSnapshotRef": {"uid": uid}})
        };
        let deleted = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted";
        assert!(!should_delete(&group(&json!({})).view()), "none");
        assert!(of(json!({}), given(Value::Null)), "unbound static");
        assert!(!of(json!({GROUP.being_created: "yes", deleted: "yes"}), json!({})), "being created");
        assert!(of(json!({deleted: "yes"}), json!({})), "being deleted");
        assert!(!of(json!({}), given("uid".into())), "bound without annotation");
    }

    #[test]
    fn what_is_wanted_is_taken_followed_and_left_alone() {
        assert_eq!(step(&json!({}), OPEN, false), Step::Take);
        let waiting = json!({"status": {"snapshotHandle": "s", "readyToUse": false}});
        assert_eq!(step(&waiting, SETTLED, false), Step::Take);
        assert_eq!(step(&waiting, SETTLED, true), Step::LookOrTake);
        assert_eq!(step(&waiting, Past { untold: true, ..SETTLED }, true), Step::Take);
        let open = with(marked(CREATED), waiting["status"].clone());
        assert_eq!(step(&open, OPEN, true), Step::Take, "only a call to take it closes the open one");
        assert_eq!(step(&json!({"status": ready("s")}), OPEN, true), Step::Nothing);
        assert_eq!(step(&with(marked(CREATED), ready("s")), OPEN, false), Step::Unmark);
        let given = json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": "s"}}});
        assert_eq!(step(&given, OPEN, false), Step::Look);
    }

    #[test]
    fn what_is_known_to_be_open_is_not_let_go() {
        let unmarked = going(DELETED_MARK);
        assert_eq!(step(&unmarked, CALLED, false), Step::Take);
        let failed = with(unmarked.clone(), json!({"error": {"message": "x"}, "readyToUse": false}));
        assert_eq!(step(&failed, CALLED, true), Step::Take);
        let waiting = with(unmarked.clone(), json!({"snapshotHandle": "s", "readyToUse": false}));
        assert_eq!(step(&waiting, CALLED, true), Step::Take, "only a call to take it closes the open one");
        assert_eq!(
            step(&with(unmarked, ready("s")), CALLED, false),
            Step::Delete,
            "somebody has seen its end"
        );
        let goes = |past| may_go_unasked(&content(&waiting).view(), past);
        assert!(goes(OPEN) && goes(SETTLED) && !goes(CALLED));
        assert!(!may_go_unasked(&content(&failed).view(), OPEN), "there may be one that nobody can name");
        assert!(
            !may_go_unasked(&content(&json!({"status": waiting["status"]})).view(), OPEN),
            "it is wanted"
        );
    }

    #[test]
    fn members_of_groups_are_never_taken() {
        let member = json!({"metadata": {"annotations": {"groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle": "g"}}});
        assert_eq!(step(&member, OPEN, true), Step::Wait);
        assert_eq!(step(&with(member.clone(), json!({"error": {"message": "x"}})), OPEN, true), Step::Wait);
        let known = json!({"snapshotHandle": "s", "volumeGroupSnapshotHandle": "g"});
        assert_eq!(step(&with(member, known), OPEN, true), Step::Look);
    }

    #[test]
    fn what_is_unwanted_goes_once_its_outcome_is_known() {
        let mut created = going(DELETED_MARK);
        created["metadata"]["annotations"][CREATED] = json!("yes");
        assert_eq!(step(&created, OPEN, false), Step::Take, "there may be a snapshot that nobody knows");
        assert_eq!(step(&created, SETTLED, false), Step::Unmark);
        assert_eq!(step(&with(created, ready("s")), OPEN, false), Step::Unmark);
        assert_eq!(step(&going(DELETED_MARK), OPEN, false), Step::Release, "nothing was taken");
        let there = with(going(DELETED_MARK), ready("s"));
        assert_eq!(step(&there, OPEN, false), Step::Delete);
        assert_eq!(step(&there, DELETED, false), Step::Release);
        let mut held = there.clone();
        held["metadata"]["finalizers"] = json!(["example.com/held", SINGLE.finalizer]);
        assert_eq!((step(&held, OPEN, false), step(&held, DELETED, false)), (Step::Delete, Step::Clear));
        let mut free = there.clone();
        free["metadata"]["finalizers"] = json!([]);
        assert_eq!(step(&free, DELETED, false), Step::Nothing);
        assert_eq!(step(&free, OPEN, false), Step::Nothing, "it is gone already");
        let mut retained = there.clone();
        retained["spec"]["deletionPolicy"] = json!("Retain");
        assert_eq!(step(&retained, OPEN, false), Step::Release);
        let mut member = there;
        member["status"]["volumeGroupSnapshotHandle"] = json!("g");
        assert_eq!(step(&member, OPEN, false), Step::Release, "it goes with its group");
        // A user has deleted the content, its snapshot lives.
        assert_eq!(step(&with(going("example.com/other"), ready("s")), OPEN, false), Step::Nothing);
        assert_eq!(step(&going("example.com/other"), OPEN, false), Step::Take);
    }
    #[test]
    fn what_was_given_and_never_looked_at_is_found_before_it_goes() {
        let source = |given: Value| {
            let mut overlay = going(DELETED_MARK);
            overlay["spec"] = given;
            overlay
        };
        let given = json!({"source": {"volumeHandle": null, "snapshotHandle": "s"}});
        let unseen = source(given.clone());
        assert_eq!(step(&unseen, OPEN, false), Step::FindAndDelete);
        assert_eq!(step(&unseen, DELETED, false), Step::Release);
        let failed = with(unseen.clone(), json!({"error": {"message": "x"}, "readyToUse": false}));
        assert_eq!(step(&failed, OPEN, false), Step::FindAndDelete, "it could not be looked at");
        let mut retained = unseen.clone();
        retained["spec"]["deletionPolicy"] = json!("Retain");
        assert_eq!(step(&retained, OPEN, false), Step::Release);
        let mut unbound = unseen.clone();
        unbound["spec"]["volumeSnapshotRef"] = json!({"uid": null});
        assert_eq!(step(&unbound, OPEN, false), Step::Release, "nobody has given it up");
        let mut member = unseen.clone();
        member["metadata"]["annotations"]["groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle"] =
            json!("g");
        assert_eq!(step(&member, OPEN, false), Step::Release, "it goes with its group");
        let grouped = with(unseen.clone(), json!({"volumeGroupSnapshotHandle": "g"}));
        assert_eq!(step(&grouped, OPEN, false), Step::Release);
        let mut released = unseen;
        released["metadata"]["finalizers"] = json!(["example.com/held"]);
        assert_eq!(step(&released, OPEN, false), Step::Nothing, "the status was emptied after a deletion");
    }

    #[test]
    fn a_snapshot_is_kept_by_whoever_names_it_and_does_not_give_it_up() {
        let kept = |overlay: &Value| is_kept_by("s", &content(overlay).view());
        let given =
            |handle: &str| json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": handle}}});
        assert!(kept(&given("s")) && !kept(&given("other")));
        assert!(kept(&json!({"status": {"snapshotHandle": "s"}})));
        let mut unwanted = going(DELETED_MARK);
        unwanted["status"] = json!({"snapshotHandle": "s"});
        assert!(!kept(&unwanted), "both are to have it deleted");
        unwanted["spec"] = json!({"deletionPolicy": "Retain"});
        assert!(kept(&unwanted));
    }
}
