//! What a content says that its snapshot does not know yet (sheet 5.10, 5.11 step 5, 5.13).

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidecar_core::objects::{GroupContent, GroupSnapshot, Snapshot, SnapshotContent, SnapshotError};
use sidecar_core::quantity::{Quantity, binary_si};

/// What is to be written into a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// The fields of the status that change; null removes.
    pub fields: Map<String, Value>,
    /// The driver has cut it, which the status has not said before.
    pub created: bool,
    /// It is ready, which the status has not said before.
    pub ready: bool,
}

/// What snapshots and groups have in common: what the content says beside what is known.
struct Both<'a> {
    bound: (&'static str, &'a str, bool),
    creation_time: Option<String>,
    ready: (bool, Option<bool>),
    error: (Option<&'a SnapshotError>, Option<&'a SnapshotError>),
}

impl Both<'_> {
    fn compare(self) -> Copy {
        let mut fields = Map::new();
        let (field, content, known) = self.bound;
        if !known {
            fields.insert(field.to_owned(), json!(content));
        }
        let created = self.creation_time.is_some();
        if let Some(time) = self.creation_time {
            fields.insert("creationTime".to_owned(), json!(time));
        }
        let (ready, known) = self.ready;
        if known != Some(ready) {
            fields.insert("readyToUse".to_owned(), json!(ready));
        }
        let (said, known_error) = self.error;
        let error = said.filter(|_| !ready);
        if error != known_error {
            fields.insert("error".to_owned(), error.map_or(Value::Null, written_error));
        }
        Copy { created, ready: ready && known != Some(true), fields }
    }
}

impl Copy {
    fn if_any(self) -> Option<Self> {
        (!self.fields.is_empty()).then_some(self)
    }
}

/// What changes in the status of `snapshot`; `None` if it says all that there is to say. `group` is the group snapshot that the
/// content is a part of.
pub fn copy(snapshot: &Snapshot, content: &SnapshotContent, group: Option<&str>) -> Option<Copy> {
    let known = snapshot.status.clone().unwrap_or_default();
    let said = content.status.clone().unwrap_or_default();
    let cut = said.creation_time.filter(|_| known.creation_time.is_none());
    let mut copy = Both {
        bound: ("boundVolumeSnapshotContentName", &content.meta.name, known.content.is_some()),
        creation_time: cut.map(written_time),
        ready: (said.ready == Some(true), known.ready),
        error: (said.error.as_deref(), known.error.as_deref()),
    }
    .compare();
    if let Some(size) = said.restore_size.filter(|size| says_more(known.restore_size.as_deref(), *size)) {
        copy.fields.insert("restoreSize".to_owned(), json!(binary_si(size)));
    }
    if let (None, Some(group)) = (&known.group, group) {
        copy.fields.insert("volumeGroupSnapshotName".to_owned(), json!(group));
    }
    copy.if_any()
}

/// The same for a group.
pub fn copy_group(group: &GroupSnapshot, content: &GroupContent) -> Option<Copy> {
    let known = group.status.clone().unwrap_or_default();
    let said = content.status.clone().unwrap_or_default();
    let cut = said.creation_time.as_deref().filter(|_| known.creation_time.is_none());
    Both {
        bound: ("boundVolumeGroupSnapshotContentName", &content.meta.name, known.content.is_some()),
        creation_time: cut.map(ToOwned::to_owned),
        ready: (said.ready == Some(true), known.ready),
        error: (said.error.as_deref(), known.error.as_deref()),
    }
    .compare()
    .if_any()
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
