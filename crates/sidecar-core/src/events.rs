//! Events that operators see in `kubectl describe`, without drowning the API server in them.
//!
//! Core/v1 events with client-go's correlation (sheet `common-library`, section 7): repeated events become a count,
//! similar ones are combined, and an object that never calms down is silenced for a while. What an operator reads, and
//! what tests of other projects wait for, is therefore the same as with upstream's sidecars.
//!
//! A controller holds a [`Recorder`], whose calls only put the event into a queue; an [`EventWriter`] task with an API
//! client of its own, and hence a budget of its own, does the rest. A full queue drops events, never delays work; what is
//! dropped is counted, and said in the log from time to time.

mod correlator;
mod dropped;
mod lru;
mod reference;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot};

use dropped::Dropped;
pub use reference::ObjectRef;
pub use writer::EventWriter;

use crate::clock::Clock;
use crate::random::Random;

/// Events that may wait to be written (client-go's `maxQueuedEvents`).
const QUEUE_LENGTH: usize = 1000;

/// The API server's limit for names.
const LONGEST_NAME: usize = 253;

/// How serious an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Something went as it should.
    Normal,
    /// Something did not.
    Warning,
}

impl EventKind {
    /// The API's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event as its reporter made it, before correlation.
#[derive(Debug, Clone)]
struct Report {
    name: String,
    component: Arc<str>,
    object: ObjectRef,
    kind: EventKind,
    reason: String,
    message: String,
    at: Timestamp,
}

#[derive(Debug)]
enum Item {
    Report(Box<Report>),
    Flush(oneshot::Sender<()>),
}

/// Where recorders put their events. Clones share the queue.
#[derive(Debug, Clone)]
pub struct EventSink {
    queue: mpsc::Sender<Item>,
    clock: Clock,
    random: Random,
    last_nanos: Arc<AtomicI64>,
    dropped: Arc<Dropped>,
}

impl EventSink {
    /// A queue, and the task that is to empty it. What the queue cannot take is counted in `dropped`.
    pub fn new(clock: Clock, random: Random, dropped: IntCounter) -> (Self, EventWriter) {
        let (queue, waiting) = mpsc::channel(QUEUE_LENGTH);
        let writer = EventWriter::new(waiting, clock.clone(), random.clone());
        let dropped = Arc::new(Dropped::new(dropped));
        (Self { queue, clock, random, last_nanos: Arc::default(), dropped }, writer)
    }

    /// A recorder whose events name `component` as their source and reporting component.
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder { sink: self.clone(), component: component.into() }
    }

    /// Waits until all events recorded so far are written or given up, but not longer than `limit`.
    pub async fn flush(&self, limit: Duration) {
        let (done, waiting) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Item::Flush(done)).await.is_ok() {
                let _writer_gone = waiting.await;
            }
        };
        if tokio::time::timeout(limit, flushed).await.is_err() {
            tracing::info!(v = 2, "Gave up waiting for events to be written");
        }
    }

    /// `<object>.<hex nanoseconds>` as client-go names events, made unique where a clock is too coarse (or paused).
    fn name(&self, object: &str, at: Timestamp) -> String {
        let wanted = i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        let previous = self
            .last_nanos
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(wanted.max(last.saturating_add(1)))
            })
            .unwrap_or_default();
        let nanos = wanted.max(previous.saturating_add(1));
        let name = format!("{object}.{nanos:x}");
        if name.len() <= LONGEST_NAME { name } else { self.random.uuid().to_string() }
    }
}

/// Reports events of one component. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Recorder {
    sink: EventSink,
    component: Arc<str>,
}

impl Recorder {
    /// Reports an event about `object`. Never waits: where the queue is full, the event is dropped and counted.
    pub fn event(&self, object: &ObjectRef, kind: EventKind, reason: &str, message: &str) {
        let at = self.sink.clock.now();
        let report = Report {
            name: self.sink.name(&object.name, at),
            component: self.component.clone(),
            object: object.clone(),
            kind,
            reason: reason.to_owned(),
            message: message.to_owned(),
            at,
        };
        match self.sink.queue.try_send(Item::Report(Box::new(report))) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let now = self.sink.clock.monotonic();
                if let Some(dropped) = self.sink.dropped.one_more(now) {
                    // A field called `message` would take the place of the text.
                    tracing::error!(
                        object = %object, reason, note = message, dropped,
                        "Unable to record event: too many queued events, dropped event"
                    );
                }
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                tracing::error!(object = %object, reason, note = message, "Unable to record event (will not retry!)");
            }
        }
    }
}
