//! What the provisioner remembers between two looks at an object, and loses when it restarts.
//!
//! It exists so that work is neither forgotten while the process lives nor done twice. A restart can do without it, since
//! requests are idempotent by name, but for one case: a claim that was deleted while the driver was still making its
//! volume is known only here, and with it that volume (upstream issue 486).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidecar_core::objects::{Claim, Interned, Uid};
use tokio::time::Instant;

use crate::policy::data_source::Content;

/// How long a claim whose volume was just saved is left alone, whatever a late watch says about it.
const JUST_SAVED: Duration = Duration::from_secs(60);

/// A claim whose volume may be under way in the driver.
#[derive(Clone, Debug)]
pub(super) struct InProgress {
    /// The claim as it was, for it may be deleted meanwhile.
    pub(super) claim: Arc<Claim>,
    /// Its annotations as last seen, if anybody has asked for them.
    pub(super) annotations: Option<BTreeMap<String, String>>,
    /// What the driver was asked to fill the volume from. It has to be asked for the same again, even if snapshot or claim
    /// are gone by then.
    pub(super) content: Option<Content>,
}

/// How far the deletion of a volume has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deletion {
    /// The driver has deleted the volume.
    InDriver,
    /// The object is being deleted and has our finalizer left.
    Finalizing,
    /// Nothing is left to do but to see the object go.
    Finished,
}

/// What is known of the last request for the volume of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The driver made a volume, or may have.
    Open,
    /// It said that there is none.
    Refused,
}

/// The memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    in_progress: BTreeMap<Uid, InProgress>,
    /// Claims for whose volume the driver was asked, until they are bound or gone.
    asked: BTreeMap<Uid, Asked>,
    saved: BTreeMap<Uid, Instant>,
    /// By name of the volume, with the UID of the object that was looked at.
    deletions: BTreeMap<Interned, (Uid, Deletion)>,
    /// Volumes that wait for their detachment, and whose event is written.
    attached: BTreeMap<Interned, Uid>,
}

impl InProgress {
    /// An entry for a claim whose annotations nobody has asked for.
    pub(super) fn new(claim: Arc<Claim>) -> Self {
        Self { claim, annotations: None, content: None }
    }
}

impl Memory {
    /// The claim of this UID, if its volume may be under way.
    pub(super) fn in_progress(&self, uid: &Uid) -> Option<InProgress> {
        self.lock().in_progress.get(uid).cloned()
    }

    /// Remembers that a claim's volume may be under way.
    pub(super) fn remember(&self, entry: InProgress) {
        self.lock().in_progress.insert(entry.claim.meta.uid.clone(), entry);
    }

    /// Forgets that a claim's volume may be under way.
    pub(super) fn forget(&self, uid: &Uid) {
        self.lock().in_progress.remove(uid);
    }

    /// Whether anything at all is remembered about a claim.
    pub(super) fn knows_claim(&self, uid: &Uid) -> bool {
        let state = self.lock();
        state.in_progress.contains_key(uid) || state.asked.contains_key(uid) || state.saved.contains_key(uid)
    }

    /// Notes that the driver is asked for the volume of a claim; whether it has been asked before.
    pub(super) fn ask(&self, uid: &Uid) -> bool {
        self.lock().asked.insert(uid.clone(), Asked::Open).is_some()
    }

    /// Notes that the driver has no volume for a claim, as its answer says.
    pub(super) fn refuse(&self, uid: &Uid) {
        if let Some(asked) = self.lock().asked.get_mut(uid) {
            *asked = Asked::Refused;
        }
    }

    /// Whether the driver's last answer was that it has no volume for a claim.
    pub(super) fn was_refused(&self, uid: &Uid) -> bool {
        self.lock().asked.get(uid) == Some(&Asked::Refused)
    }

    /// Whether the driver has been asked for the volume of a claim.
    pub(super) fn was_asked(&self, uid: &Uid) -> bool {
        self.lock().asked.contains_key(uid)
    }

    /// Whether the driver may have a volume for a claim that nobody knows of. `guarded`: an earlier process may have asked.
    pub(super) fn is_in_doubt(&self, uid: &Uid, guarded: bool) -> bool {
        let state = self.lock();
        let is_known = state.saved.contains_key(uid) || state.asked.get(uid) == Some(&Asked::Refused);
        state.in_progress.contains_key(uid) || (guarded && !is_known)
    }

    /// Notes that the volume of a claim is saved, as of `now`.
    pub(super) fn saved(&self, uid: &Uid, now: Instant) {
        self.lock().saved.insert(uid.clone(), now);
    }

    /// For how long yet a claim is to be left alone because its volume was just saved.
    pub(super) fn just_saved(&self, uid: &Uid, now: Instant) -> Option<Duration> {
        let saved = *self.lock().saved.get(uid)?;
        JUST_SAVED.checked_sub(now.saturating_duration_since(saved)).filter(|left| !left.is_zero())
    }

    /// A claim is bound, gone or not ours: nothing about it matters any more.
    pub(super) fn settle(&self, uid: &Uid) {
        let mut state = self.lock();
        state.in_progress.remove(uid);
        state.asked.remove(uid);
        state.saved.remove(uid);
    }

    /// How far the deletion of this very object has come.
    pub(super) fn deletion(&self, name: &Interned, uid: &Uid) -> Option<Deletion> {
        let state = self.lock();
        let (known, progress) = state.deletions.get(name)?;
        (known == uid).then_some(*progress)
    }

    /// Notes how far the deletion of this object has come.
    pub(super) fn deleted(&self, name: &Interned, uid: &Uid, progress: Deletion) {
        let mut state = self.lock();
        state.attached.remove(name);
        state.deletions.insert(name.clone(), (uid.clone(), progress));
    }

    /// Notes that a volume waits for its detachment; whether that is new.
    pub(super) fn waits_for_detach(&self, name: &Interned, uid: &Uid) -> bool {
        self.lock().attached.insert(name.clone(), uid.clone()).as_ref() != Some(uid)
    }

    /// Whether anything is remembered about the volume of this name.
    pub(super) fn knows_volume(&self, name: &Interned) -> bool {
        let state = self.lock();
        state.deletions.contains_key(name) || state.attached.contains_key(name)
    }

    /// The object of this name is gone.
    pub(super) fn volume_gone(&self, name: &Interned) {
        let mut state = self.lock();
        state.deletions.remove(name);
        state.attached.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_saved_claim_is_left_alone_for_a_while() {
        let (memory, uid) = (Memory::default(), Uid::new("claim"));
        assert_eq!(memory.just_saved(&uid, Instant::now()), None);
        memory.saved(&uid, Instant::now());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(memory.just_saved(&uid, Instant::now()), Some(Duration::from_secs(40)));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(memory.just_saved(&uid, Instant::now()), None);
        assert!(memory.knows_claim(&uid));
        memory.settle(&uid);
        assert!(!memory.knows_claim(&uid));
    }

    #[test]
    fn a_deletion_belongs_to_one_object_not_to_a_name() {
        let (memory, name) = (Memory::default(), Interned::new("pv"));
        let (old, new) = (Uid::new("old"), Uid::new("new"));
        memory.deleted(&name, &old, Deletion::InDriver);
        assert_eq!(memory.deletion(&name, &old), Some(Deletion::InDriver));
        assert_eq!(memory.deletion(&name, &new), None);
        memory.volume_gone(&name);
        assert_eq!(memory.deletion(&name, &old), None);
    }

    #[test]
    fn waiting_for_a_detachment_is_new_once_per_object() {
        let (memory, name) = (Memory::default(), Interned::new("pv"));
        assert!(memory.waits_for_detach(&name, &Uid::new("a")));
        assert!(!memory.waits_for_detach(&name, &Uid::new("a")));
        assert!(memory.waits_for_detach(&name, &Uid::new("b")));
    }

    #[test]
    fn what_a_guarded_claim_is_in_doubt_about() {
        let (memory, claim) = (Memory::default(), Uid::new("claim"));
        assert!(memory.is_in_doubt(&claim, true) && !memory.is_in_doubt(&claim, false));
        memory.ask(&claim);
        assert!(memory.is_in_doubt(&claim, true));
        memory.refuse(&claim);
        assert!(!memory.is_in_doubt(&claim, true));
    }

    #[test]
    fn asking_twice_is_noticed() {
        let (memory, uid) = (Memory::default(), Uid::new("claim"));
        assert!(!memory.ask(&uid));
        assert!(memory.ask(&uid));
        assert!(!memory.was_refused(&uid));
        memory.refuse(&uid);
        assert!(memory.was_refused(&uid) && memory.was_asked(&uid));
        memory.ask(&uid);
        assert!(!memory.was_refused(&uid), "asked once more, it is open again");
    }
}
