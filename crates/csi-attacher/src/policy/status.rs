//! What is written into an attachment's status (sheet 5.7, 13.2, 13.3).
//!
//! All of it are merge patches of the subresource. Each names the object's UID, because the names of attachments recur,
//! and says null where something must not be there, because what our copy does not show may be there all the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidecar_core::objects::{Attachment, AttachmentStatus};

use super::Operation;
use super::failure::Failure;

/// The annotation with the node's id at the time of the last try to attach.
pub const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";

/// The longest message that the API server takes, in bytes.
const LONGEST_MESSAGE: usize = 1024;
/// What stands for the middle of a message that is too long.
const ELLIPSIS: &str = " [...] ";
/// How much of the end of such a message is kept: that is where a driver's own error tends to be.
const TAIL: usize = 320;

/// The volume is attached. `None` if the status says so already, word for word.
pub fn attached(attachment: &Attachment, publish_context: &BTreeMap<String, String>) -> Option<Value> {
    let nothing = AttachmentStatus::default();
    let status = attachment.status.as_deref().unwrap_or(&nothing);
    let known: BTreeMap<&str, &str> = status.metadata.iter().map(|(k, v)| (k.as_str(), &**v)).collect();
    let told: BTreeMap<&str, &str> = publish_context.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    if status.attached && known == told && status.attach_error.is_none() {
        return None;
    }
    let mut changes = json!({"attached": true, "attachError": null});
    if known != told || !status.attached {
        set(&mut changes, "attachmentMetadata", metadata_change(&known, &told));
    }
    Some(body(attachment, &changes))
}

/// A merge patch from one map to the other; null removes.
fn metadata_change(known: &BTreeMap<&str, &str>, told: &BTreeMap<&str, &str>) -> Value {
    if told.is_empty() {
        return Value::Null;
    }
    let gone = known.keys().filter(|key| !told.contains_key(*key)).map(|key| (*key, Value::Null));
    let there = told.iter().map(|(key, value)| (*key, Value::from(*value)));
    gone.chain(there).map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// The volume is detached. `None` if the status says so already.
pub fn detached(attachment: &Attachment) -> Option<Value> {
    let status = attachment.status.as_deref()?;
    if !status.attached && status.metadata.is_empty() && status.detach_error.is_none() {
        return None;
    }
    let changes = json!({"attached": false, "attachmentMetadata": null, "detachError": null});
    Some(body(attachment, &changes))
}

/// A driver that does not attach has its volumes everywhere.
pub fn trivially_attached(attachment: &Attachment) -> Value {
    let changes = json!({"attached": true, "attachmentMetadata": null, "attachError": null});
    body(attachment, &changes)
}

/// An operation failed. `with_code`: also say the driver's code, which only attach errors can.
pub fn failed(
    attachment: &Attachment,
    operation: Operation,
    failure: &Failure,
    with_code: bool,
    now: Timestamp,
) -> Value {
    let message = shortened(&failure.message);
    let time = format!("{now:.0}");
    match operation {
        Operation::Attach => {
            let code = failure.code.filter(|_| with_code).map(|code| code as i32);
            let error = json!({"message": message, "time": time, "errorCode": code});
            body(attachment, &json!({"attachError": error}))
        }
        Operation::Detach => body(attachment, &json!({"detachError": {"message": message, "time": time}})),
    }
}

/// The failure of an operation that takes longer than `--volume-attachment-timeout`.
pub fn late(operation: Operation, limit: &str, last: Option<&Failure>) -> Failure {
    let (noun, code) = (operation.noun(), last.and_then(|failure| failure.code));
    let last = last.map_or("no answer yet", |failure| failure.message.as_str());
    let message = format!("{noun} did not finish within {limit}; still trying: {last}");
    Failure { code, ..Failure::new(message) }
}

/// A message that the API server takes: of a long one head and tail, cut between characters.
fn shortened(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let boundary = |from: usize, step: fn(usize) -> usize| {
        let mut index = from;
        while !message.is_char_boundary(index) {
            index = step(index);
        }
        index
    };
    let head = boundary(LONGEST_MESSAGE - TAIL - ELLIPSIS.len(), |index| index - 1);
    let tail = boundary(message.len() - TAIL, |index| index + 1);
    let (head, tail) = (message.get(..head), message.get(tail..));
    format!("{}{ELLIPSIS}{}", head.unwrap_or_default(), tail.unwrap_or_default())
}

fn body(attachment: &Attachment, status: &Value) -> Value {
    json!({"metadata": {"uid": attachment.meta.uid.to_string()}, "status": status})
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::fixtures::attachment;

    fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn success_says_null_for_every_error_that_may_be_there() {
        let patch = attached(&attachment(&json!({})), &context(&[("a", "b")])).unwrap();
        assert_eq!(
            patch,
            json!({
                "metadata": {"uid": "va-uid"},
                "status": {"attached": true, "attachmentMetadata": {"a": "b"}, "attachError": null},
            })
        );
    }

    #[test]
    fn what_is_written_already_is_not_written_again() {
        let there = attachment(&json!({"status": {"attached": true, "attachmentMetadata": {"a": "b"}}}));
        assert_eq!(attached(&there, &context(&[("a", "b")])), None);
        let changed = attached(&there, &context(&[("c", "d")])).unwrap();
        assert_eq!(changed["status"]["attachmentMetadata"], json!({"a": null, "c": "d"}));
        let empty = attached(&there, &context(&[])).unwrap();
        assert_eq!(
            empty["status"],
            json!({"attached": true, "attachError": null, "attachmentMetadata": null})
        );
        assert_eq!(detached(&attachment(&json!({"status": {"attached": false}}))), None);
        assert!(detached(&there).is_some());
    }

    #[test]
    fn long_messages_keep_head_and_tail_within_the_limit() {
        let long = format!("head {} tail", "ü".repeat(5000));
        let short = shortened(&long);
        assert!(short.len() <= LONGEST_MESSAGE && short.len() > LONGEST_MESSAGE - 8, "{}", short.len());
        assert!(short.starts_with("head ü") && short.ends_with("ü tail") && short.contains(ELLIPSIS));
        let fits = "x".repeat(LONGEST_MESSAGE);
        assert_eq!(shortened(&fits), fits);
    }

    #[test]
    fn only_attach_errors_have_a_code_and_only_the_drivers() {
        let object = attachment(&json!({}));
        let now: Timestamp = "2026-01-02T03:04:05.9Z".parse().unwrap();
        let full = Failure::of_driver(&tonic::Status::resource_exhausted("full"));
        let error = |operation, failure: &Failure, with_code| {
            failed(&object, operation, failure, with_code, now)["status"].clone()
        };
        assert_eq!(
            error(Operation::Attach, &full, true),
            json!({"attachError": {
                "errorCode": 8,
                "message": "rpc error: code = ResourceExhausted desc = full",
                "time": "2026-01-02T03:04:05Z",
            }})
        );
        assert_eq!(error(Operation::Attach, &full, false)["attachError"]["errorCode"], Value::Null);
        assert_eq!(
            error(Operation::Attach, &Failure::new("local"), true)["attachError"]["errorCode"],
            Value::Null
        );
        assert_eq!(error(Operation::Detach, &full, true)["detachError"].get("errorCode"), None);
    }
}
