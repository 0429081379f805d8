//! From a claim to the volume that is cut (sheet 5.3, step 2; 5.12.1).

use std::sync::Arc;

use sidecar_core::objects::{Claim, ClaimPhase, Volume};

use super::Stores;

/// What is taken, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A snapshot of one claim.
    Snapshot,
    /// A snapshot of a group of claims.
    Group,
}

impl Taken {
    fn words(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Group => "group snapshot",
        }
    }
}

/// The claim of that name.
pub fn claim(stores: &Stores, namespace: &str, name: &str) -> Result<Arc<Claim>, String> {
    stores.claims.get(namespace, name).ok_or_else(|| {
        let problem = format!("persistentvolumeclaim {name:?} not found");
        format!("failed to retrieve PVC {name} from the lister: {problem:?}")
    })
}

/// The volume that a claim is bound to, which must know of it, too.
pub fn volume(stores: &Stores, claim: &Claim, taken: Taken) -> Result<Arc<Volume>, String> {
    let name = &claim.meta.name;
    let (ClaimPhase::Bound, Some(volume_name)) = (claim.phase, &claim.volume_name) else {
        return Err(format!(
            "the PVC {name} is not yet bound to a PV, will not attempt to take a {}",
            taken.words()
        ));
    };
    let volume = stores.volumes.get("", volume_name).ok_or_else(|| {
        let problem = format!("persistentvolumes \"{volume_name}\" not found");
        format!("failed to retrieve PV {volume_name} from the API server: {problem:?}")
    })?;
    if is_of(&volume, claim) {
        Ok(volume)
    } else {
        Err("claim in dataSource not bound or invalid".to_owned())
    }
}

fn is_of(volume: &Volume, claim: &Claim) -> bool {
    volume.claim.as_ref().is_some_and(|owner| {
        *owner.namespace == *claim.meta.namespace()
            && owner.name == claim.meta.name
            && (owner.uid.is_empty() || owner.uid == claim.meta.uid)
    })
}
