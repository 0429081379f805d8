//! What must hold while things go wrong, and what must be when they no longer do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testkit::driver::Fact;
use testkit::simulation::World;

use super::world::Wishes;
use crate::setup::{ON_CLAIM, PVC, VGS, VGSC, VS, VSC, strings, text};

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How much of the driver's history has been looked at.
    read: usize,
    /// Names under which something was cut.
    cut: BTreeSet<String>,
}

impl History {
    /// Nothing is taken twice; nothing goes that is wanted, or that a volume is being filled from.
    pub(super) fn holds(&mut self, world: &World, wishes: &Wishes) -> Result<(), String> {
        if world.driver().history_len() > self.read {
            let facts = world.driver().history();
            for fact in facts.iter().skip(self.read) {
                if let Fact::SnapshotCreated { name, .. } = fact
                    && !name.starts_with("groupsnapshot")
                    && !self.cut.insert(name.clone())
                {
                    return Err(format!("{name} is taken twice"));
                }
            }
            self.read = facts.len();
        }
        let there = world.driver().snapshots();
        for (claim, handle) in &wishes.lock().unwrap().sources {
            if !there.contains_key(handle) {
                return Err(format!("{handle} went while {claim} was being filled from it"));
            }
        }
        let mut state = wishes.lock().unwrap();
        for content in world.api().objects(VSC) {
            let Some(handle) = content["status"]["snapshotHandle"].as_str() else { continue };
            if state.told.insert(handle.to_owned()) && content["spec"]["deletionPolicy"] == "Retain" {
                state.retained.insert(handle.to_owned());
            }
        }
        if let Some(handle) = state.retained.iter().find(|handle| !there.contains_key(*handle)) {
            return Err(format!("{handle} went, and was to be retained"));
        }
        for snapshot in world.api().objects(VS) {
            let wanted = snapshot["metadata"]["deletionTimestamp"].is_null();
            if wanted && snapshot["status"]["readyToUse"] == true && !is_of_deleted_group(world, &snapshot) {
                let name = text(&snapshot["metadata"]["name"]);
                let content = text(&snapshot["status"]["boundVolumeSnapshotContentName"]);
                let content = world.api().object(VSC, "", &content);
                let content = content.ok_or_else(|| format!("the content of {name} went"))?;
                if !there.contains_key(&text(&content["status"]["snapshotHandle"])) {
                    return Err(format!("what {name} stands for went"));
                }
            }
        }
        Ok(())
    }
}

/// Members are deleted after what they stand for.
fn is_of_deleted_group(world: &World, snapshot: &Value) -> bool {
    let owners = snapshot["metadata"]["ownerReferences"].as_array();
    let Some(owner) = owners.and_then(|owners| owners.first()) else { return false };
    let group = world.api().object(VGS, "default", &text(&owner["name"]));
    group.is_none_or(|group| {
        group["metadata"]["uid"] != owner["uid"] || !group["metadata"]["deletionTimestamp"].is_null()
    })
}

/// All that is wished is ready, and nothing else is there.
pub(super) fn settled(world: &World, wishes: &Wishes) -> Result<(), String> {
    let state = wishes.lock().unwrap();
    for kind in [VS, VSC, VGS, VGSC, PVC] {
        for object in world.api().objects(kind) {
            if !object["metadata"]["deletionTimestamp"].is_null() {
                return Err(format!(
                    "{kind} {} does not go: {}",
                    object["metadata"]["name"], object["metadata"]
                ));
            }
        }
    }
    for claim in world.api().objects(PVC) {
        if strings(&claim["metadata"]["finalizers"]).contains(&ON_CLAIM.to_owned()) {
            return Err(format!("{} is still protected", claim["metadata"]["name"]));
        }
    }
    let all =
        state.snapshots.iter().map(|wish| (VS, wish)).chain(state.groups.iter().map(|wish| (VGS, wish)));
    for (kind, (name, wish)) in all {
        match (world.api().object(kind, "default", name), wish.kept) {
            (None, true) => return Err(format!("{name} is gone")),
            (Some(_), false) => return Err(format!("{name} is still there")),
            (Some(object), true) if object["status"]["readyToUse"] != true => {
                return Err(format!("{name} is not ready: {}", object["status"]));
            }
            (Some(object), true) if !object["status"]["error"].is_null() => {
                return Err(format!("{name} is ready and says {}", object["status"]["error"]));
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    members_are_ready(world)?;
    no_more_than_is_needed(world)
}

/// Every group has a member for each claim, and all are ready.
fn members_are_ready(world: &World) -> Result<(), String> {
    let mut members: BTreeMap<String, usize> = BTreeMap::new();
    for snapshot in world.api().objects(VS) {
        let Some(owner) =
            snapshot["metadata"]["ownerReferences"].as_array().and_then(|list| list.first().cloned())
        else {
            continue;
        };
        if snapshot["status"]["readyToUse"] != true {
            return Err(format!("a member of {} is not ready: {}", owner["name"], snapshot["status"]));
        }
        *members.entry(text(&owner["name"])).or_default() += 1;
    }
    for group in world.api().objects(VGS) {
        let name = text(&group["metadata"]["name"]);
        let found = members.remove(&name).unwrap_or_default();
        if found != 3 {
            return Err(format!("{name} has {found} members"));
        }
    }
    match members.first_key_value() {
        Some((name, _)) => Err(format!("members of {name} are left over")),
        None => Ok(()),
    }
}

/// Each content belongs to a snapshot, or was retained, and the driver has exactly what contents stand for.
fn no_more_than_is_needed(world: &World) -> Result<(), String> {
    let mut handles = BTreeSet::new();
    for content in world.api().objects(VSC) {
        let (name, owner) = (text(&content["metadata"]["name"]), &content["spec"]["volumeSnapshotRef"]);
        let snapshot = world.api().object(VS, "default", &text(&owner["name"]));
        let found = snapshot.is_some_and(|snapshot| snapshot["metadata"]["uid"] == owner["uid"]);
        if !found && content["spec"]["deletionPolicy"] != "Retain" && name != "copied" {
            // One that was made by hand and never bound is nobody's, as it should be.
            if owner["uid"].is_null() {
                handles.insert(text(&content["spec"]["source"]["snapshotHandle"]));
                continue;
            }
            return Err(format!("the content {name} is nobody's"));
        }
        handles.insert(text(&content["status"]["snapshotHandle"]));
        handles.insert(text(&content["spec"]["source"]["snapshotHandle"]));
    }
    for content in world.api().objects(VGSC) {
        let (name, owner) = (text(&content["metadata"]["name"]), &content["spec"]["volumeGroupSnapshotRef"]);
        let group = world.api().object(VGS, "default", &text(&owner["name"]));
        let found = group.is_some_and(|group| group["metadata"]["uid"] == owner["uid"]);
        if !found && content["spec"]["deletionPolicy"] != "Retain" {
            return Err(format!("the content {name} is nobody's"));
        }
        let members = content["status"]["volumeSnapshotInfoList"].as_array().cloned().unwrap_or_default();
        handles.extend(members.iter().map(|member| text(&member["snapshotHandle"])));
    }
    let there = world.driver().snapshots();
    match there.iter().find(|(id, _)| !handles.contains(*id)) {
        Some((id, name)) => Err(format!("the driver's snapshot {id} ({name}) is nobody's")),
        None => Ok(()),
    }
}
