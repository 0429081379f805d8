//! Lists: snapshots at a version, pages, and the two shapes in which objects are shown.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::doc;
use super::failure::{Cause, Failure};
use super::resources::Resource;
use super::selector::Selector;
use super::store::{Object, Store, key_of};

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As they are.
    Full,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Shape {
    pub(crate) fn show(self, object: &Object) -> Bytes {
        match self {
            Self::Full => object.text(),
            Self::Metadata => {
                let metadata = object.value.get("metadata").cloned().unwrap_or_default();
                let partial = json!({
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                });
                Bytes::from(partial.to_string())
            }
        }
    }
}

/// The parameters of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListParams {
    pub(crate) selector: Selector,
    pub(crate) limit: usize,
    pub(crate) resume: String,
    pub(crate) version: String,
    pub(crate) version_match: String,
}

/// Where a list goes on: the version of its first page and the last key shown.
#[derive(Debug, PartialEq, Eq)]
struct Resume {
    version: u64,
    namespace: String,
    name: String,
}

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You \
    can start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl Store {
    /// The text of a list, or of one page of it.
    pub(crate) fn list(
        &self,
        resource: &Resource,
        params: &ListParams,
        shape: Shape,
    ) -> Result<Bytes, Failure> {
        let resume = Resume::parse(&params.resume)?;
        let (version, exact) = self.list_version(params, resume.as_ref())?;
        let mut selected: Vec<Arc<Object>> = if exact {
            self.all_at(resource, version).into_values().collect()
        } else {
            self.all(resource).cloned().collect()
        };
        selected.retain(|object| params.selector.matches(&object.value));
        if let Some(resume) = &resume {
            let last = (resume.namespace.clone(), resume.name.clone());
            selected.retain(|object| key_of(&object.value) > last);
        }
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if params.limit > 0 && selected.len() > params.limit {
            let remaining = selected.len() - params.limit;
            selected.truncate(params.limit);
            let token = selected.last().map(|last| Resume::after(version, &last.value).to_token());
            doc::set(&mut metadata, &["continue"], token.unwrap_or_default());
            if params.selector.is_unfiltered() {
                doc::set(&mut metadata, &["remainingItemCount"], remaining);
            }
        }
        Ok(render(resource, &metadata, &selected, shape))
    }

    /// The version to show, and whether the past must be rebuilt for it.
    fn list_version(&self, params: &ListParams, resume: Option<&Resume>) -> Result<(u64, bool), Failure> {
        if let Some(resume) = resume {
            if resume.version < self.compacted() {
                let mut failure = Failure::expired(CONTINUE_EXPIRED);
                let token = Resume { version: self.version(), ..resume.clone_key() };
                failure.resume = Some(token.to_token());
                return Err(failure);
            }
            return Ok((resume.version, true));
        }
        let asked = parse_version(&params.version)?;
        if asked > self.version() {
            return Err(Failure::version_too_large(asked, self.version()));
        }
        match params.version_match.as_str() {
            "Exact" if asked < self.compacted() => Err(Failure::expired(format!(
                "The resourceVersion for the provided list is too old: {asked}"
            ))),
            "Exact" => Ok((asked, true)),
            "" | "NotOlderThan" => Ok((self.version(), false)),
            other => {
                let cause = Cause::unsupported("resourceVersionMatch", other, &["Exact", "NotOlderThan", ""]);
                Err(Failure::invalid(&LIST_OPTIONS, "", &[cause]))
            }
        }
    }
}

/// Parses a resourceVersion parameter; empty is 0.
pub(crate) fn parse_version(text: &str) -> Result<u64, Failure> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Failure::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        ))
    })
}

/// Stands for `ListOptions.meta.k8s.io` in messages about bad parameters.
pub(crate) static LIST_OPTIONS: Resource = Resource::only_for_messages("meta.k8s.io", "ListOptions");

fn render(resource: &Resource, metadata: &Value, objects: &[Arc<Object>], shape: Shape) -> Bytes {
    let (kind, api_version) = match shape {
        Shape::Full => (format!("{}List", resource.kind), resource.api_version()),
        Shape::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let mut text =
        format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#)
            .into_bytes();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&shape.show(object));
    }
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}

impl Resume {
    fn after(version: u64, object: &Value) -> Self {
        let (namespace, name) = key_of(object);
        Self { version, namespace, name }
    }

    fn clone_key(&self) -> Self {
        Self { version: 0, namespace: self.namespace.clone(), name: self.name.clone() }
    }

    fn to_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.version, self.namespace, self.name))
    }

    fn parse(token: &str) -> Result<Option<Self>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let parse = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
            let mut parts = text.splitn(3, '/');
            let version = parts.next()?.parse().ok()?;
            let namespace = parts.next()?.to_owned();
            Some(Self { version, namespace, name: parts.next()?.to_owned() })
        };
        parse()
            .map(Some)
            .ok_or_else(|| Failure::bad_request("invalid continue token: continue key is not valid"))
    }
}
