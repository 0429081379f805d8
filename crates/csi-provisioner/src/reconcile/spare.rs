//! A volume that the driver may be making for a claim which is bound to another one by now.
//!
//! Nobody will ever want it, and nobody but us knows of it: upstream forgets it, and it stays in the storage. So the driver is
//! asked once more, as for a claim that is gone, until it says what came of the request; what it has made is deleted. No
//! object is saved for it: that would be deleted as well, but only where the class deletes, and only by way of others.
//!
//! Somebody who did not want to wait may have made an object by hand for what the driver has. So nothing is deleted that any
//! volume of the cluster names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use sidecar_core::objects::{Claim, Class, Interned};
use sidecar_core::reconciler::Outcome;
use tracing::info;

use super::Shared;
use super::api::text;
use super::attempt::Made;
use super::guard::is_guarded;
use super::locks::Waiter;
use super::memory::InProgress;
use crate::policy::claim::is_assigned;
use crate::policy::migration;
use crate::policy::state::Memory;

impl Shared {
    /// The name of the volume that the driver may be making for a claim although it is bound to another.
    pub(super) fn spare(&self, claim: &Claim) -> Option<Interned> {
        let uid = &claim.meta.uid;
        if !is_assigned(&self.driver.names, claim) || !self.memory.is_in_doubt(uid, is_guarded(claim)) {
            return None;
        }
        let name = Interned::new(&self.settings.naming.volume_name(&uid.to_string()).ok()?);
        // If there is an object of that name, it is bound to this claim or to another, or looked after as one that was
        // released. What the driver has under the name is not ours to delete in any case.
        let has_object = claim.volume_name.as_ref() == Some(&name) || self.stores.volumes.exists("", &name);
        (!has_object).then_some(name)
    }

    /// Finds out whether the driver has a volume for a bound claim besides its own, and deletes it.
    pub(super) async fn remove_spare(
        &self,
        claim: &Arc<Claim>,
        class: Option<&Class>,
        name: &Interned,
    ) -> Outcome {
        let uid = &claim.meta.uid;
        if self.unsaved.owner(name).is_some() {
            // Whoever it belongs to is looked at again when it is saved.
            return Outcome::Done;
        }
        let Some(class) = class.filter(|class| self.driver.names.knows(&class.provisioner)) else {
            let key = claim.meta.key();
            return Outcome::RetryBackoff(format!(
                "claim {key} is bound, but the driver may have another volume {name} for it, and cannot be asked \
                 without the claim's class"
            ));
        };
        {
            let Some(_guard) = self.locks.try_lock(name, Waiter::Claim(uid.clone())) else {
                return Outcome::Drop;
            };
            if let Err(problem) = self.see_through(claim, class).await {
                return Outcome::RetryBackoff(problem);
            }
        }
        // Asking may have put our finalizer on it.
        let current = self.claim(uid).unwrap_or_else(|| claim.clone());
        self.let_go(&current).await
    }

    /// Asks the driver for what it was asked before and deletes what comes of it; succeeds when nothing is left.
    async fn see_through(&self, claim: &Arc<Claim>, class: &Class) -> Result<(), String> {
        let uid = &claim.meta.uid;
        let mut entry = self.memory.in_progress(uid).unwrap_or_else(|| InProgress::new(claim.clone()));
        // As it was when the driver was asked: a bound claim may have grown since.
        let asked = entry.claim.clone();
        match self.ask(&asked, class, &mut entry).await {
            Ok(made) => {
                if let Err(problem) = self.remove(claim, &made).await {
                    self.memory.remember(entry);
                    return Err(problem);
                }
            }
            Err(failure) => match failure.state.memory() {
                Memory::Forget => {}
                Memory::Remember => {
                    self.memory.remember(entry);
                    return Err(failure.message);
                }
                Memory::Keep => return Err(failure.message),
            },
        }
        self.memory.refuse(uid);
        self.memory.forget(uid);
        Ok(())
    }

    async fn remove(&self, claim: &Claim, made: &Made) -> Result<(), String> {
        let (key, handle) = (claim.meta.key(), made.handle());
        if self.is_in_use(claim, handle).await? {
            info!(v = 2, claim = %key, handle, "Volume that was made for the claim is in use already");
            return Ok(());
        }
        info!(v = 2, claim = %key, handle, "Deleting volume that was made for a claim which is bound to another");
        self.unmake(made).await
    }

    /// Whether there is a volume object for what the driver calls `handle`.
    async fn is_in_use(&self, claim: &Claim, handle: &str) -> Result<bool, String> {
        if let Some(bound) = &claim.volume_name {
            // The cache of volumes may be behind that of claims.
            let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
            if let Some(live) = volumes.get_opt(bound).await.map_err(|error| text(&error))? {
                self.wrote_volume(&live);
            }
        }
        let driver = self.driver.names.name();
        // Rare enough to be looked for: in-tree volumes are in no index by what the driver calls them.
        Ok(self.stores.volumes.list().iter().any(|volume| {
            migration::csi_handle(driver, volume).is_ok_and(|found| found.as_deref() == Some(handle))
        }))
    }
}
