//! The server under test, and requests as plain as they come: the scenarios compare what is on the wire.

use anyhow::{Context as _, bail, ensure};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use crate::api::{Resource, doc};

/// A server, and a corner of it that the scenario has for itself.
#[derive(Clone)]
pub struct Subject {
    /// A client that may do everything.
    pub client: kube::Client,
    /// A namespace of the scenario's own, which exists; also used as prefix of cluster-scoped names.
    pub namespace: String,
}

/// Status code and body of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// JSON body; a string if it was no JSON.
    pub body: Value,
}

impl Answer {
    /// The object, if the server said yes.
    pub fn ok(self) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&self.code), "answered {}: {}", self.code, self.body);
        Ok(self.body)
    }

    /// Checks that this is an error with this code, reason and message.
    pub fn refused(&self, code: u16, reason: &str, message: &str) -> anyhow::Result<()> {
        let found = (self.code, doc::text(&self.body, "/reason"), doc::text(&self.body, "/message"));
        ensure!(found == (code, reason, message), "expected {code} {reason} {message:?}, got {found:?}");
        Ok(())
    }

    /// Checks code and reason, and that the message contains a text.
    pub fn refused_like(&self, code: u16, reason: &str, part: &str) -> anyhow::Result<()> {
        let message = doc::text(&self.body, "/message");
        ensure!(self.code == code, "expected {code}, got {} {}", self.code, self.body);
        ensure!(doc::text(&self.body, "/reason") == reason, "expected {reason}, got {}", self.body);
        ensure!(message.contains(part), "expected a message with {part:?}, got {message:?}");
        Ok(())
    }

    /// Checks that validation complained about a field for a reason.
    pub fn complains(&self, field: &str, reason: &str) -> anyhow::Result<()> {
        let found = doc::list(&self.body, "/details/causes")
            .iter()
            .any(|cause| doc::text(cause, "/field") == field && doc::text(cause, "/reason") == reason);
        ensure!(self.code == 422 && found, "expected {reason} on {field}, got {} {}", self.code, self.body);
        Ok(())
    }
}

impl Subject {
    /// A cluster-wide name of the scenario's own.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.namespace)
    }

    /// The URL path of an object or, with an empty name, of a collection.
    pub fn path(&self, kind: &str, name: &str) -> anyhow::Result<String> {
        let row = Resource::find(kind).with_context(|| format!("no kind {kind}"))?;
        let collection = row.collection_path(&self.namespace);
        Ok(if name.is_empty() { collection } else { format!("{collection}/{name}") })
    }

    /// Sends one request; `content_type` is only sent with a body.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Body::from(bytes))?).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { code, body })
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(method, path, &[("content-type", "application/json")], Some(body)).await
    }

    /// POST of a manifest.
    pub async fn create(&self, manifest: &Value) -> anyhow::Result<Answer> {
        let path = self.path(doc::text(manifest, "/kind"), "")?;
        self.json(Method::POST, &path, manifest).await
    }

    /// PUT of a whole object; `subresource` may be empty.
    pub async fn update(&self, object: &Value, subresource: &str) -> anyhow::Result<Answer> {
        let path = self.path(doc::text(object, "/kind"), doc::text(object, "/metadata/name"))?;
        self.json(Method::PUT, &join(path, subresource), object).await
    }

    /// GET of an object.
    pub async fn get(&self, kind: &str, name: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, &self.path(kind, name)?, &[], None).await
    }

    /// GET of a collection with a query.
    pub async fn list(&self, kind: &str, query: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, &format!("{}?{query}", self.path(kind, "")?), &[], None).await
    }

    /// DELETE of an object; `options` may be null.
    pub async fn delete(&self, kind: &str, name: &str, options: &Value) -> anyhow::Result<Answer> {
        let path = self.path(kind, name)?;
        if options.is_null() {
            return self.send(Method::DELETE, &path, &[], None).await;
        }
        self.json(Method::DELETE, &path, options).await
    }

    /// PATCH; `kind_of_patch` is `merge`, `json` or `strategic`. `name` may end in `/status`.
    pub async fn patch(
        &self,
        kind: &str,
        name: &str,
        kind_of_patch: &str,
        patch: &Value,
    ) -> anyhow::Result<Answer> {
        let content_type = match kind_of_patch {
            "merge" => "application/merge-patch+json",
            "json" => "application/json-patch+json",
            "strategic" => "application/strategic-merge-patch+json",
            other => other,
        };
        let url = self.path(kind, name)?;
        self.send(Method::PATCH, &url, &[("content-type", content_type)], Some(patch)).await
    }

    /// Opens a watch.
    pub async fn watch(&self, kind: &str, query: &str) -> anyhow::Result<Events> {
        let path = format!("{}?watch=true&{query}", self.path(kind, "")?);
        let reader = self.client.request_stream(Request::get(path).body(Vec::new())?).await?;
        let lines = reader.lines().map_err(anyhow::Error::from);
        Ok(Events { lines: Box::pin(lines) })
    }

    /// A PersistentVolume of driver `driver.example` with this suffix, not stored yet.
    pub fn volume(&self, suffix: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": self.name(suffix), "labels": {"scenario": self.namespace}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": "conformance",
                "csi": {"driver": "driver.example", "volumeHandle": "handle", "volumeAttributes": {"a": "b"}},
            },
        })
    }

    /// A claim without a class that anything would provision, not stored yet.
    pub fn claim(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "conformance",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        })
    }

    /// A lease that nobody holds, not stored yet.
    pub fn lease(&self, name: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
        })
    }

    /// An attachment of a volume that need not exist, not stored yet.
    pub fn attachment(&self, suffix: &str) -> Value {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": self.name(suffix)},
            "spec": {
                "attacher": "driver.example", "nodeName": "node",
                "source": {"persistentVolumeName": self.name("volume")},
            },
        })
    }
}

fn join(path: String, subresource: &str) -> String {
    if subresource.is_empty() { path } else { format!("{path}/{subresource}") }
}

/// The events of a watch.
pub struct Events {
    lines: std::pin::Pin<Box<dyn futures::Stream<Item = anyhow::Result<String>> + Send>>,
}

impl Events {
    /// The next event: type and object. Bookmarks that nobody asked for count as well.
    pub async fn next(&mut self) -> anyhow::Result<(String, Value)> {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), self.lines.try_next());
        let Some(line) = next.await.context("no event within 30 s")?? else { bail!("the watch ended") };
        let event: Value = serde_json::from_str(&line)?;
        let object = event.get("object").cloned().unwrap_or_default();
        Ok((doc::text(&event, "/type").to_owned(), object))
    }

    /// Checks type and name of the next event and gives its object.
    pub async fn expect(&mut self, kind: &str, name: &str) -> anyhow::Result<Value> {
        let (found, object) = self.next().await?;
        let found = (found.as_str(), doc::text(&object, "/metadata/name"));
        ensure!(found == (kind, name), "expected {kind} {name}, got {found:?}");
        Ok(object)
    }

    /// Checks that the stream ends, with nothing but bookmarks before.
    pub async fn expect_end(&mut self) -> anyhow::Result<()> {
        while let Some(line) = self.lines.try_next().await? {
            ensure!(line.contains(r#""type":"BOOKMARK""#), "expected the end, got {line}");
        }
        Ok(())
    }
}
