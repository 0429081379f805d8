//! Strings stored once per process.
//!
//! A cluster repeats the same few driver, class, namespace and node names tens of thousands of times, and the name of a
//! volume appears in the volume, in its claim and in its attachment. Entries are counted: the pool forgets a string soon
//! after its last user has gone, so it cannot grow for ever.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use arcstr::ArcStr;

/// An immutable string of pointer size. Equal strings made with [`Interned::new`] share their storage.
// 8 bytes in every struct where `Arc<str>` takes 16, and `Option` costs nothing.
#[derive(Clone)]
pub struct Interned(ArcStr);

/// The pool is swept when it has grown to this many entries, or to twice what the last sweep left.
const FIRST_SWEEP: usize = 1024;

struct Pool {
    strings: HashSet<Interned>,
    sweep_at: usize,
}

static POOL: LazyLock<Mutex<Pool>> =
    LazyLock::new(|| Mutex::new(Pool { strings: HashSet::new(), sweep_at: FIRST_SWEEP }));

fn pool() -> MutexGuard<'static, Pool> {
    // A panic while the pool is locked leaves it consistent: every change is a single insert or retain.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Interned {
    /// The shared copy of `text`, made now if there is none.
    pub fn new(text: &str) -> Self {
        let mut pool = pool();
        if let Some(found) = pool.strings.get(text) {
            return found.clone();
        }
        if pool.strings.len() >= pool.sweep_at {
            pool.sweep();
        }
        let made = Self::unshared(text);
        pool.strings.insert(made.clone());
        made
    }

    /// A string of its own, for text that is not expected to occur twice: costs less than an entry in the pool.
    pub fn unshared(text: &str) -> Self {
        Self(ArcStr::from(text))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many strings the pool holds; for tests and the memory benchmark.
    pub fn pool_size() -> usize {
        let mut pool = pool();
        pool.sweep();
        pool.strings.len()
    }
}

impl Pool {
    fn sweep(&mut self) {
        // The empty string is static and has no count; it may go, and comes back for free.
        self.strings.retain(|entry| ArcStr::strong_count(&entry.0).is_some_and(|count| count > 1));
        self.sweep_at = (self.strings.len() * 2).max(FIRST_SWEEP);
        if self.strings.capacity() > self.sweep_at * 4 {
            self.strings.shrink_to(self.sweep_at);
        }
    }
}

impl Deref for Interned {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Interned {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Interned {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Interned {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Interned {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        ArcStr::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Interned {}

impl PartialEq<str> for Interned {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Interned {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Interned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Interned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Interned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Interned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_their_storage() {
        let (a, b) = (Interned::new("hostpath.csi.k8s.io"), Interned::new("hostpath.csi.k8s.io"));
        assert!(ArcStr::ptr_eq(&a.0, &b.0));
        assert_eq!(a, "hostpath.csi.k8s.io");
        assert_eq!(Interned::unshared("x"), Interned::new("x"));
    }

    #[test]
    fn the_pool_forgets_strings_that_nobody_uses() {
        let keep = Interned::new("kept-by-this-test");
        for n in 0..20_000 {
            drop(Interned::new(&format!("dropped-{n}")));
        }
        // Other tests use the same pool, but not by the thousand.
        assert!(Interned::pool_size() < 5_000);
        assert!(ArcStr::ptr_eq(&keep.0, &Interned::new("kept-by-this-test").0));
    }

    #[test]
    fn an_option_costs_no_more_than_the_string() {
        assert_eq!(size_of::<Option<Interned>>(), 8);
    }
}
