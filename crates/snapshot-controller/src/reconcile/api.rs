//! The calls to the API server, whose answers go into the caches.
//!
//! They are made by hand rather than through typed objects, so that an answer is read once and in the same way as the
//! watch is, and fields that this program does not know cost nothing.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Builder;
use kube::Client;
use serde::Serialize;
use serde_json::Value;
use sidecar_core::api::ErrorKind;
use sidecar_core::cache::{Decoder, Json, Store};
use sidecar_core::objects::{Interest, Kind, Meta, Projected};

pub(super) use sidecar_core::api::explained as text;

/// Why a look at an object comes to an early end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The object is not as it was when the decision was made: this is what the API server says. The watch will show how it
    /// is; until then there is no saying what to do.
    Stale(String),
    /// The object is gone.
    Gone,
    /// Something failed; it has been said what.
    Failed(String),
}

/// How a patch is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum PatchType {
    Merge,
    Json,
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// Whether the object is not there (any more).
pub(super) fn is_gone(error: &kube::Error) -> bool {
    ErrorKind::of(error) == ErrorKind::NotFound
}

/// Whether a precondition was not met: a conflict, or a `test` that failed.
pub(super) fn is_stale(error: &kube::Error) -> bool {
    matches!(ErrorKind::of(error), ErrorKind::Conflict | ErrorKind::Invalid)
}

/// Patches an object, or with `/status` its status, and returns it as it is then.
pub(super) async fn patch<T: Kind + Clone>(
    client: &Client,
    store: &Store<T>,
    meta: &Meta,
    subresource: &str,
    kind: PatchType,
    patch: &Value,
) -> Result<Arc<T>, kube::Error> {
    let target = format!("{}{subresource}", path::<T>(meta.namespace(), &meta.name));
    let request = http::Request::patch(target).header(CONTENT_TYPE, kind.content_type());
    let answer = send(client, request, &patch.to_string()).await?;
    note(store, answer.as_bytes())
}

/// Creates an object and returns it.
pub(super) async fn create<T: Kind + Clone>(
    client: &Client,
    store: &Store<T>,
    namespace: &str,
    object: &impl Serialize,
) -> Result<Arc<T>, kube::Error> {
    let body = serde_json::to_string(object).map_err(kube::Error::SerdeError)?;
    let request = http::Request::post(path::<T>(namespace, "")).header(CONTENT_TYPE, "application/json");
    let answer = send(client, request, &body).await?;
    note(store, answer.as_bytes())
}

/// Reads an object.
pub(super) async fn get<T: Kind + Clone>(
    client: &Client,
    store: &Store<T>,
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<T>>, kube::Error> {
    match send(client, http::Request::get(path::<T>(namespace, name)), "").await {
        Ok(answer) => note(store, answer.as_bytes()).map(Some),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an object as it is, whole.
pub(super) async fn get_whole<T: Kind>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, kube::Error> {
    match send(client, http::Request::get(path::<T>(namespace, name)), "").await {
        Ok(answer) => serde_json::from_str(&answer).map(Some).map_err(kube::Error::SerdeError),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an object is there. `None` if the API server does not serve its kind in this version: it may be there for all that.
pub(super) async fn is_there<T: Kind>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<bool>, kube::Error> {
    match send(client, http::Request::get(path::<T>(namespace, name)), "").await {
        Ok(_) => Ok(Some(true)),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            // About an object that is not there it says which.
            let named = status.details.as_ref().is_some_and(|details| details.name == name);
            Ok((named && status.reason == "NotFound").then_some(false))
        }
        Err(error) => Err(error),
    }
}

/// Deletes an object under the preconditions in `options`.
pub(super) async fn delete<T: Kind + Clone>(
    client: &Client,
    store: &Store<T>,
    meta: &Meta,
    options: &Value,
) -> Result<(), kube::Error> {
    let request = http::Request::delete(path::<T>(meta.namespace(), &meta.name))
        .header(CONTENT_TYPE, "application/json");
    let answer = send(client, request, &options.to_string()).await?;
    // A Status says that it is gone, anything else is the object.
    let object: Value = serde_json::from_str(&answer).map_err(kube::Error::SerdeError)?;
    if object.get("kind").and_then(Value::as_str) != Some(T::RESOURCE.kind) {
        store.removed(meta.namespace(), &meta.name, &meta.uid);
        return Ok(());
    }
    note(store, answer.as_bytes()).map(drop)
}

/// Whether nothing holds a deleted object any more, so that it is no longer there.
pub(super) fn is_released(meta: &Meta) -> bool {
    meta.deleting && meta.finalizers.is_empty()
}

fn path<T: Kind>(namespace: &str, name: &str) -> String {
    let resource = T::RESOURCE;
    let root = match resource.group {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let tail = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("{root}{place}/{}{tail}", resource.plural)
}

async fn send(client: &Client, request: Builder, body: &str) -> Result<String, kube::Error> {
    let request = request.header(ACCEPT, "application/json").body(body.as_bytes().to_vec());
    client.request_text(request.map_err(kube::Error::HttpError)?).await
}

/// Notes what a call has returned, so that nothing is decided on an older state.
fn note<T: Kind + Clone>(store: &Store<T>, answer: &[u8]) -> Result<Arc<T>, kube::Error> {
    let unreadable =
        |problem: String| kube::Error::SerdeError(<serde_json::Error as serde::de::Error>::custom(problem));
    let object: T = match Json.object(answer, &Interest::everything()) {
        Ok(Projected::Own(object)) => object,
        Ok(_) => return Err(unreadable("the answer is about somebody else's object".to_owned())),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if is_released(object.meta()) {
        store.removed(object.meta().namespace(), &object.meta().name, &object.meta().uid);
    } else {
        store.wrote_json(answer).map_err(|error| unreadable(error.to_string()))?;
    }
    Ok(Arc::new(object))
}
