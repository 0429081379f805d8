//! What a content says that its snapshot does not know yet (sheet 5.10, 5.11 step 5).

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidecar_core::objects::{Snapshot, SnapshotContent, SnapshotError};
use sidecar_core::quantity::{Quantity, binary_si};

/// What is to be written into a snapshot's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// The fields of the status that change; null removes.
    pub fields: Map<String, Value>,
    /// The driver has cut it, which the snapshot has not said before.
    pub created: bool,
    /// It is ready, which the snapshot has not said before.
    pub ready: bool,
}

/// What changes in the status of `snapshot`; `None` if it says all that there is to say. `group` is the group snapshot that the content
/// is a part of.
pub fn copy(snapshot: &Snapshot, content: &SnapshotContent, group: Option<&str>) -> Option<Copy> {
    let known = snapshot.status.clone().unwrap_or_default();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if known.content.is_none() {
        set("boundVolumeSnapshotContentName", json!(&*content.meta.name));
    }
    let status = content.status.clone().unwrap_or_default();
    let cut = status.creation_time.filter(|_| known.creation_time.is_none());
    if let Some(nanos) = cut {
        set("creationTime", json!(written_time(nanos)));
    }
    let ready = status.ready == Some(true);
    if known.ready != Some(ready) {
        set("readyToUse", json!(ready));
    }
    if let Some(size) = status.restore_size.filter(|size| says_more(known.restore_size.as_deref(), *size)) {
        set("restoreSize", json!(binary_si(size)));
    }
    let error = status.error.as_deref().filter(|_| !ready);
    if error != known.error.as_deref() {
        set("error", error.map_or(Value::Null, written_error));
    }
    if let (None, Some(group)) = (&known.group, group) {
        set("volumeGroupSnapshotName", json!(group));
    }
    let change = Copy { created: cut.is_some(), ready: ready && known.ready != Some(true), fields };
    (!change.fields.is_empty()).then_some(change)
}

/// As upstream: a size is written once, but nothing is as good as zero.
fn says_more(known: Option<&str>, size: i64) -> bool {
    match known.map(Quantity::parse) {
        None => true,
        Some(Ok(known)) => known.is_zero() && size > 0,
        Some(Err(_)) => false,
    }
}

/// Nanoseconds since 1970 as the API writes times: whole seconds.
pub fn written_time(nanos: i64) -> String {
    let second = Timestamp::new(nanos.div_euclid(1_000_000_000), 0).unwrap_or_default();
    second.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An error as a status has it.
pub fn written_error(error: &SnapshotError) -> Value {
    let mut written = json!({"message": &*error.message});
    if let Some(fields) = written.as_object_mut()
        && !error.time.is_empty()
    {
        fields.insert("time".to_owned(), json!(&*error.time));
    }
    written
}
