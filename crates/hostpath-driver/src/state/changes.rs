//! What one commit changes, as a record of the journal: the part of a state file that is new, and the ids that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Group, Read, Record, Snapshot, State, Table, Volume, Written, is_safe_id};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    put: Written<'a>,
    gone: Gone,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadChange {
    put: Read,
    gone: Gone,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Gone {
    volumes: Vec<String>,
    snapshots: Vec<String>,
    group_snapshots: Vec<String>,
}

/// The records with these ids, and the ids without a record.
fn split<'a, T: Record>(table: &'a Table<T>, changed: &BTreeSet<Arc<str>>) -> (Vec<&'a T>, Vec<String>) {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    for id in changed {
        match table.get(id) {
            Some(record) => put.push(record.as_ref()),
            None => gone.push(id.to_string()),
        }
    }
    (put, gone)
}

impl State {
    /// What has changed since the last time; `None` if nothing has.
    pub(crate) fn take_changes(&mut self) -> Result<Option<Vec<u8>>, serde_json::Error> {
        let changed =
            [self.volumes.take_changed(), self.snapshots.take_changed(), self.groups.take_changed()];
        if changed.iter().all(BTreeSet::is_empty) {
            return Ok(None);
        }
        let [volumes, snapshots, groups] = &changed;
        let (volumes, gone_volumes): (Vec<&Volume>, _) = split(&self.volumes, volumes);
        let (snapshots, gone_snapshots): (Vec<&Snapshot>, _) = split(&self.snapshots, snapshots);
        let (group_snapshots, gone_groups): (Vec<&Group>, _) = split(&self.groups, groups);
        let gone = Gone { volumes: gone_volumes, snapshots: gone_snapshots, group_snapshots: gone_groups };
        let change = Change { put: Written { volumes, snapshots, group_snapshots }, gone };
        serde_json::to_vec(&change).map(Some)
    }

    pub(super) fn forget_changes(&mut self) {
        drop((self.volumes.take_changed(), self.snapshots.take_changed(), self.groups.take_changed()));
    }

    /// Does what a record says. To do it again changes nothing.
    pub(crate) fn replay(&mut self, record: &[u8]) -> Result<(), serde_json::Error> {
        let ReadChange { put, gone } = serde_json::from_slice(record)?;
        for volume in put.volumes {
            check(&volume.id)?;
            super::check_filesystem(&volume).map_err(serde::de::Error::custom)?;
            self.volumes.put(volume);
        }
        for snapshot in put.snapshots {
            check(&snapshot.id)?;
            self.snapshots.put(snapshot);
        }
        for group in put.group_snapshots {
            check(&group.id)?;
            self.groups.put(group);
        }
        gone.volumes.iter().for_each(|id| self.volumes.remove(id));
        gone.snapshots.iter().for_each(|id| self.snapshots.remove(id));
        gone.group_snapshots.iter().for_each(|id| self.groups.remove(id));
        self.forget_changes();
        Ok(())
    }
}

fn check(id: &str) -> Result<(), serde_json::Error> {
    if is_safe_id(id) {
        return Ok(());
    }
    Err(serde::de::Error::custom(format!("{id:?} cannot be the name of a file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_what_changed_and_replaying_it_gives_the_same_state() {
        let volume = |id: &str, size| Volume { id: id.into(), name: id.into(), size, ..Volume::default() };
        let mut state = State::default();
        for id in ["a", "b", "c"] {
            state.put(volume(id, 1));
        }
        state.forget_changes();
        let mut replayed = state.clone();
        state.put(volume("b", 2));
        state.remove("c");
        state.remove("unknown");
        state.snapshots_mut().put(Snapshot { id: "s".into(), name: "s".into(), ..Snapshot::default() });
        state.groups_mut().put(Group { id: "g".into(), name: "g".into(), ..Group::default() });
        let record = state.take_changes().unwrap().unwrap();
        assert_eq!(state.take_changes().unwrap(), None);
        let text = String::from_utf8(record.clone()).unwrap();
        assert!(!text.contains("\"a\"") && !text.contains('\n'), "{text}");
        for _ in 0..2 {
            replayed.replay(&record).unwrap();
            assert_eq!(replayed, state);
        }
    }

    #[test]
    fn dangerous_records_are_refused() {
        let gone = r#""Gone":{"Volumes":[],"Snapshots":[],"GroupSnapshots":[]}"#;
        for put in [
            r#"{"Volumes":[{"VolID":"../etc"}]}"#,
            r#"{"Volumes":[{"VolID":"a","Filesystem":"none"}]}"#,
            r#"{"Snapshots":[{"Id":""}]}"#,
            r#"{"GroupSnapshots":[{"Id":"a/b"}]}"#,
        ] {
            State::default().replay(format!(r#"{{"Put":{put},{gone}}}"#).as_bytes()).unwrap_err();
        }
        State::default().replay(b"{}").unwrap_err();
    }
}
