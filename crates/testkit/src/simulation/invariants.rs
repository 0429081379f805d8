//! What must hold about volumes while and after things go wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::api::doc;

const UID_LENGTH: usize = 36;

/// While things go wrong: no volume is made twice, and none goes while its claim lives.
pub fn volumes(world: &World) -> Result<(), String> {
    let made = world.driver().volumes();
    let backend: BTreeSet<&str> = made.iter().map(|volume| volume.id.as_str()).collect();
    let claims = claims(world);
    let mut handles = BTreeSet::new();
    for volume in world.api().objects("PersistentVolume") {
        let (name, handle) =
            (doc::text(&volume, "/metadata/name"), doc::text(&volume, "/spec/csi/volumeHandle"));
        if handle.is_empty() {
            continue;
        }
        if !handles.insert(handle.to_owned()) {
            return Err(format!("two persistent volumes have the handle {handle}"));
        }
        let owner = doc::text(&volume, "/spec/claimRef/uid");
        let wanted = claims.get(owner).is_some_and(|going| !going);
        let deleting = doc::present(&volume, "/metadata/deletionTimestamp");
        if wanted && !deleting && !backend.contains(handle) {
            return Err(format!("volume {handle} of {name} went while its claim lives"));
        }
    }
    let mut served = BTreeSet::new();
    for volume in &made {
        // Volume names end in the UID of their claim, whatever the prefix.
        let uid = volume.name.len().checked_sub(UID_LENGTH).and_then(|start| volume.name.get(start..));
        if let Some(uid) = uid.filter(|uid| claims.contains_key(*uid))
            && !served.insert(uid)
        {
            return Err(format!("two volumes exist for the claim with uid {uid}"));
        }
    }
    Ok(())
}

/// UID of every claim, and whether it is going.
fn claims(world: &World) -> BTreeMap<String, bool> {
    let claims = world.api().objects("PersistentVolumeClaim");
    claims
        .iter()
        .map(|claim| {
            let uid = doc::text(claim, "/metadata/uid").to_owned();
            (uid, doc::present(claim, "/metadata/deletionTimestamp"))
        })
        .collect()
}

/// When everything has settled: every claim is bound to a volume of its own that exists in the backend, and nothing
/// else exists, neither in the API nor in the backend. For classes that delete.
pub fn settled(world: &World) -> Result<(), String> {
    let volumes = world.api().objects("PersistentVolume");
    let made = world.driver().volumes();
    let mut backend: BTreeMap<&str, &str> =
        made.iter().map(|volume| (volume.id.as_str(), volume.name.as_str())).collect();
    let mut owned = BTreeSet::new();
    for claim in world.api().objects("PersistentVolumeClaim") {
        let (name, bound) = (doc::text(&claim, "/metadata/name"), doc::text(&claim, "/spec/volumeName"));
        let phase = doc::text(&claim, "/status/phase");
        if phase != "Bound" {
            return Err(format!("claim {name} is {phase}"));
        }
        let volume = volumes.iter().find(|volume| doc::text(volume, "/metadata/name") == bound);
        let Some(volume) = volume else { return Err(format!("claim {name} is bound to nothing")) };
        if doc::at(volume, "/spec/claimRef/uid") != doc::at(&claim, "/metadata/uid") {
            return Err(format!("volume {bound} does not belong to claim {name}"));
        }
        let handle = doc::text(volume, "/spec/csi/volumeHandle");
        if backend.remove(handle).is_none() {
            return Err(format!("volume {handle} of claim {name} is lost"));
        }
        owned.insert(bound.to_owned());
    }
    if let Some(extra) =
        volumes.iter().map(|volume| doc::text(volume, "/metadata/name")).find(|name| !owned.contains(*name))
    {
        return Err(format!("persistent volume {extra} belongs to no claim"));
    }
    match backend.first_key_value() {
        Some((id, name)) => Err(format!("volume {id} ({name}) has leaked")),
        None => Ok(()),
    }
}
