//! What is known about attachments beyond the API: what is under way, what failed for want of what, what must be done
//! again although the status is content.
//!
//! An entry lives as long as there is something to remember, and no longer than its attachment: the names of attachments
//! recur, and a new one must not inherit anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidecar_core::objects::{Interned, Meta, Uid, Volume};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::policy::Operation;
use crate::policy::failure::{Failure, WaitsFor};

/// What the attacher remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: Mutex<Known>,
    /// Rings when a report is written.
    reported: Notify,
}

#[derive(Debug, Default)]
struct Known {
    attachments: BTreeMap<Interned, Entry>,
    /// Volumes that went before the attachments that need them to be detached.
    lost_volumes: BTreeMap<Interned, Arc<Volume>>,
    /// Attachments that were worked on since the driver's list was begun; `None` while nobody lists.
    touched: Option<BTreeSet<Interned>>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent facts")]
struct Entry {
    uid: Uid,
    operation: Operation,
    /// When the present operation was tried first.
    since: Option<Instant>,
    /// Why the last try failed.
    failure: Option<Failure>,
    /// It takes longer than `--volume-attachment-timeout`.
    late: bool,
    /// Somebody writes that it is late.
    reporting: bool,
    /// Its outcome is about to be written, after which nobody may call it late.
    finishing: bool,
    /// To be done again even if the status says that it is done.
    force: bool,
    /// A worker has it.
    active: bool,
    /// A write is under way.
    writing: bool,
    /// The version that our last write made, until the watch shows it.
    written: Option<u64>,
    /// Detached and without our finalizer, but the status does not say so yet.
    detached: bool,
    /// Since when it is, or was, held back by detachments of its volume.
    held: Option<Instant>,
    /// It was held back for too long and is not any more.
    impatient: bool,
    /// The secrets of the attachment, for the case that they are gone when it is detached.
    secrets: Option<Secrets>,
    mismatch: Mismatch,
}

/// How an operation stands in time.
#[derive(Debug)]
pub(super) enum Time {
    /// It is finished, or known to be late.
    Over,
    /// It has this much left.
    Left(Duration),
    /// It is late as of now: which one it is, and why its last try failed. To be followed by [`Memory::reported`].
    Up { uid: Uid, operation: Operation, failure: Option<Failure> },
}

/// Contradictions between status and driver that came again and again.
#[derive(Clone, Copy, Debug, Default)]
struct Mismatch {
    /// How often in a row it was tried to put right.
    tries: u32,
    /// Passes to leave out until it is tried again.
    pause: u32,
}

/// The longest pause between two tries to put the same contradiction right, in passes.
const LONGEST_PAUSE: u32 = 15;

/// The content of a Secret, which is nobody's business.
#[derive(Clone)]
pub(super) struct Secrets(pub(super) BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***stripped***")
    }
}

impl Entry {
    fn new(uid: &Uid) -> Self {
        Self {
            uid: uid.clone(),
            operation: Operation::Attach,
            since: None,
            failure: None,
            late: false,
            reporting: false,
            finishing: false,
            force: false,
            active: false,
            writing: false,
            written: None,
            detached: false,
            held: None,
            impatient: false,
            secrets: None,
            mismatch: Mismatch::default(),
        }
    }

    fn is_empty(&self) -> bool {
        let quiet = !(self.active || self.writing || self.reporting || self.force || self.detached);
        quiet
            && self.since.is_none()
            && self.written.is_none()
            && self.secrets.is_none()
            && self.mismatch.tries == 0
    }
}

impl Known {
    /// The entry of this very attachment; one of an earlier attachment of that name is forgotten.
    fn entry(&mut self, name: &Interned, uid: &Uid) -> &mut Entry {
        let entry = self.attachments.entry(name.clone()).or_insert_with(|| Entry::new(uid));
        if entry.uid != *uid {
            *entry = Entry::new(uid);
        }
        entry
    }

    fn clean(&mut self, name: &Interned) {
        if self.attachments.get(name).is_some_and(Entry::is_empty) {
            self.attachments.remove(name);
        }
    }
}

// Work.
impl Memory {
    /// A worker takes the attachment; whether it must be worked on whatever its status says. The mark for that is taken
    /// away.
    pub(super) fn begin(&self, name: &Interned, uid: &Uid, operation: Operation) -> bool {
        let mut known = self.lock();
        let entry = known.entry(name, uid);
        if entry.operation != operation {
            *entry = Entry {
                operation,
                since: None,
                failure: None,
                late: false,
                held: None,
                impatient: false,
                ..std::mem::replace(entry, Entry::new(uid))
            };
        }
        entry.active = true;
        std::mem::take(&mut entry.force)
    }

    /// The worker is done with it.
    pub(super) fn end(&self, name: &Interned) {
        let mut known = self.lock();
        if let Some(entry) = known.attachments.get_mut(name) {
            (entry.active, entry.finishing) = (false, false);
        }
        known.clean(name);
    }

    /// The operation is tried; true if for the first time.
    pub(super) fn tries(&self, name: &Interned, uid: &Uid, now: Instant) -> bool {
        let mut known = self.lock();
        if let Some(touched) = &mut known.touched {
            touched.insert(name.clone());
        }
        let entry = known.entry(name, uid);
        let first = entry.since.is_none();
        entry.since.get_or_insert(now);
        first
    }

    /// The operation failed; whether it takes too long already.
    pub(super) fn failed(&self, name: &Interned, uid: &Uid, failure: &Failure, forced: bool) -> bool {
        let mut known = self.lock();
        let entry = known.entry(name, uid);
        entry.failure = Some(failure.clone());
        entry.force |= forced;
        entry.late
    }

    /// The operation is done; when it was tried first.
    pub(super) fn succeeded(&self, name: &Interned, uid: &Uid) -> Option<Instant> {
        let mut known = self.lock();
        let entry = known.entry(name, uid);
        let since = entry.since.take();
        (entry.failure, entry.late) = (None, false);
        (entry.held, entry.impatient) = (None, false);
        since
    }

    /// Whether the operation under way has reached its time; from then on it counts as late.
    pub(super) fn check_time(&self, name: &Interned, now: Instant, limit: Duration) -> Time {
        let mut known = self.lock();
        let open = |entry: &&mut Entry| !(entry.late || entry.finishing);
        let Some(entry) = known.attachments.get_mut(name).filter(open) else {
            return Time::Over;
        };
        let Some(since) = entry.since else { return Time::Over };
        let left = limit.saturating_sub(now.saturating_duration_since(since));
        if !left.is_zero() {
            return Time::Left(left);
        }
        (entry.late, entry.reporting) = (true, true);
        Time::Up { uid: entry.uid.clone(), operation: entry.operation, failure: entry.failure.clone() }
    }

    /// What [`Time::Up`] is about has been written.
    pub(super) fn reported(&self, name: &Interned) {
        if let Some(entry) = self.lock().attachments.get_mut(name) {
            entry.reporting = false;
        }
        self.reported.notify_waiters();
    }

    /// The outcome of the operation is about to be written: waits until nobody is writing that it is late, which must not
    /// come after the outcome.
    pub(super) async fn finishing(&self, name: &Interned) {
        loop {
            let reported = self.reported.notified();
            match self.lock().attachments.get_mut(name) {
                Some(entry) if entry.reporting => entry.finishing = true,
                Some(entry) => {
                    entry.finishing = true;
                    return;
                }
                None => return,
            }
            reported.await;
        }
    }

    /// Whether the last try failed for want of this.
    pub(super) fn waits_for(&self, name: &Interned, what: WaitsFor) -> bool {
        let known = self.lock();
        let failure = known.attachments.get(name).and_then(|entry| entry.failure.as_ref());
        failure.is_some_and(|failure| failure.waits_for == Some(what))
    }
}

// Order.
impl Memory {
    /// The attachment waits, for this reason; since when, if not since just now.
    pub(super) fn hold(&self, name: &Interned, uid: &Uid, reason: Failure, now: Instant) -> Option<Instant> {
        let mut known = self.lock();
        let entry = known.entry(name, uid);
        if !entry.impatient {
            entry.failure = Some(reason);
        }
        let since = entry.held;
        entry.held.get_or_insert(now);
        since
    }

    /// The attachment waits no more, come what may; true for the first time.
    pub(super) fn lose_patience(&self, name: &Interned) -> bool {
        let mut known = self.lock();
        let entry = known.attachments.get_mut(name);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.impatient, true))
    }

    /// What a worker was to do whatever the status says is still to be done.
    pub(super) fn put_off(&self, name: &Interned, uid: &Uid, forced: bool) {
        self.lock().entry(name, uid).force |= forced;
    }

    /// Whether the attachment waits for a detachment, or did before it was tried.
    pub(super) fn is_held(&self, name: &Interned) -> bool {
        self.lock().attachments.get(name).is_some_and(|entry| entry.held.is_some())
    }
}

// Writes.
impl Memory {
    /// A write is sent.
    pub(super) fn writing(&self, name: &Interned, uid: &Uid) {
        self.lock().entry(name, uid).writing = true;
    }

    /// Its answer is there.
    pub(super) fn written(&self, name: &Interned, answer: Option<&Meta>) {
        let mut known = self.lock();
        if let Some(entry) = known.attachments.get_mut(name) {
            entry.writing = false;
            entry.written = answer.map(|meta| meta.resource_version).or(entry.written);
        }
        known.clean(name);
    }

    /// The watch shows a version; whether it may be of our own making.
    pub(super) fn is_own(&self, name: &Interned, version: u64) -> bool {
        let mut known = self.lock();
        let Some(entry) = known.attachments.get_mut(name) else { return false };
        let own = entry.writing || entry.written == Some(version);
        if entry.written.is_some_and(|written| written <= version) {
            entry.written = None;
        }
        known.clean(name);
        own
    }

    /// The attachment no longer has our finalizer; whether its status still has to say that it is detached.
    pub(super) fn set_detached(&self, name: &Interned, uid: &Uid, status_is_missing: bool) {
        self.lock().entry(name, uid).detached = status_is_missing;
    }

    pub(super) fn is_detached(&self, name: &Interned, uid: &Uid) -> bool {
        self.lock().entry(name, uid).detached
    }

    pub(super) fn keep_secrets(&self, name: &Interned, uid: &Uid, secrets: &BTreeMap<String, String>) {
        self.lock().entry(name, uid).secrets = Some(Secrets(secrets.clone()));
    }

    pub(super) fn secrets(&self, name: &Interned, uid: &Uid) -> Option<BTreeMap<String, String>> {
        self.lock().entry(name, uid).secrets.clone().map(|secrets| secrets.0)
    }
}

// Objects that go.
impl Memory {
    /// The attachment is no longer there.
    pub(super) fn gone(&self, name: &Interned) {
        self.lock().attachments.remove(name);
    }

    pub(super) fn volume_lost(&self, volume: Arc<Volume>) {
        self.lock().lost_volumes.insert(volume.meta.name.clone(), volume);
    }

    pub(super) fn lost_volume(&self, name: &Interned) -> Option<Arc<Volume>> {
        self.lock().lost_volumes.get(name).cloned()
    }

    pub(super) fn forget_volume(&self, name: &Interned) {
        self.lock().lost_volumes.remove(name);
    }
}

// Comparisons with the driver's list.
impl Memory {
    /// A list begins: what is worked on from now on may be newer than the list.
    pub(super) fn list_begins(&self) {
        let mut known = self.lock();
        let active = known.attachments.iter().filter(|(_, entry)| entry.active);
        known.touched = Some(active.map(|(name, _)| name.clone()).collect());
    }

    /// The list is complete; the attachments about which it says nothing.
    pub(super) fn list_ends(&self) -> BTreeSet<Interned> {
        self.lock().touched.take().unwrap_or_default()
    }

    /// Driver and status agree.
    pub(super) fn matches(&self, name: &Interned) {
        let mut known = self.lock();
        if let Some(entry) = known.attachments.get_mut(name) {
            entry.mismatch = Mismatch::default();
        }
        known.clean(name);
    }

    /// Driver and status contradict each other; whether that is to be put right in this pass. What did not help is
    /// tried ever more rarely.
    pub(super) fn mismatch(&self, name: &Interned, uid: &Uid) -> bool {
        let mut known = self.lock();
        let entry = known.entry(name, uid);
        if entry.mismatch.pause > 0 {
            entry.mismatch.pause -= 1;
            return false;
        }
        let tries = entry.mismatch.tries.saturating_add(1);
        let pause = 1_u32.checked_shl(tries - 1).unwrap_or(u32::MAX).saturating_sub(1).min(LONGEST_PAUSE);
        entry.mismatch = Mismatch { tries, pause };
        entry.force = true;
        true
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
