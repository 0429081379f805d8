//! What is known about contents and stands nowhere else. By UID, so that a content made anew under the same name inherits
//! nothing, and no longer than there is something to remember.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sidecar_core::objects::{Interned, Meta, Uid};

use crate::policy::next::{LastCall, Past};

/// The memory of a controller. All of it is lost at a restart, and nothing goes wrong by that.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: Mutex<BTreeMap<Interned, Entry>>,
}

#[derive(Debug)]
struct Entry {
    uid: Uid,
    past: Past,
    /// We have said that it is being created, and have not tried to take that back.
    marked: bool,
    /// How often it was found not to be ready.
    looks: u32,
    /// How often the driver has refused to tell about it, when it was to be deleted.
    refusals: u32,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Interned, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, content: &Meta, change: impl FnOnce(&mut Entry) -> R) -> R {
        let mut known = self.lock();
        let new = || Entry {
            uid: content.uid.clone(),
            past: Past::default(),
            marked: false,
            looks: 0,
            refusals: 0,
        };
        let entry = known.entry(content.name.clone()).or_insert_with(new);
        if entry.uid != content.uid {
            *entry = new();
        }
        change(entry)
    }

    fn read<R: Default>(&self, content: &Meta, read: impl FnOnce(&Entry) -> R) -> R {
        let known = self.lock();
        known.get(&content.name).filter(|entry| entry.uid == content.uid).map(read).unwrap_or_default()
    }

    pub(super) fn past(&self, content: &Meta) -> Past {
        self.read(content, |entry| entry.past)
    }

    /// Whether we have put the annotation there and not tried to take it away since.
    pub(super) fn is_marked(&self, content: &Meta) -> bool {
        self.read(content, |entry| entry.marked)
    }

    pub(super) fn set_marked(&self, content: &Meta, marked: bool) {
        self.change(content, |entry| entry.marked = marked);
    }

    /// A call to take the snapshot goes out.
    pub(super) fn opens(&self, content: &Meta) {
        self.change(content, |entry| entry.past.call = LastCall::Open);
    }

    /// It is answered, and the answer is written down.
    pub(super) fn settles(&self, content: &Meta) {
        self.change(content, |entry| entry.past.call = LastCall::Settled);
    }

    pub(super) fn deleted(&self, content: &Meta) {
        self.change(content, |entry| entry.past.deleted = true);
    }

    /// The driver has refused to tell about the snapshot that it is to delete. How often it has by now.
    pub(super) fn refused(&self, content: &Meta) -> u32 {
        self.change(content, |entry| {
            entry.refusals = entry.refusals.saturating_add(1);
            entry.refusals
        })
    }

    /// The driver was asked about the snapshot in vain.
    pub(super) fn untold(&self, content: &Meta) {
        self.change(content, |entry| entry.past.untold = true);
    }

    /// How often it was found not to be ready before this time.
    pub(super) fn is_not_ready(&self, content: &Meta) -> u32 {
        self.change(content, |entry| {
            let before = entry.looks;
            entry.looks = before.saturating_add(1);
            before
        })
    }

    /// Whether its next look has a time already.
    pub(super) fn is_being_followed(&self, content: &Meta) -> bool {
        self.read(content, |entry| entry.looks > 0)
    }

    /// It has no time for its next look any more. What its calls have brought stays known.
    pub(super) fn unfollow(&self, content: &Meta) {
        if let Some(entry) = self.lock().get_mut(&content.name).filter(|entry| entry.uid == content.uid) {
            entry.looks = 0;
        }
    }

    /// There is nothing more to do about the content of this name, or no such content.
    pub(super) fn forget(&self, name: &Interned) {
        self.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(uid: &str) -> Meta {
        Meta { name: "content".into(), uid: Uid::new(uid), ..Meta::default() }
    }

    #[test]
    fn a_content_made_anew_inherits_nothing() {
        let (memory, old, new) = (Memory::default(), meta("a"), meta("b"));
        memory.set_marked(&old, true);
        memory.settles(&old);
        memory.deleted(&old);
        assert_eq!((memory.is_not_ready(&old), memory.is_not_ready(&old)), (0, 1));
        assert!(memory.is_marked(&old) && memory.is_being_followed(&old));
        assert_eq!(memory.past(&old), Past { call: LastCall::Settled, deleted: true, untold: false });
        memory.unfollow(&old);
        assert!(memory.is_marked(&old) && !memory.is_being_followed(&old));
        assert!(!memory.is_marked(&new) && !memory.is_being_followed(&new));
        assert_eq!(memory.past(&new), Past::default());
        memory.opens(&new);
        assert_eq!(memory.past(&new).call, LastCall::Open);
        assert_eq!(memory.past(&old), Past::default(), "the old one is forgotten");
        memory.forget(&"content".into());
        assert!(memory.lock().is_empty());
    }
}
