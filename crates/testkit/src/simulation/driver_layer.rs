//! A sidecar's way to the driver, on which things go wrong.

use std::pin::Pin;
use std::task::{Context, Poll};

use csi_client::csi::{
    ControllerExpandVolumeRequest, CreateSnapshotRequest, CreateVolumeGroupSnapshotRequest,
    CreateVolumeRequest,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};
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

/// Calls after which the driver has something that a refusal would deny.
const CAN_BE_DONE: [&str; 4] =
    ["CreateVolume", "ControllerExpandVolume", "CreateSnapshot", "CreateVolumeGroupSnapshot"];

impl FaultyDriver {
    pub(super) fn new(life: Incarnation) -> Self {
        Self { life }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
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
        let (step, mut request) = self.honest(step, request).await?;
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

    /// A final refusal says that nothing was done. Where an earlier call, whose answer was lost, has done what is asked for,
    /// it would be a lie, and one that no sidecar can see through: such a call works.
    async fn honest(&self, step: Step, request: Request<Body>) -> Result<(Step, Request<Body>), BoxError> {
        let refuses = matches!(&step, Step::Fail(code, _) if !leaves_open(*code));
        let late = matches!(&step, Step::Late(_, next) if matches!(&**next, Step::Fail(code, _) if !leaves_open(*code)));
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        if !(refuses || late) || !CAN_BE_DONE.contains(&method.as_str()) {
            return Ok((step, request));
        }
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes();
        // Five bytes of framing, then the message.
        let done = bytes.get(5..).is_some_and(|message| self.is_done(&method, message));
        let request = Request::from_parts(parts, Body::new(Full::new(bytes)));
        Ok((if done { Step::Normal } else { step }, request))
    }

    /// Whether the driver already has what this message asks for.
    fn is_done(&self, method: &str, message: &[u8]) -> bool {
        let driver = self.life.world().driver();
        match method {
            "CreateVolume" => CreateVolumeRequest::decode(message)
                .is_ok_and(|wanted| driver.volumes().iter().any(|volume| volume.name == wanted.name)),
            "CreateSnapshot" => CreateSnapshotRequest::decode(message)
                .is_ok_and(|wanted| driver.snapshots().values().any(|name| *name == wanted.name)),
            "CreateVolumeGroupSnapshot" => CreateVolumeGroupSnapshotRequest::decode(message)
                .is_ok_and(|wanted| driver.groups().values().any(|name| *name == wanted.name)),
            _ => ControllerExpandVolumeRequest::decode(message).is_ok_and(|wanted| {
                let bytes = wanted.capacity_range.unwrap_or_default().required_bytes;
                let volumes = driver.volumes();
                volumes.iter().any(|volume| volume.id == wanted.volume_id && volume.capacity >= bytes)
            }),
        }
    }

    fn done(&self, method: &str, outcome: &str) {
        self.life.world().after_call(&format!("{} {method} -> {outcome}", self.life.name()));
    }
}

/// Whether the code leaves it open if something was done.
fn leaves_open(code: Code) -> bool {
    matches!(code, Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable | Code::Aborted)
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
