//! What the driver remembers: volumes and snapshots, in the form that upstream's driver writes and reads (sheet, section 4).
//!
//! Keys are upstream's. A few more are written at the end of a record, which upstream ignores; without them (a file
//! that upstream wrote) the checks that need them are skipped.

mod changes;
mod snapshot;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use csi_driver_kit::filesystem::Kind;
use serde::{Deserialize, Deserializer, Serialize};

pub use snapshot::{Group, Snapshot, Time};
pub use table::{Record, Table};

/// Whether a volume is a directory or an image behind a loop device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessType {
    /// A directory.
    #[default]
    Mount,
    /// An image file.
    Block,
}

impl Serialize for AccessType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            Self::Mount => 0,
            Self::Block => 1,
        })
    }
}

impl<'de> Deserialize<'de> for AccessType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Ok(Self::Mount),
            1 => Ok(Self::Block),
            other => Err(serde::de::Error::custom(format!("VolAccessType {other} is neither 0 nor 1"))),
        }
    }
}

/// How a volume was published at one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Publication {
    /// The path.
    pub target: String,
    /// Whether writing was to be refused.
    #[serde(default)]
    pub read_only: bool,
    /// Number of the access mode.
    #[serde(default)]
    pub access_mode: i32,
}

/// One volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// The name that it was asked for under.
    #[serde(rename = "VolName")]
    pub name: String,
    /// Its handle, and the name of its directory or image.
    #[serde(rename = "VolID")]
    pub id: String,
    /// Size in bytes, as asked for.
    #[serde(rename = "VolSize")]
    pub size: i64,
    /// Written for upstream; never read, so that a damaged file cannot lead the driver out of its directory.
    #[serde(rename = "VolPath")]
    pub path: String,
    /// Directory or image.
    #[serde(rename = "VolAccessType")]
    pub access_type: AccessType,
    /// The volume that it is a clone of.
    #[serde(rename = "ParentVolID")]
    pub parent_volume: String,
    /// The snapshot that it was restored from.
    #[serde(rename = "ParentSnapID")]
    pub parent_snapshot: String,
    /// Lives and dies with one publication.
    pub ephemeral: bool,
    /// The node that it was published on; set with the first publication.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The capacity pool that it takes its size from.
    pub kind: String,
    /// Attached read-only.
    pub read_only_attach: bool,
    /// Attached to the node.
    pub attached: bool,
    /// Paths where it is staged.
    #[serde(deserialize_with = "list_or_null")]
    pub staged: Vec<String>,
    /// Paths where it is published.
    #[serde(deserialize_with = "list_or_null")]
    pub published: Vec<String>,
    /// The filesystem in its image, if it is one that is mounted; empty for a directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filesystem: String,
    /// Parameters of its creation; `None` if upstream created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BTreeMap<String, String>>,
    /// Arguments of the publications, for those that this driver made.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub publications: Vec<Publication>,
}

impl Record for Volume {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Volume {
    /// The filesystem in the image of this volume. Neither directories nor block volumes have one.
    pub fn filesystem(&self) -> Option<Kind> {
        Kind::named(&self.filesystem)
    }

    /// Whether its data is an image, behind a loop device when in use.
    pub fn has_image(&self) -> bool {
        self.access_type == AccessType::Block || self.filesystem().is_some()
    }

    /// Records a publication, in the place of an earlier one at the same path.
    pub fn publish(&mut self, publication: Publication) {
        self.unpublish(&publication.target);
        self.published.push(publication.target.clone());
        self.publications.push(publication);
    }

    /// Forgets the publication at `target`.
    pub fn unpublish(&mut self, target: &str) {
        self.published.retain(|path| path != target);
        self.publications.retain(|publication| publication.target != target);
    }

    /// The arguments of the publication at `target`, if this driver made it.
    pub fn publication(&self, target: &str) -> Option<&Publication> {
        self.publications.iter().find(|publication| publication.target == target)
    }
}

/// Everything the driver remembers. Cloning is cheap: records are shared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    volumes: Table<Volume>,
    snapshots: Table<Snapshot>,
    groups: Table<Group>,
}

impl State {
    /// The volume with this handle.
    pub fn volume(&self, id: &str) -> Option<&Arc<Volume>> {
        self.volumes.get(id)
    }

    /// The volume that was asked for under this name.
    pub fn volume_by_name(&self, name: &str) -> Option<&Arc<Volume>> {
        self.volumes.by_name(name)
    }

    /// All volumes, by handle.
    pub fn volumes(&self) -> impl ExactSizeIterator<Item = &Arc<Volume>> {
        self.volumes.iter()
    }

    /// Adds a volume or replaces the one with the same handle.
    pub fn put(&mut self, volume: Volume) {
        self.volumes.put(volume);
    }

    /// Forgets a volume.
    pub fn remove(&mut self, id: &str) {
        self.volumes.remove(id);
    }

    /// The snapshots.
    pub fn snapshots(&self) -> &Table<Snapshot> {
        &self.snapshots
    }

    /// The snapshots, to be changed.
    pub fn snapshots_mut(&mut self) -> &mut Table<Snapshot> {
        &mut self.snapshots
    }

    /// The group snapshots.
    pub fn groups(&self) -> &Table<Group> {
        &self.groups
    }

    /// The group snapshots, to be changed.
    pub fn groups_mut(&mut self) -> &mut Table<Group> {
        &mut self.groups
    }

    /// Bytes taken from a capacity pool, by ephemeral volumes too.
    pub fn used(&self, kind: &str) -> i64 {
        self.volumes()
            .filter(|volume| volume.kind == kind)
            .fold(0, |sum, volume| sum.saturating_add(volume.size))
    }

    /// The content of the state file.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let file = Written {
            volumes: self.volumes.iter().map(AsRef::as_ref).collect(),
            snapshots: self.snapshots.iter().map(AsRef::as_ref).collect(),
            group_snapshots: self.groups.iter().map(AsRef::as_ref).collect(),
        };
        serde_json::to_vec(&file)
    }

    /// Reads the content of a state file. Unknown keys are ignored and missing ones are zero, as upstream does.
    pub fn from_json(content: &[u8]) -> Result<Self, serde_json::Error> {
        // serde would take a list for an object without keys.
        if content.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(serde::de::Error::custom("it is not a JSON object"));
        }
        let file: Read = serde_json::from_slice(content)?;
        let mut state = Self::default();
        for volume in file.volumes {
            check(&state, &volume).map_err(serde::de::Error::custom)?;
            state.put(volume);
        }
        for snapshot in file.snapshots {
            check_id("Id", &snapshot.id, state.snapshots.get(&snapshot.id).is_some())
                .map_err(serde::de::Error::custom)?;
            state.snapshots.put(snapshot);
        }
        for group in file.group_snapshots {
            check_id("Id", &group.id, state.groups.get(&group.id).is_some())
                .map_err(serde::de::Error::custom)?;
            state.groups.put(group);
        }
        state.forget_changes();
        Ok(state)
    }
}

/// Refuses what would make the driver touch a wrong file or lose a volume.
fn check(state: &State, volume: &Volume) -> Result<(), String> {
    check_id("VolID", &volume.id, state.volume(&volume.id).is_some())?;
    check_filesystem(volume)
}

fn check_filesystem(volume: &Volume) -> Result<(), String> {
    if !volume.filesystem.is_empty() && volume.filesystem().is_none() {
        return Err(format!("Filesystem {:?} of volume {:?} is unknown", volume.filesystem, volume.id));
    }
    Ok(())
}

fn check_id(key: &str, id: &str, twice: bool) -> Result<(), String> {
    if !is_safe_id(id) {
        return Err(format!("{key} {id:?} cannot be the name of a file"));
    }
    if twice { Err(format!("{key} {id:?} is there twice")) } else { Ok(()) }
}

/// Ends of the names of the driver's own files: the state, and upstream's snapshots. Others begin with a dot.
const OWN_NAMES: [&str; 2] = ["state.json", ".snap"];

/// Whether a handle can be the name of a file in the state directory without hitting one of the driver's own.
/// Handles of ephemeral volumes come from outside.
pub fn is_safe_id(id: &str) -> bool {
    let own = id.starts_with('.') || OWN_NAMES.iter().any(|name| id.ends_with(name));
    !id.is_empty() && id.len() <= 255 && !id.contains(['/', '\0']) && !own
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    volumes: Vec<&'a Volume>,
    snapshots: Vec<&'a Snapshot>,
    group_snapshots: Vec<&'a Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    #[serde(default, deserialize_with = "list_or_null")]
    volumes: Vec<Volume>,
    #[serde(default, deserialize_with = "list_or_null")]
    snapshots: Vec<Snapshot>,
    #[serde(default, deserialize_with = "list_or_null")]
    group_snapshots: Vec<Group>,
}

pub(crate) fn list_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as upstream's driver leaves it.
    const UPSTREAM: &str = r#"{"Volumes":[{"VolName":"pvc-1","VolID":"6f8b7e4c-c6d1-11f0-a1a1-0242ac110002",
        "VolSize":1073741824,"VolPath":"/csi-data-dir/6f8b7e4c-c6d1-11f0-a1a1-0242ac110002","VolAccessType":1,
        "ParentVolID":"","ParentSnapID":"","Ephemeral":false,"NodeID":"n1","Kind":"fast","ReadOnlyAttach":false,
        "Attached":true,"Staged":["/s"],"Published":null,"Future":[1]}],
        "Snapshots":[{"Name":"s","Id":"i","CreationTime":{"seconds":5}}],"GroupSnapshots":null}"#;

    #[test]
    fn upstreams_file_is_read() {
        let state = State::from_json(UPSTREAM.as_bytes()).unwrap();
        let volume = state.volume_by_name("pvc-1").unwrap();
        assert_eq!(volume.size, 1 << 30);
        assert_eq!(volume.access_type, AccessType::Block);
        assert_eq!(volume.staged, ["/s"]);
        assert!(volume.attached && volume.published.is_empty() && volume.parameters.is_none());
        assert_eq!(state.used("fast"), 1 << 30);
    }

    #[test]
    fn what_is_written_has_upstreams_keys_in_order_and_keeps_snapshots() {
        let state = State::from_json(UPSTREAM.as_bytes()).unwrap();
        let text = String::from_utf8(state.to_json().unwrap()).unwrap();
        let keys = [
            "VolName",
            "VolID",
            "VolSize",
            "VolPath",
            "VolAccessType",
            "ParentVolID",
            "ParentSnapID",
            "Ephemeral",
            "NodeID",
            "Kind",
            "ReadOnlyAttach",
            "Attached",
            "Staged",
            "Published",
            "Snapshots",
            "GroupSnapshots",
        ];
        let places: Vec<_> = keys.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains(r#""CreationTime":{"seconds":5}"#));
        assert_eq!(State::from_json(text.as_bytes()).unwrap(), state);
    }

    #[test]
    fn missing_keys_are_zero_and_an_empty_object_is_an_empty_state() {
        assert_eq!(State::from_json(b"{}").unwrap(), State::default());
        let state = State::from_json(br#"{"Volumes":[{"VolID":"a"}]}"#).unwrap();
        assert_eq!(state.volume("a").unwrap().size, 0);
    }

    #[test]
    fn dangerous_content_is_refused() {
        for bad in [
            "",
            "{",
            "[]",
            r#"{"Volumes":[{"VolID":"../etc"}]}"#,
            r#"{"Volumes":[{"VolID":""}]}"#,
            r#"{"Volumes":[{"VolID":".creating"}]}"#,
            r#"{"Volumes":[{"VolID":"a"},{"VolID":"a"}]}"#,
            r#"{"Volumes":[{"VolID":"a","VolAccessType":2}]}"#,
            r#"{"Volumes":[{"VolID":"a"}]} trailing"#,
        ] {
            State::from_json(bad.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn names_follow_their_volumes() {
        let mut state = State::default();
        state.put(Volume { id: "1".into(), name: "n".into(), ..Volume::default() });
        state.remove("1");
        assert!(state.volume_by_name("n").is_none());
        state.put(Volume { id: "2".into(), name: "n".into(), ..Volume::default() });
        state.remove("1");
        assert_eq!(state.volume_by_name("n").unwrap().id, "2");
    }
}
