//! Keeps one store in step with the API server: list, watch, list again when the server has forgotten.
//!
//! Streaming lists first: objects arrive one by one and are projected as they come, so that memory never holds a list.
//! Servers without them are listed in pages. Watches ask for bookmarks, so that a resumed watch rarely finds its version
//! gone. Errors are retried for ever, with client-go's back-off.

mod request;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::decode::{self, DecodeError, Decoder, Event};
use super::frames::Frames;
use super::store::Store;
use crate::api::{self, ErrorKind};
use crate::objects::{Interest, Kind};
use crate::random::Random;
use request::{Backoff, Request};

/// How long a streaming list may be silent before its end. Servers that ignore the request for one stay silent for ever.
const LIST_SILENCE: Duration = Duration::from_secs(30);
/// How long a streaming list may take in all. Where such a server is never silent, because objects change all the time, this
/// is what tells it.
const LIST_LIMIT: Duration = Duration::from_secs(120);
/// How much longer than agreed a watch may last. Dead connections are noticed by pings before that.
const WATCH_OVERTIME: Duration = Duration::from_secs(15);
/// A watch that ends sooner than this without any event is treated as a failure.
const SHORT_WATCH: Duration = Duration::from_secs(1);

/// One kind's list and watch.
pub(super) struct Reflector<T: Kind> {
    pub(super) store: Store<T>,
    pub(super) client: kube::Client,
    pub(super) random: Random,
    /// Notified when the interest has grown, so that what was dropped must be read again.
    pub(super) widened: Arc<Notify>,
}

/// How a list or watch ended without an error.
enum End {
    /// The server closed it, as agreed.
    Closed,
    /// The interest has grown: everything must be read again.
    Widened,
    /// The server has forgotten the version.
    Expired,
    /// The server knows no streaming lists, for this reason.
    NoStreaming(&'static str),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", api::message(.0))]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Stream(String),
    #[error(
        "very short watch: Unexpected watch close - watch lasted less than a second and no items received"
    )]
    ShortWatch,
}

/// Where the reflector stands between two requests.
struct Progress {
    streaming: bool,
    /// Whether to ask for protobuf.
    protobuf: bool,
    /// The version to resume from; `None` when everything must be listed.
    resume: Option<u64>,
    backoff: Backoff,
    /// How often in a row a version was forgotten before the watch from it had shown anything.
    expiries: u32,
}

impl Progress {
    /// A list has come through.
    fn listed(&mut self) {
        if self.expiries == 0 {
            self.backoff.succeeded();
        }
    }
}

impl<T: Kind> Reflector<T> {
    /// Runs until the future is dropped.
    pub(super) async fn run(self) {
        let mut progress =
            Progress { streaming: true, protobuf: true, resume: None, backoff: Backoff::new(), expiries: 0 };
        loop {
            let widened = self.widened.clone();
            let result = tokio::select! {
                biased;
                () = widened.notified() => Ok(End::Widened),
                result = self.step(&mut progress) => result,
            };
            match result {
                Ok(End::Closed) => {}
                Ok(End::Widened) => progress.resume = None,
                Ok(End::Expired) => self.expired(&mut progress).await,
                Ok(End::NoStreaming(reason)) => {
                    let kind = T::RESOURCE.go_type();
                    tracing::info!(
                        r#type = kind,
                        reason,
                        "Server does not stream lists, reading them in pages"
                    );
                    progress.streaming = false;
                }
                Err(Failure::Decode(DecodeError::Protobuf(error))) if progress.protobuf => {
                    let kind = T::RESOURCE.go_type();
                    tracing::warn!(r#type = kind, err = %error, "Cannot read the server's protobuf, asking for JSON");
                    progress.protobuf = false;
                }
                Err(failure) => {
                    self.report(&failure, progress.resume.is_none());
                    tokio::time::sleep(progress.backoff.next(&self.random)).await;
                }
            }
        }
    }

    /// The version to resume from is gone. Once that is nothing special; a server to which every version is too old must
    /// not be asked for lists without end.
    async fn expired(&self, progress: &mut Progress) {
        progress.resume = None;
        progress.expiries += 1;
        if progress.expiries > 1 {
            let pause = progress.backoff.next(&self.random);
            let kind = T::RESOURCE.go_type();
            tracing::warn!(
                r#type = kind,
                times = progress.expiries,
                ?pause,
                "Server forgot the version again before it showed any change, will list again later"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&self, progress: &mut Progress) -> Result<End, Failure> {
        match progress.resume {
            None if progress.streaming => self.watch(progress).await,
            None => {
                progress.resume = Some(self.list(decode::accept::<T>(progress.protobuf)).await?);
                progress.listed();
                Ok(End::Closed)
            }
            Some(_) => self.watch(progress).await,
        }
    }

    /// Lists everything in pages.
    async fn list(&self, accept: &'static str) -> Result<u64, Failure> {
        let interest = self.store.interest();
        self.store.begin_list();
        let mut next = String::new();
        loop {
            let request = Request::Page { next: &next }.build::<T>(accept, &interest.labels);
            let (decoder, response) = self.send(request).await?;
            let body =
                response.collect().await.map_err(|error| Failure::Stream(error.to_string()))?.to_bytes();
            let page = decoder.page(&body, &interest, &mut |item| match item {
                Ok(object) => self.store.apply(object),
                Err(skipped) => self.store.skip(&skipped),
            })?;
            if page.next.is_empty() {
                self.store.end_list(page.version);
                return Ok(page.version);
            }
            next = page.next;
        }
    }

    /// Watches from where we stand; without a version, this begins with a streaming list.
    async fn watch(&self, progress: &mut Progress) -> Result<End, Failure> {
        let seconds = 300 + self.random.below(300);
        let interest = self.store.interest();
        let request = Request::Watch { from: progress.resume, seconds }
            .build::<T>(decode::accept::<T>(progress.protobuf), &interest.labels);
        let (decoder, body) = match self.send(request).await {
            Ok(answer) => answer,
            Err(Failure::Api(error)) => return refused(error, progress.resume.is_none()),
            Err(failure) => return Err(failure),
        };
        let mut session = Session {
            reflector: self,
            decoder,
            interest,
            started: Instant::now(),
            ends: Instant::now() + Duration::from_secs(seconds) + WATCH_OVERTIME,
            listing: progress.resume.is_none(),
            events: 0,
        };
        if session.listing {
            self.store.begin_list();
        }
        session.run(body, progress).await
    }

    /// The body of the answer and who can read it.
    async fn send(&self, request: http::Request<Body>) -> Result<(&'static dyn Decoder<T>, Body), Failure> {
        let (head, body) = self.client.send(request).await?.into_parts();
        if head.status.is_success() {
            return Ok((decode::decoder(&head.headers), body));
        }
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let status = decode::status(&head.headers, head.status.as_u16(), &body);
        Err(kube::Error::Api(Box::new(status)).into())
    }

    fn report(&self, failure: &Failure, listing: bool) {
        let kind = T::RESOURCE;
        let verb = if listing { "list" } else { "watch" };
        let error = format!("failed to {verb} {}: {failure}", kind.go_type());
        let rule = match failure {
            Failure::Api(error) => api::explain_forbidden(error),
            _ => None,
        };
        tracing::error!(err = error, r#type = kind.go_type(), rule, "Failed to watch");
        self.store.report_obstacle(Some(rule.unwrap_or(error)));
    }
}

/// What a refused watch means.
fn refused(error: kube::Error, listing: bool) -> Result<End, Failure> {
    match ErrorKind::of(&error) {
        ErrorKind::Expired => Ok(End::Expired),
        // Older servers reject the parameters of a streaming list.
        ErrorKind::Invalid | ErrorKind::BadRequest if listing => {
            Ok(End::NoStreaming("it rejects the request"))
        }
        _ => Err(error.into()),
    }
}

/// One open watch.
struct Session<'r, T: Kind> {
    reflector: &'r Reflector<T>,
    decoder: &'static dyn Decoder<T>,
    interest: Interest,
    started: Instant,
    ends: Instant,
    /// Whether the initial events of a streaming list are still coming.
    listing: bool,
    events: u64,
}

impl<T: Kind> Session<'_, T> {
    async fn run(&mut self, body: Body, progress: &mut Progress) -> Result<End, Failure> {
        let mut chunks = body.into_data_stream();
        let mut frames = Frames::new(self.decoder.framing());
        loop {
            let silence = if self.listing {
                (Instant::now() + LIST_SILENCE).min(self.started + LIST_LIMIT)
            } else {
                self.ends
            };
            let Ok(chunk) = timeout_at(silence.min(self.ends), chunks.next()).await else {
                return Ok(if self.listing {
                    End::NoStreaming("the list does not end")
                } else {
                    End::Closed
                });
            };
            let Some(chunk) = chunk else { return self.closed() };
            frames.push(&chunk.map_err(|error| Failure::Stream(error.to_string()))?);
            while let Some(event) = frames.next(|frame| self.decoder.event(frame, &self.interest))? {
                if let Some(end) = self.take(event, progress)? {
                    return Ok(end);
                }
            }
        }
    }

    fn take(&mut self, event: Event<T>, progress: &mut Progress) -> Result<Option<End>, Failure> {
        self.events += 1;
        let store = &self.reflector.store;
        match event {
            Event::Applied(object) => store.apply(object),
            Event::Deleted(meta) => store.delete(&meta),
            Event::Unreadable(skipped) => store.skip(&skipped),
            Event::Bookmark { version, ends_list } => {
                if self.listing && ends_list {
                    self.listing = false;
                    store.end_list(version);
                    progress.listed();
                } else if self.listing {
                    // It sends bookmarks, but not the one that ends a list.
                    return Ok(Some(End::NoStreaming("the list has no end")));
                }
                if !self.listing {
                    store.reached(version);
                }
            }
            Event::Error(status) => return refused(kube::Error::Api(status), self.listing).map(Some),
        }
        if !self.listing {
            // What has been taken over need not be sent again, however the watch ends.
            progress.resume = Some(store.version());
            progress.expiries = 0;
        }
        Ok(None)
    }

    fn closed(&self) -> Result<End, Failure> {
        if self.events == 0 && self.started.elapsed() < SHORT_WATCH {
            return Err(Failure::ShortWatch);
        }
        if self.listing {
            return Err(Failure::Stream(
                "the server closed the stream before the end of the list".to_owned(),
            ));
        }
        Ok(End::Closed)
    }
}
