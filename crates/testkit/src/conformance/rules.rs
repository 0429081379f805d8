//! The validation rules of snapshots as one table of cases (annex A.5 of sheet `snapshot-controller`, and what upstream's own
//! table leaves out). The real server interprets the rules as CEL, ours applies them in Rust: the table holds one to the other.

mod contents;
mod groups;
mod snapshots;

use anyhow::ensure;
use serde_json::Value;

use super::{Answer, Subject};
use crate::api::{Resource, doc};

/// One case: an object, perhaps a change of it, and what the server has to say.
#[derive(Debug)]
pub struct Row {
    /// What is tried.
    pub name: &'static str,
    kind: &'static str,
    /// The object before the change; none if it is only to be created.
    before: Option<Value>,
    /// The object to be created, or after the change.
    after: Value,
    /// Whether the change is one of the status.
    status: bool,
    /// Field and message of the one complaint; none if the write is to be accepted.
    refused: Option<(&'static str, &'static str)>,
}

/// All cases. They need the definitions of the snapshot kinds.
pub fn rows() -> Vec<Row> {
    [snapshots::rows(), contents::rows(), groups::rows()].into_iter().flatten().collect()
}

/// The object is accepted when it is created.
fn made(name: &'static str, kind: &'static str, after: Value) -> Row {
    Row { name, kind, before: None, after, status: false, refused: None }
}

/// The object is changed without complaint.
fn changed(name: &'static str, kind: &'static str, before: Value, after: Value) -> Row {
    Row { before: Some(before), ..made(name, kind, after) }
}

impl Row {
    /// The write is refused with one complaint instead.
    fn refused(self, field: &'static str, message: &'static str) -> Self {
        Self { refused: Some((field, message)), ..self }
    }

    /// The write is one to the status.
    fn of_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// Tries it in a corner of its own.
    pub async fn run(&self, subject: &Subject) -> anyhow::Result<()> {
        let mut object = self.whole(subject, self.before.as_ref().unwrap_or(&self.after))?;
        let Some(before) = &self.before else { return self.judge(&subject.create(&object).await?) };
        let mut stored = subject.create(&object).await?.ok()?;
        let subresource = if self.status { "status" } else { "" };
        if self.status {
            doc::copy(before, &mut stored, &["status"]);
            stored = subject.update(&stored, subresource).await?.ok()?;
        }
        object = self.whole(subject, &self.after)?;
        doc::copy(&stored, &mut object, &["metadata", "resourceVersion"]);
        self.judge(&subject.update(&object, subresource).await?)
    }

    fn judge(&self, answer: &Answer) -> anyhow::Result<()> {
        let Some((field, message)) = self.refused else {
            return answer.clone().ok().map(drop);
        };
        ensure!(answer.code == 422, "expected a refusal, got {} {}", answer.code, answer.body);
        let causes: Vec<_> = doc::list(&answer.body, "/details/causes")
            .iter()
            .map(|cause| (doc::text(cause, "/field"), doc::text(cause, "/message")))
            .collect();
        let one = matches!(causes.as_slice(), [(at, text)] if *at == field && text.ends_with(message));
        ensure!(one, "expected {field}: {message}, got {causes:?}");
        Ok(())
    }

    fn whole(&self, subject: &Subject, body: &Value) -> anyhow::Result<Value> {
        let mut object = body.clone();
        let resource = Resource::find(self.kind).ok_or_else(|| anyhow::anyhow!("no kind {}", self.kind))?;
        doc::set(&mut object, &["apiVersion"], resource.api_version());
        doc::set(&mut object, &["kind"], self.kind);
        doc::set(&mut object, &["metadata", "name"], subject.name("case"));
        if resource.namespaced {
            doc::set(&mut object, &["metadata", "namespace"], subject.namespace.as_str());
        }
        Ok(object)
    }
}

/// The same object with another annotation.
fn annotated(body: &Value) -> Value {
    let mut body = body.clone();
    doc::set(&mut body, &["metadata", "annotations", "touched"], "yes");
    body
}

/// The same object with another value at `path`; null takes it away.
fn with(body: &Value, path: &[&str], value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    match value.into() {
        Value::Null => {
            doc::take(&mut body, path);
        }
        value => doc::set(&mut body, path, value),
    }
    body
}

/// What all kinds say about a member that is missing, has gone, or has changed.
macro_rules! texts {
    ($($name:ident = $text:literal),* $(,)?) => {
        $(const $name: &str = $text;)*
    };
}
use texts;
