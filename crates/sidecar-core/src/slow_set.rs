//! Keys whose next attempt is postponed because the last one was hopeless.
//!
//! Upstream sweeps its slow set every 100 ms and lets the queue spin against it meanwhile (sheet `common-library`, 5.6). Here
//! nobody sweeps: [`SlowSet::time_remaining`] tells the caller exactly when to come back, and entries past their time are
//! dropped when others are added. An entry remembers something about the conditions it was made under (the class' uid in
//! the provisioner), so that a change of these can end the postponement.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A set of keys that expire. Clones share their state.
#[derive(Debug)]
pub struct SlowSet<K, V> {
    retention: Duration,
    state: Arc<Mutex<State<K, V>>>,
}

impl<K, V> Clone for SlowSet<K, V> {
    fn clone(&self) -> Self {
        Self { retention: self.retention, state: self.state.clone() }
    }
}

#[derive(Debug)]
struct State<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// In order of addition, which is the order of expiry. May hold keys that were removed since.
    by_age: VecDeque<(Instant, K)>,
}

/// One key's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// When the key was added.
    pub added: Instant,
    /// What was remembered with it.
    pub value: V,
}

impl<K: Clone + Ord, V: Clone> SlowSet<K, V> {
    /// An empty set whose entries hold for `retention` (`--retry-interval-max` in all sidecars).
    pub fn new(retention: Duration) -> Self {
        let state = State { entries: BTreeMap::new(), by_age: VecDeque::new() };
        Self { retention, state: Arc::new(Mutex::new(state)) }
    }

    /// Adds a key; `false` if it was there already, whose time is then not refreshed.
    pub fn add(&self, key: K, value: V) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.purge(now, self.retention);
        if state.entries.contains_key(&key) {
            return false;
        }
        state.entries.insert(key.clone(), Entry { added: now, value });
        state.by_age.push_back((now, key));
        true
    }

    /// Whether the key is there and its time has not passed.
    pub fn contains(&self, key: &K) -> bool {
        !self.time_remaining(key).is_zero()
    }

    /// The entry of a key, even if its time has passed.
    pub fn get(&self, key: &K) -> Option<Entry<V>> {
        self.lock().entries.get(key).cloned()
    }

    /// How long the key stays; zero if it is not there or its time has passed.
    pub fn time_remaining(&self, key: &K) -> Duration {
        let state = self.lock();
        state
            .entries
            .get(key)
            .map_or(Duration::ZERO, |entry| self.retention.saturating_sub(entry.added.elapsed()))
    }

    /// Removes a key.
    pub fn remove(&self, key: &K) {
        self.lock().entries.remove(key);
    }

    /// How many entries are held, those past their time included.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// How many entries hold at the moment.
    pub fn waiting(&self) -> usize {
        let state = self.lock();
        state.entries.values().filter(|entry| entry.added.elapsed() < self.retention).count()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord, V> State<K, V> {
    fn purge(&mut self, now: Instant, retention: Duration) {
        while let Some((added, _)) = self.by_age.front()
            && now - *added >= retention
            && let Some((added, key)) = self.by_age.pop_front()
        {
            // The key may have been removed and added again since.
            if self.entries.get(&key).is_some_and(|entry| entry.added == added) {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const RETENTION: Duration = Duration::from_secs(300);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn double_add_keeps_first_time() {
        let set = SlowSet::new(RETENTION);
        assert!(set.add("claim", 1));
        let first = set.get(&"claim").unwrap();
        advance(SECOND).await;
        assert!(!set.add("claim", 2));
        assert_eq!(set.get(&"claim"), Some(first));
    }

    #[tokio::test(start_paused = true)]
    async fn expires_after_retention_contains_false_even_before_purge() {
        let set = SlowSet::new(RETENTION);
        set.add("claim", ());
        advance(RETENTION.saturating_sub(SECOND)).await;
        assert!(set.contains(&"claim"));
        advance(SECOND).await;
        assert!(!set.contains(&"claim"));
        assert!(set.get(&"claim").is_some(), "the raw entry is still there");
        assert_eq!((set.len(), set.waiting()), (1, 0));
        set.add("other", ());
        assert_eq!((set.get(&"claim"), set.len()), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn time_remaining_in_0_retention() {
        let set = SlowSet::new(RETENTION);
        assert_eq!(set.time_remaining(&"claim"), Duration::ZERO);
        set.add("claim", ());
        advance(SECOND).await;
        assert_eq!(set.time_remaining(&"claim"), RETENTION.saturating_sub(SECOND));
        tokio::time::sleep(set.time_remaining(&"claim")).await;
        assert!(!set.contains(&"claim"), "the wake-up is exact");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_removed_and_added_again_has_a_new_time() {
        let set = SlowSet::new(RETENTION);
        set.add("claim", ());
        advance(SECOND * 200).await;
        set.remove(&"claim");
        assert!(set.is_empty());
        set.add("claim", ());
        advance(SECOND * 150).await;
        set.add("other", ());
        assert!(set.contains(&"claim"), "the stale place in the order must not remove the new entry");
        assert_eq!(set.time_remaining(&"claim"), SECOND * 150);
    }
}
