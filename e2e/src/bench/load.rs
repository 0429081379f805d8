//! Many API calls at once, with progress: what a measurement needs as its world.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::progress::Step;

/// Calls under way at a time.
const PARALLEL: usize = 48;

/// One API call; the answer must be a success.
pub(super) async fn call(client: &kube::Client, method: Method, path: &str, body: &Value) -> Result<Value> {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
    let request =
        http::Request::builder().method(method.clone()).uri(path).header(CONTENT_TYPE, kind).body(body)?;
    client.request(request).await.with_context(|| format!("{method} {path}"))
}

/// Does `act` for each number below `count`, many at a time, and shows how far it is.
pub(super) async fn each(what: &str, count: usize, act: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    let step = Step::start(what);
    let done = AtomicUsize::new(0);
    let one = async |number| {
        act(number).await?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) {
            step.note(format!("{what}: {done} of {count}"));
        }
        anyhow::Ok(())
    };
    stream::iter(0..count).map(one).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    step.note(format!("{what}: {count}"));
    step.done();
    Ok(())
}

/// Makes a class of a driver, binding at once.
pub(super) async fn class(client: &kube::Client, name: &str, driver: &str) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": driver,
    });
    call(client, Method::POST, "/apis/storage.k8s.io/v1/storageclasses", &class).await?;
    Ok(())
}

/// Makes a namespace.
pub(super) async fn namespace(client: &kube::Client, name: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    call(client, Method::POST, "/api/v1/namespaces", &namespace).await?;
    Ok(())
}
