//! A sidecar's way to the API server, on which things go wrong.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, Stream};
use http::request::Parts;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Service};

use super::Incarnation;
use super::fault::{ApiFault, WatchFault};
use crate::api::{Body, Call, Failure, Resource};

/// A service for `kube::Client::new` that belongs to one life of a sidecar.
#[derive(Debug, Clone)]
pub struct FaultyApi {
    life: Incarnation,
    user: Option<Arc<str>>,
}

impl<B> Service<Request<B>> for FaultyApi
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.clone();
        Box::pin(async move {
            let life = layer.life.clone();
            life.alive(async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(Into::into)?.to_bytes();
                layer.exchange(parts, body).await
            })
            .await
        })
    }
}

impl FaultyApi {
    pub(super) fn new(life: Incarnation, user: Option<Arc<str>>) -> Self {
        Self { life, user }
    }

    async fn exchange(&self, parts: Parts, body: Bytes) -> Result<Response<Body>, BoxError> {
        let world = self.life.world();
        let call = Call::of(&parts);
        let write = matches!(call.verb.as_str(), "update" | "patch" | "delete");
        let fault = world.choose_api(write);
        let watching = call.verb == "watch";
        if let ApiFault::Late(delay) = fault {
            sleep(delay).await;
        }
        match fault {
            ApiFault::CrashBefore => {
                self.done(&call, "crash before");
                return self.life.crash_here().await;
            }
            ApiFault::Before(failure) => {
                self.done(&call, &outcome("refused", failure.as_ref()));
                return refuse(failure);
            }
            ApiFault::Hang => {
                self.done(&call, "hangs");
                return std::future::pending().await;
            }
            ApiFault::Race => self.race(&call),
            _ => {}
        }
        let response = self.pass(parts, body).await;
        let code = response.status().as_u16().to_string();
        match fault {
            ApiFault::CrashAfter => {
                self.done(&call, &format!("{code}, crash after"));
                self.life.crash_here().await
            }
            ApiFault::After(failure) => {
                self.done(&call, &format!("{code}, {}", outcome("lost", failure.as_ref())));
                refuse(failure)
            }
            ApiFault::HangAfter => {
                self.done(&call, &format!("{code}, never told"));
                std::future::pending().await
            }
            ApiFault::LateAnswer(delay) => {
                self.done(&call, &format!("{code}, told late"));
                sleep(delay).await;
                Ok(response)
            }
            _ if watching && response.status().is_success() => {
                self.done(&call, &code);
                Ok(self.disturb(response))
            }
            _ => {
                self.done(&call, &code);
                Ok(response)
            }
        }
    }

    async fn pass(&self, parts: Parts, body: Bytes) -> Response<Body> {
        let request = Request::from_parts(parts, Full::<Bytes>::new(body));
        let api = self.life.world().api();
        let mut service = self.user.as_deref().map_or_else(|| api.service(), |user| api.service_as(user));
        let answer: Result<_, Infallible> = service.call(request).await;
        match answer {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn done(&self, call: &Call, outcome: &str) {
        self.life.world().after_call(&format!("{} {call} -> {outcome}", self.life.name()));
    }

    /// Somebody else writes the object that the call is about.
    fn race(&self, call: &Call) {
        let plural = call.resource.split('/').next().unwrap_or_default();
        let Some(resource) = Resource::find(plural).filter(|row| row.kind != "Lease") else { return };
        let world = self.life.world();
        let stamp = world.elapsed().as_millis().to_string();
        let patch = json!({"metadata": {"annotations": {"simulation.example/race": stamp}}});
        if world.api().patch(resource.kind, &call.namespace, &call.name, &patch).is_ok() {
            world.note(&format!("somebody else writes {} {}", call.resource, call.name));
        }
    }

    /// Lets a watch go wrong later on; a dead process sees nothing of it any more.
    fn disturb(&self, response: Response<Body>) -> Response<Body> {
        let fault = self.life.world().choose_watch();
        let (parts, body) = response.into_parts();
        let watch = DisturbedWatch {
            life: self.life.clone(),
            frames: BodyStream::new(body),
            fault,
            since: Instant::now(),
            over: false,
        };
        Response::from_parts(parts, StreamBody::new(watch.into_stream()).boxed_unsync())
    }
}

fn outcome(word: &str, failure: Option<&Failure>) -> String {
    match failure {
        Some(failure) => format!("{word} with {}", failure.code.as_u16()),
        None => format!("{word}, connection breaks"),
    }
}

fn refuse(failure: Option<Failure>) -> Result<Response<Body>, BoxError> {
    match failure {
        Some(failure) => Ok(failure.into_response()),
        None => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
    }
}

/// A watch with a fault in its future.
struct DisturbedWatch {
    life: Incarnation,
    frames: BodyStream<Body>,
    fault: WatchFault,
    since: Instant,
    over: bool,
}

type WatchFrame = Result<Frame<Bytes>, io::Error>;

impl DisturbedWatch {
    fn into_stream(self) -> impl Stream<Item = WatchFrame> + Send {
        stream::unfold(self, |mut watch| async move {
            let life = watch.life.clone();
            let frame = life.alive(watch.next()).await;
            frame.map(|frame| (frame, watch))
        })
    }

    async fn next(&mut self) -> Option<WatchFrame> {
        if self.over {
            return None;
        }
        let due = match self.fault {
            WatchFault::None => return self.frames.next().await,
            WatchFault::End(after)
            | WatchFault::Break(after)
            | WatchFault::Expire(after)
            | WatchFault::Stall(after, _) => self.since + after,
        };
        tokio::select! {
            biased;
            () = sleep_until(due) => self.strike().await,
            frame = self.frames.next() => frame,
        }
    }

    async fn strike(&mut self) -> Option<WatchFrame> {
        let fault = std::mem::replace(&mut self.fault, WatchFault::None);
        self.life.world().note(&format!("{} watch: {fault:?}", self.life.name()));
        match fault {
            WatchFault::Stall(_, pause) => {
                sleep(pause).await;
                self.frames.next().await
            }
            WatchFault::Break(_) => {
                self.over = true;
                Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)))
            }
            WatchFault::Expire(_) => {
                self.over = true;
                let status = Failure::expired("too old resource version: 1 (2)").to_value();
                let text = json!({"type": "ERROR", "object": status}).to_string() + "\n";
                Some(Ok(Frame::data(Bytes::from(text))))
            }
            WatchFault::End(_) | WatchFault::None => {
                self.over = true;
                None
            }
        }
    }
}
