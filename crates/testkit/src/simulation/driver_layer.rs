//! A sidecar's way to the driver, on which things go wrong.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service};

use super::Incarnation;
use super::fault::DriverFault;
use crate::driver::Step;

/// A transport for `Connection::from_service` that belongs to one life of a sidecar.
#[derive(Debug, Clone)]
pub struct FaultyDriver {
    life: Incarnation,
}

impl Service<Request<Body>> for FaultyDriver {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let layer = self.clone();
        Box::pin(async move {
            let life = layer.life.clone();
            life.alive(layer.exchange(request)).await
        })
    }
}

impl FaultyDriver {
    pub(super) fn new(life: Incarnation) -> Self {
        Self { life }
    }

    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let world = self.life.world();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut service = world.driver().service();
        let step = match world.choose_driver() {
            DriverFault::CrashBefore => {
                self.done(&method, "crash before");
                return self.life.crash_here().await;
            }
            DriverFault::Lost => {
                self.done(&method, "lost on the way");
                return Err(Status::unavailable("error reading from server: EOF").into());
            }
            DriverFault::CrashAfter => {
                // What the driver has begun it finishes, whether or not the caller lives.
                let _ = service.call(request).await;
                self.done(&method, "crash after");
                return self.life.crash_here().await;
            }
            DriverFault::Step(step) => step,
        };
        let text = format!("{step:?}");
        if matches!(step, Step::Normal) {
            let answer = service.call(request).await;
            self.done(&method, &code_of(&answer));
            return answer;
        }
        request.extensions_mut().insert(step);
        world.note(&format!("{} {method} {text}", self.life.name()));
        let answer = service.call(request).await;
        self.done(&method, &format!("{} ({text})", code_of(&answer)));
        answer
    }

    fn done(&self, method: &str, outcome: &str) {
        self.life.world().after_call(&format!("{} {method} -> {outcome}", self.life.name()));
    }
}

fn code_of(answer: &Result<Response<Body>, BoxError>) -> String {
    match answer {
        Err(_) => "no connection".to_owned(),
        // Errors have the code in the headers; an answer with a body is a success here.
        Ok(response) => match Status::from_header_map(response.headers()) {
            Some(status) => format!("{:?}", status.code()),
            None => "Ok".to_owned(),
        },
    }
}
