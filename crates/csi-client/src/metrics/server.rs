//! The server's side: records every call that a driver answers.
//!
//! A gRPC status comes in the headers when the call failed at once and in the trailers otherwise, so the sample is
//! taken when the body of the response has ended.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::{Layer, Service};

use super::RpcMetrics;
use crate::codes::code_number_name;

/// Wraps services so that their calls are recorded.
#[derive(Debug, Clone)]
pub struct ServerMetricsLayer(pub RpcMetrics);

impl<S> Layer<S> for ServerMetricsLayer {
    type Service = ServerMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerMetrics { inner, metrics: self.0.clone() }
    }
}

/// A service whose calls are recorded.
#[derive(Debug, Clone)]
pub struct ServerMetrics<S> {
    inner: S,
    metrics: RpcMetrics,
}

impl<S: NamedService> NamedService for ServerMetrics<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for ServerMetrics<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().to_owned();
        let sample = Sample { metrics: self.metrics.clone(), method, start: Instant::now(), done: false };
        let response = self.inner.call(request);
        Box::pin(async move { Ok(observe(response.await?, sample)) })
    }
}

fn observe(response: Response<Body>, mut sample: Sample) -> Response<Body> {
    sample.look_at(response.headers());
    response.map(|inner| Body::new(ObservedBody { inner, sample }))
}

/// A call that is under way; a call that is given up counts as cancelled.
struct Sample {
    metrics: RpcMetrics,
    method: String,
    start: Instant,
    done: bool,
}

impl Sample {
    fn look_at(&mut self, headers: &HeaderMap) {
        let Some(code) = headers.get("grpc-status") else { return };
        let number = code.to_str().ok().and_then(|text| text.parse().ok());
        self.finish(&number.map_or("Unknown".into(), code_number_name));
    }

    fn finish(&mut self, code: &str) {
        if !self.done {
            self.done = true;
            self.metrics.record(&self.method, code, self.start.elapsed(), None);
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.finish("Canceled");
    }
}

struct ObservedBody {
    inner: Body,
    sample: Sample,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.sample.look_at(trailers);
                }
            }
            Some(Err(status)) => self.sample.finish(crate::codes::code_name(status.code())),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
