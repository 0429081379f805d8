//! Label and field selectors of list and watch.

use serde_json::Value;

use super::doc;
use super::failure::Failure;
use super::resources::Resource;

/// What objects a list or watch is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    /// Empty means all namespaces.
    pub(crate) namespace: String,
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    pub(crate) fn parse(
        resource: &Resource,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Result<Self, Failure> {
        let labels = split(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(|term| field(resource, term)).collect::<Result<_, _>>()?;
        Ok(Self { namespace: namespace.to_owned(), labels, fields })
    }

    /// Whether everything of the kind is selected.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let namespace =
            self.namespace.is_empty() || doc::text(object, "/metadata/namespace") == self.namespace;
        namespace
            && self.labels.iter().all(|requirement| requirement.holds(object))
            && self
                .fields
                .iter()
                .all(|(pointer, equal, value)| (doc::text(object, pointer) == value) == *equal)
    }
}

impl Requirement {
    fn holds(&self, object: &Value) -> bool {
        let label = |key: &str| object.get("metadata")?.get("labels")?.get(key)?.as_str();
        match self {
            Self::In(key, values) => {
                label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Self::NotIn(key, values) => {
                label(key).is_none_or(|found| values.iter().all(|value| value != found))
            }
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
        }
    }
}

/// Splits at the commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn requirement(term: &str) -> Result<Requirement, Failure> {
    let values = |list: &str| -> Result<Vec<String>, Failure> {
        let inner = list.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let inner = inner.ok_or_else(|| {
            Failure::bad_request(format!("unable to parse requirement: found '{term}', expected: '('"))
        })?;
        Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let key = |text: &str| text.trim().to_owned();
    if let Some((name, list)) = term.split_once(" notin ") {
        return Ok(Requirement::NotIn(key(name), values(list)?));
    }
    if let Some((name, list)) = term.split_once(" in ") {
        return Ok(Requirement::In(key(name), values(list)?));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(name), vec![key(value)]));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key(name), vec![key(value)]));
    }
    Ok(match term.strip_prefix('!') {
        Some(name) => Requirement::Missing(key(name)),
        None => Requirement::Exists(key(term)),
    })
}

fn field(resource: &Resource, term: &str) -> Result<(String, bool, String), Failure> {
    let split = term
        .split_once("!=")
        .map(|(label, value)| (label, false, value))
        .or_else(|| term.split_once("==").map(|(label, value)| (label, true, value)))
        .or_else(|| term.split_once('=').map(|(label, value)| (label, true, value)));
    let Some((label, equal, value)) = split else {
        return Err(Failure::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'")));
    };
    let pointer = match label {
        "metadata.name" => "/metadata/name",
        "metadata.namespace" if resource.namespaced => "/metadata/namespace",
        other => resource
            .fields
            .iter()
            .find(|(known, _)| *known == other)
            .map(|(_, pointer)| *pointer)
            .ok_or_else(|| unknown_field(resource, other))?,
    };
    Ok((pointer.to_owned(), equal, value.to_owned()))
}

/// Kinds with selectors of their own are converted by hand-written code in the real server, hence two texts.
fn unknown_field(resource: &Resource, label: &str) -> Failure {
    Failure::bad_request(if resource.fields.is_empty() {
        format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {label}")
    })
}
