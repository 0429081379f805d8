//! Counts API calls from the API server's audit log.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What one kind of call has in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Call {
    /// The program: the user agent up to its first `/`.
    pub(crate) agent: String,
    pub(crate) verb: String,
    /// Plural resource with its subresource, such as `pods/status`; the path for calls that are not about objects.
    pub(crate) resource: String,
    /// HTTP status of the answer.
    pub(crate) code: u16,
}

/// How often each kind of call was made.
pub(crate) type Counts = BTreeMap<Call, u64>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI", default)]
    request_uri: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// A position in the audit log, from which calls are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark(usize);

/// The current end of the log.
pub(crate) fn mark(log: &Path) -> Result<Mark> {
    Ok(Mark(usize::try_from(fs::metadata(log).context("no audit log")?.len())?))
}

/// Counts the calls since `mark` of programs whose user agent starts with `agent`.
pub(crate) fn count(log: &Path, mark: Mark, agent: &str) -> Result<Counts> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let since = text.get(mark.0..).context("the audit log was begun anew: nothing can be counted")?;
    Ok(count_lines(since, agent))
}

fn count_lines(text: &[u8], agent: &str) -> Counts {
    let mut counts = Counts::new();
    for line in text.split(|byte| *byte == b'\n') {
        // The last line may be half written.
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        if event.user_agent.starts_with(agent) {
            *counts.entry(call(event)).or_default() += 1;
        }
    }
    counts
}

fn call(event: Event) -> Call {
    let resource = match event.object_ref {
        Some(ObjectRef { resource, subresource: Some(sub) }) => format!("{resource}/{sub}"),
        Some(ObjectRef { resource, subresource: None }) => resource,
        None => event.request_uri.split('?').next().unwrap_or_default().to_owned(),
    };
    Call {
        agent: event.user_agent.split('/').next().unwrap_or_default().to_owned(),
        verb: event.verb,
        resource,
        code: event.response_status.map_or(0, |status| status.code),
    }
}

/// The counts as an aligned table.
pub(crate) fn table(counts: &Counts) -> String {
    let mut text =
        format!("{:>6}  {:<32} {:<8} {:<36} {:>4}\n", "calls", "user agent", "verb", "resource", "code");
    for (call, count) in counts {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{count:>6}  {:<32} {:<8} {:<36} {:>4}",
            call.agent, call.verb, call.resource, call.code
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"verb":"create","userAgent":"csi-provisioner/v0 (linux)","requestURI":"/api/v1/persistentvolumes","objectRef":{"resource":"persistentvolumes","name":"pvc-1"},"responseStatus":{"code":201}}
{"verb":"patch","userAgent":"kubelet/v1.36.3","requestURI":"/x","objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":200}}
{"verb":"create","userAgent":"csi-provisioner/v0 (linux)","requestURI":"/api/v1/persistentvolumes","objectRef":{"resource":"persistentvolumes"},"responseStatus":{"code":201}}
{"verb":"get","userAgent":"csi-provisioner/v0 (linux)","requestURI":"/version?timeout=1s","responseStatus":{"code":200}}
{"verb":"get","userAg"#;

    #[test]
    fn calls_are_counted_by_program_verb_resource_and_answer() {
        let counts = count_lines(LOG.as_bytes(), "csi-provisioner");
        let call = |verb: &str, resource: &str, code| Call {
            agent: "csi-provisioner".to_owned(),
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            code,
        };
        assert_eq!(counts.get(&call("create", "persistentvolumes", 201)), Some(&2));
        assert_eq!(counts.get(&call("get", "/version", 200)), Some(&1));
        assert_eq!(counts.len(), 2);
        assert_eq!(count_lines(LOG.as_bytes(), "kubelet").keys().next().unwrap().resource, "pods/status");
        assert!(table(&counts).contains("     2  csi-provisioner"));
    }
}
