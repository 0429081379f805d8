//! A small cache that forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// At most `capacity` entries. Reading or writing an entry makes it the youngest.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    capacity: usize,
    turn: u64,
    entries: HashMap<K, (u64, V)>,
    ages: BTreeMap<u64, K>,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, turn: 0, entries: HashMap::new(), ages: BTreeMap::new() }
    }

    /// The entry, made if absent.
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.turn += 1;
        if !self.entries.contains_key(key) && self.entries.len() >= self.capacity {
            self.forget_oldest();
        }
        let (age, value) = self.entries.entry(key.clone()).or_insert_with(|| (0, make()));
        self.ages.remove(age);
        *age = self.turn;
        self.ages.insert(self.turn, key.clone());
        value
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.ages.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_forgotten() {
        let mut cache = Lru::new(2);
        *cache.entry(&"a", || 0) = 1;
        *cache.entry(&"b", || 0) = 2;
        assert_eq!(*cache.entry(&"a", || 0), 1, "used again");
        assert_eq!(*cache.entry(&"c", || 3), 3);
        assert_eq!(*cache.entry(&"a", || 0), 1, "kept");
        assert_eq!(*cache.entry(&"b", || 9), 9, "forgotten");
        assert_eq!((cache.entries.len(), cache.ages.len()), (2, 2));
    }
}
