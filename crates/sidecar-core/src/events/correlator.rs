//! Decides what becomes of a reported event: a new object, a higher count of an old one, or nothing.
//!
//! Three steps, as in client-go, each with its memory of the last 4096 keys. Pure: the time comes with the event.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::lru::Lru;
use super::{ObjectRef, Report};

/// Keys that each step remembers.
const MEMORY: usize = 4096;
/// Different messages, of otherwise equal events, from which on they are combined.
const SIMILAR_EVENTS: usize = 10;
/// Similar events that are further apart start afresh.
const SIMILAR_INTERVAL: Duration = Duration::from_secs(600);
/// What a combined event's message starts with.
const COMBINED_PREFIX: &str = "(combined from similar events): ";
/// Events that one source may send about one object at once.
const SPAM_BURST: f64 = 25.0;
/// After the burst: one more event in this time.
const SPAM_REFILL: Duration = Duration::from_secs(300);

/// Hash of what identifies an event; equal keys of different events are not to be expected in the life of a process.
pub(super) type Key = u128;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Correlated {
    pub(super) report: Report,
    pub(super) first: Timestamp,
    pub(super) count: u32,
    /// What [`Correlator::written`] is to be told.
    pub(super) key: Key,
}

/// The memory of the three steps.
#[derive(Debug)]
pub(super) struct Correlator {
    similar: Lru<Key, Similar>,
    seen: Lru<Key, Option<Seen>>,
    spam: Lru<Key, Bucket>,
}

/// Messages of otherwise equal events.
#[derive(Debug)]
struct Similar {
    messages: Vec<Key>,
    last: Instant,
}

/// The object that equal events are counted in.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    first: Timestamp,
    count: u32,
}

/// How many events may still be sent about an object.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Correlator {
    pub(super) fn new() -> Self {
        Self { similar: Lru::new(MEMORY), seen: Lru::new(MEMORY), spam: Lru::new(MEMORY) }
    }

    /// What to write for `report` at `now`; `None` if its source has said too much about the object.
    pub(super) fn correlate(&mut self, report: Report, now: Instant) -> Option<Correlated> {
        let spam_key = key(&(&*report.component, &object_key(&report.object), report.kind));
        let (report, key) = self.combine(report, now);
        let correlated = self.count(report, key);
        self.permits(spam_key, now).then_some(correlated)
    }

    /// Takes over what the API server made of it.
    pub(super) fn written(&mut self, correlated: &Correlated, name: String, count: u32) {
        *self.seen.entry(&correlated.key, || None) = Some(Seen { name, first: correlated.first, count });
    }

    /// Step 1: from the tenth different message on, one event stands for all.
    fn combine(&mut self, report: Report, now: Instant) -> (Report, Key) {
        let group = (&*report.component, &object_key(&report.object), report.kind, &report.reason);
        let (group_key, full_key) = (key(&(0, group)), key(&(1, group, &report.message)));
        let similar = self.similar.entry(&group_key, || Similar { messages: Vec::new(), last: now });
        if now.saturating_duration_since(similar.last) > SIMILAR_INTERVAL {
            similar.messages.clear();
        }
        similar.last = now;
        let message = key(&report.message);
        if !similar.messages.contains(&message) {
            similar.messages.push(message);
        }
        if similar.messages.len() < SIMILAR_EVENTS {
            return (report, full_key);
        }
        similar.messages.remove(0);
        let message = format!("{COMBINED_PREFIX}{}", report.message);
        (Report { message, ..report }, group_key)
    }

    /// Step 2: an event seen before is counted in the object that stands for it.
    fn count(&mut self, mut report: Report, key: Key) -> Correlated {
        let entry = self.seen.entry(&key, || None);
        let (first, count) = match entry {
            Some(seen) => {
                report.name.clone_from(&seen.name);
                (seen.first, seen.count.saturating_add(1))
            }
            None => (report.at, 1),
        };
        *entry = Some(Seen { name: report.name.clone(), first, count });
        Correlated { report, first, count, key }
    }

    /// Step 3: a bucket of 25 per source and object, refilled slowly. Silenced events have been counted all the same.
    fn permits(&mut self, key: Key, now: Instant) -> bool {
        let bucket = self.spam.entry(&key, || Bucket { tokens: SPAM_BURST, filled: now });
        let refill = now.saturating_duration_since(bucket.filled).div_duration_f64(SPAM_REFILL);
        bucket.tokens = (bucket.tokens + refill).min(SPAM_BURST);
        bucket.filled = now;
        let permitted = bucket.tokens >= 1.0;
        if permitted {
            bucket.tokens -= 1.0;
        }
        permitted
    }
}

/// The object without its version, which changes with every write.
fn object_key(object: &ObjectRef) -> impl Hash + Copy + '_ {
    (&*object.kind, &*object.namespace, &*object.name, &*object.uid, &*object.api_version)
}

fn key(of: &impl Hash) -> Key {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        of.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
