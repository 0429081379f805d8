//! One Lease in memory, served as the API server serves it, with faults on request.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What is to happen to a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Takes effect and is answered after these times.
    Slow(Duration, Duration),
    /// Is answered with this status and has no effect.
    Refuse(u16),
    /// The connection breaks before it takes effect.
    BreakBefore,
    /// The connection breaks after it took effect.
    BreakAfter,
    /// Is never answered and has no effect.
    Hang,
    /// Takes effect after this time and is never answered.
    HangAfter(Duration),
}

/// A call as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) at: Duration,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
}

type Faults = Box<dyn FnMut(&Method) -> Fault + Send>;

struct State {
    lease: Option<Value>,
    version: u64,
    calls: Vec<Call>,
    faults: Faults,
}

/// The server. Clones share the Lease.
#[derive(Clone)]
pub(super) struct LeaseServer {
    state: Arc<Mutex<State>>,
    origin: Instant,
}

impl LeaseServer {
    pub(super) fn new() -> Self {
        let state = State { lease: None, version: 100, calls: Vec::new(), faults: Box::new(|_| Fault::None) };
        Self { state: Arc::new(Mutex::new(state)), origin: Instant::now() }
    }

    /// A server whose Lease has this spec.
    pub(super) fn with_spec(spec: &Value) -> Self {
        let server = Self::new();
        server.edit(|lease| *lease = json!({"metadata": {}, "spec": spec}));
        server
    }

    /// A client of it, subject to the server's faults.
    pub(super) fn client(&self) -> kube::Client {
        let server = self.clone();
        self.client_with(move |method| (server.lock().faults)(method))
    }

    /// A client with faults of its own.
    pub(super) fn client_with(&self, faults: impl FnMut(&Method) -> Fault + Send + 'static) -> kube::Client {
        let (server, faults) = (self.clone(), Arc::new(Mutex::new(faults)));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, faults) = (server.clone(), faults.clone());
            async move {
                let fault = (faults.lock().unwrap())(request.method());
                server.serve(request, fault).await
            }
        });
        kube::Client::new(service, "default")
    }

    /// Decides the fate of every call from now on.
    pub(super) fn set_faults(&self, faults: impl FnMut(&Method) -> Fault + Send + 'static) {
        self.lock().faults = Box::new(faults);
    }

    /// Changes the Lease as somebody else would; makes one if there is none.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.lock();
        let mut lease = state.lease.take().unwrap_or_else(|| json!({"metadata": {}}));
        change(&mut lease);
        state.store(lease);
    }

    pub(super) fn delete(&self) {
        self.lock().lease = None;
    }

    pub(super) fn lease(&self) -> Value {
        self.lock().lease.clone().unwrap_or_default()
    }

    pub(super) fn spec(&self) -> Value {
        self.lease()["spec"].clone()
    }

    pub(super) fn holder(&self) -> String {
        self.spec()["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The calls as `<second> <method>`, events left out.
    pub(super) fn summary(&self) -> Vec<String> {
        let calls = self.calls().into_iter().filter(|call| !call.path.ends_with("/events"));
        calls.map(|call| format!("{} {}", call.at.as_secs(), call.method)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(
        &self,
        request: Request<Body>,
        fault: Fault,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let call =
            Call { at: self.origin.elapsed(), method: parts.method, path: parts.uri.path().to_owned(), body };
        self.lock().calls.push(call.clone());
        match fault {
            Fault::None => Ok(self.apply(&call)),
            Fault::Slow(before, after) => {
                tokio::time::sleep(before).await;
                let answer = self.apply(&call);
                tokio::time::sleep(after).await;
                Ok(answer)
            }
            Fault::Refuse(code) => Ok(failure(code, "refused by the test")),
            Fault::BreakBefore => Err(broken()),
            Fault::BreakAfter => {
                self.apply(&call);
                Err(broken())
            }
            Fault::Hang => std::future::pending().await,
            Fault::HangAfter(delay) => {
                let (server, call) = (self.clone(), call.clone());
                // On its own: the caller giving up must not stop it.
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    server.apply(&call);
                });
                std::future::pending().await
            }
        }
    }

    fn apply(&self, call: &Call) -> Response<Full<Bytes>> {
        if call.path.ends_with("/events") {
            return success(&call.body);
        }
        let mut state = self.lock();
        let stored = state.lease.clone();
        match (&call.method, stored) {
            (&Method::GET, Some(lease)) => success(&lease),
            (&Method::GET | &Method::PUT, None) => failure(404, "not found"),
            (&Method::POST, None) => success(&state.store(call.body.clone())),
            (&Method::POST, Some(_)) => failure(409, "already exists"),
            (&Method::PUT, Some(lease)) if version(&call.body) == version(&lease) => {
                success(&state.store(call.body.clone()))
            }
            (&Method::PUT, Some(_)) => failure(409, "the object has been modified"),
            _ => failure(403, "forbidden"),
        }
    }
}

impl State {
    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        lease["metadata"]["uid"] = "f3b0".into();
        self.lease = Some(lease.clone());
        lease
    }
}

fn version(lease: &Value) -> Value {
    lease["metadata"]["resourceVersion"].clone()
}

fn success(body: &Value) -> Response<Full<Bytes>> {
    Response::new(Full::from(body.to_string()))
}

fn failure(code: u16, message: &str) -> Response<Full<Bytes>> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        _ => "InternalError",
    };
    let status =
        json!({"kind": "Status", "status": "Failure", "message": message, "code": code, "reason": reason});
    let mut response = success(&status);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
