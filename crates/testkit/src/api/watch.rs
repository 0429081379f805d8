//! Watches: a start in the past, at now, or with the whole state first; then every change, bookmarks, and an end.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::ApiServer;
use super::doc;
use super::failure::{Cause, Failure};
use super::read::{LIST_OPTIONS, Shape, parse_version};
use super::resources::Resource;
use super::selector::Selector;
use super::store::{Change, ChangeKind, Object, Signal, Store};

/// How often an idle watch gets a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The parameters of a watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchParams {
    pub(crate) selector: Selector,
    pub(crate) version: String,
    pub(crate) version_match: String,
    pub(crate) bookmarks: bool,
    pub(crate) initial_events: Option<bool>,
    pub(crate) timeout: Option<Duration>,
}

/// A watch that was accepted.
pub(crate) struct Watch {
    resource: &'static Resource,
    selector: Selector,
    shape: Shape,
    backlog: std::collections::VecDeque<Bytes>,
    changes: Option<UnboundedReceiver<Signal>>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    after: u64,
    server: ApiServer,
}

/// What a store gives to a new watch.
pub(crate) struct Opening {
    backlog: Vec<Bytes>,
    changes: Option<UnboundedReceiver<Signal>>,
    /// Changes up to this version are not shown: a watch may start in the future.
    after: u64,
}

impl Store {
    /// Accepts a watch: everything up to now goes into the backlog, everything later into the channel.
    pub(crate) fn open_watch(
        &mut self,
        resource: &'static Resource,
        params: &WatchParams,
        shape: Shape,
    ) -> Result<Opening, Failure> {
        check(params)?;
        let since = parse_version(&params.version)?;
        let state_first = params.initial_events.unwrap_or(since == 0);
        if !state_first && since > 0 && since < self.compacted() {
            let message = format!("too old resource version: {since} ({})", self.compacted());
            let failure = Failure::expired(message);
            return Ok(Opening {
                backlog: vec![frame("ERROR", failure.to_value().to_string().as_bytes())],
                changes: None,
                after: 0,
            });
        }
        let mut backlog: Vec<Bytes> = Vec::new();
        if state_first {
            let selected = self.all(resource).filter(|object| params.selector.matches(&object.value));
            backlog.extend(selected.map(|object| frame("ADDED", &shape.show(object))));
        } else if since > 0 {
            let changes = self.changes_after(resource, since);
            backlog.extend(changes.iter().filter_map(|change| event(change, &params.selector, shape)));
        }
        if params.initial_events == Some(true) {
            backlog.push(bookmark(resource, shape, self.version(), true));
        }
        Ok(Opening { backlog, changes: Some(self.watch(resource)), after: since })
    }
}

fn check(params: &WatchParams) -> Result<(), Failure> {
    let cause = match (params.initial_events, params.version_match.as_str()) {
        (Some(_), "NotOlderThan") | (None, "") => return Ok(()),
        (None, _) => Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (Some(_), _) => Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
    };
    Err(Failure::invalid(&LIST_OPTIONS, "", &[cause]))
}

impl Watch {
    pub(crate) fn new(
        server: ApiServer,
        resource: &'static Resource,
        params: WatchParams,
        shape: Shape,
        opening: Opening,
    ) -> Self {
        let now = Instant::now();
        Self {
            resource,
            selector: params.selector,
            shape,
            backlog: opening.backlog.into(),
            changes: opening.changes,
            after: opening.after,
            bookmarks: params.bookmarks,
            next_bookmark: now + BOOKMARK_EVERY,
            end: now + params.timeout.unwrap_or(DEFAULT_TIMEOUT),
            server,
        }
    }

    /// The frames of the watch.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|frame| (frame, watch)) })
    }

    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            if let Some(frame) = self.backlog.pop_front() {
                return Some(Ok(frame));
            }
            let changes = self.changes.as_mut()?;
            let wake = if self.bookmarks { self.next_bookmark.min(self.end) } else { self.end };
            let signal = tokio::select! {
                biased;
                signal = changes.recv() => signal,
                () = sleep_until(wake) => {
                    self.on_time();
                    continue;
                }
            };
            match signal {
                Some(Signal::Change(change)) => {
                    if change.object.version > self.after
                        && let Some(frame) = event(&change, &self.selector, self.shape)
                    {
                        return Some(Ok(frame));
                    }
                }
                Some(Signal::Break) => {
                    self.changes = None;
                    return Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
                }
                Some(Signal::Expire) => {
                    self.changes = None;
                    let failure = Failure::expired("too old resource version");
                    return Some(Ok(frame("ERROR", failure.to_value().to_string().as_bytes())));
                }
                None => return None,
            }
        }
    }

    /// A bookmark is due, or the watch is over (which a last bookmark announces).
    fn on_time(&mut self) {
        let now = Instant::now();
        self.next_bookmark = now + BOOKMARK_EVERY;
        // Under the lock: a bookmark must not overtake a change that is already in the channel.
        let version = self.server.with_store(|store| {
            let drained = self.changes.as_ref().is_none_or(UnboundedReceiver::is_empty);
            (self.bookmarks && drained).then(|| store.version())
        });
        if let Some(version) = version {
            self.backlog.push_back(bookmark(self.resource, self.shape, version, false));
        }
        if now >= self.end {
            self.changes = None;
        }
    }
}

/// The frame of a change as a watch with this selector sees it.
fn event(change: &Change, selector: &Selector, shape: Shape) -> Option<Bytes> {
    let now = change.kind != ChangeKind::Deleted && selector.matches(&change.object.value);
    let before = change.previous.as_ref().filter(|previous| selector.matches(&previous.value));
    match (before, now) {
        (None, false) => None,
        (None, true) => Some(frame("ADDED", &shape.show(&change.object))),
        (Some(_), true) => Some(frame("MODIFIED", &shape.show(&change.object))),
        (Some(_), false) if change.kind == ChangeKind::Deleted => {
            Some(frame("DELETED", &shape.show(&change.object)))
        }
        (Some(previous), false) => {
            // It still exists but left the selection: its last selected state, at the version of the change.
            let mut value = previous.value.clone();
            doc::set(&mut value, &["metadata", "resourceVersion"], change.object.version.to_string());
            let left = Object::new(value, change.object.version);
            Some(frame("DELETED", &shape.show(&left)))
        }
    }
}

fn bookmark(resource: &Resource, shape: Shape, version: u64, initial_end: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": Value::Null});
    if initial_end {
        doc::set(&mut metadata, &["annotations", "k8s.io/initial-events-end"], "true");
    }
    let (kind, api_version) = match shape {
        Shape::Full => (resource.kind, resource.api_version()),
        Shape::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
    };
    let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
    frame("BOOKMARK", object.to_string().as_bytes())
}

fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(object.len() + 40);
    text.extend_from_slice(br#"{"type":""#);
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(br#"","object":"#);
    text.extend_from_slice(object);
    text.extend_from_slice(b"}\n");
    Bytes::from(text)
}
