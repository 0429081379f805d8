//! One attempt to make a volume: ask the policy what is needed, fetch it, ask the driver, judge its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use csi_client::{CallOptions, status_text};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use kube::Api;
use sidecar_core::objects::{AttributesClass, Claim, Class, Interned, Meta};

use super::Shared;
use super::api::text;
use super::filling::Inspection;
use super::memory::InProgress;
use crate::driver::{create_failure, request, response};
use crate::policy::migration;
use crate::policy::prepare::{Fetched, Inputs, Plan, Step, next};
use crate::policy::secrets::SecretRef;
use crate::policy::state::Failure;
use crate::policy::volume;

/// How often a volume of no use is deleted before it is called an orphan.
const CLEAN_UP_TRIES: u32 = 5;

/// A volume that the driver has made.
pub(super) struct Made {
    plan: Plan,
    created: volume::Created,
    secrets: BTreeMap<String, String>,
}

impl Made {
    /// What the driver calls it.
    pub(super) fn handle(&self) -> &str {
        &self.created.volume_id
    }
}

impl Shared {
    /// Makes the volume of `claim` and returns the object to save. `entry` keeps what outlives a failed attempt.
    pub(super) async fn attempt(
        &self,
        claim: &Arc<Claim>,
        class: &Class,
        entry: &mut InProgress,
    ) -> Result<PersistentVolume, Failure> {
        let Made { plan, created, secrets } = self.ask(claim, class, entry).await?;
        let inputs = Inputs { settings: &self.settings, driver: &self.driver, claim, class: Some(class) };
        if plan.migrated {
            self.migrate(&inputs, class, &plan, created, &secrets).await
        } else {
            Ok(volume::build(&inputs, class, &plan, created))
        }
    }

    /// Asks the driver for the volume of `claim`. `entry` keeps what outlives a failure.
    pub(super) async fn ask(
        &self,
        claim: &Arc<Claim>,
        class: &Class,
        entry: &mut InProgress,
    ) -> Result<Made, Failure> {
        let inputs = Inputs { settings: &self.settings, driver: &self.driver, claim, class: Some(class) };
        let mut fetched = Fetched {
            annotations: entry.annotations.clone(),
            content: entry.content.clone(),
            ..Fetched::default()
        };
        // The driver may be at work on an earlier request, whatever forbids another one now.
        let plan = self.plan(&inputs, &mut fetched).await.map_err(Failure::before_asking)?;
        entry.annotations.clone_from(&fetched.annotations);
        entry.content.clone_from(&fetched.content);
        let secrets = fetched.secret.unwrap_or_default();

        // On the heap: it is rare, and its state is large.
        Box::pin(self.guard(claim)).await.map_err(Failure::before_asking)?;
        self.memory.ask(&claim.meta.uid);
        let request = request::create(&plan.wish, &secrets);
        let answer = self
            .connection
            .create_volume(request, CallOptions::timeout(self.timeout).migrated(plan.migrated))
            .await
            .map_err(|status| create_failure(&status, plan.node_selected))?;
        match response::read(answer, plan.wish.required_bytes, plan.wish.content.is_some()) {
            Ok(created) => Ok(Made { plan, created, secrets }),
            Err(rejected) => Err(self.reject(&plan, rejected, &secrets).await),
        }
    }

    /// The object for a volume of an in-tree class. A volume that the in-tree plugin cannot express is of no use to anybody.
    async fn migrate(
        &self,
        inputs: &Inputs<'_>,
        class: &Class,
        plan: &Plan,
        created: volume::Created,
        secrets: &BTreeMap<String, String>,
    ) -> Result<PersistentVolume, Failure> {
        let volume_id = created.volume_id.clone();
        let built = volume::build(inputs, class, plan, created);
        let problem = match migration::in_tree_volume(&built) {
            Ok(volume) => return Ok(volume),
            Err(problem) => problem,
        };
        match self.clean_up(&volume_id, secrets, true).await {
            Ok(()) => Err(Failure::finished(problem)),
            Err(error) => Err(Failure::in_background(response::clean_up_message(
                &problem,
                ". Cleanup of volume ",
                &plan.wish.name,
                Some(&error),
            ))),
        }
    }

    /// Fetches until the plan is complete.
    async fn plan(&self, inputs: &Inputs<'_>, fetched: &mut Fetched) -> Result<Plan, Failure> {
        let mut inspection = Inspection::default();
        loop {
            match next(inputs, fetched)? {
                Step::Create(plan) => return Ok(*plan),
                Step::FetchAnnotations => {
                    fetched.annotations = Some(self.annotations(inputs.claim).await?);
                }
                Step::FetchSecret(reference) => {
                    let secret = self.secret(&reference).await.map_err(Failure::no_change)?;
                    fetched.secret = Some(secret);
                }
                Step::FetchAttributesClass(name) => {
                    fetched.attributes_class = Some(self.attributes_class(&name).await?);
                }
                // On the heap: most claims have no source.
                about_source => {
                    Box::pin(self.inspect(inputs.claim, about_source, fetched, &mut inspection)).await?;
                }
            }
        }
    }

    async fn annotations(&self, claim: &Claim) -> Result<BTreeMap<String, String>, Failure> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), claim.meta.namespace());
        let found = claims.get(&claim.meta.name).await.map_err(|error| Failure::no_change(text(&error)))?;
        if claim.meta.uid != *found.metadata.uid.as_deref().unwrap_or_default() {
            return Err(Failure::no_change(format!("claim {} was replaced by another", claim.meta.name)));
        }
        Ok(found.metadata.annotations.unwrap_or_default())
    }

    /// The content of a Secret, as the driver gets it.
    pub(super) async fn secret(&self, reference: &SecretRef) -> Result<BTreeMap<String, String>, String> {
        let SecretRef { name, namespace } = reference;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let wrong =
            |problem: String| format!("error getting secret {name} in namespace {namespace}: {problem}");
        let secret = secrets.get(name).await.map_err(|error| wrong(text(&error)))?;
        let data = secret.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| match String::from_utf8(value.0) {
                Ok(value) => Ok((key, value)),
                Err(_) => Err(wrong(format!("value of key {key:?} is not UTF-8, which CSI requires"))),
            })
            .collect()
    }

    async fn attributes_class(&self, name: &str) -> Result<AttributesClass, Failure> {
        let classes: Api<VolumeAttributesClass> = Api::all(self.client.clone());
        let found = classes.get(name).await.map_err(|error| Failure::no_change(text(&error)))?;
        let parameters = found.parameters.unwrap_or_default().into_iter();
        Ok(AttributesClass {
            meta: Meta { name: Interned::new(name), ..Meta::default() },
            driver: Interned::new(&found.driver_name),
            parameters: parameters.map(|(key, value)| (key.into(), value.into())).collect(),
        })
    }

    /// An answer that cannot be used: the volume goes, if there is one.
    async fn reject(
        &self,
        plan: &Plan,
        rejected: response::Rejected,
        secrets: &BTreeMap<String, String>,
    ) -> Failure {
        match rejected {
            response::Rejected::Unusable(reason) => Failure::in_background(reason),
            response::Rejected::CleanUp { volume_id, reason, orphan_prefix } => {
                let failure = self.clean_up(&volume_id, secrets, plan.migrated).await.err();
                Failure::in_background(response::clean_up_message(
                    &reason,
                    orphan_prefix,
                    &plan.wish.name,
                    failure.as_deref(),
                ))
            }
        }
    }

    /// Deletes a volume that nobody has seen yet.
    pub(super) async fn unmake(&self, made: &Made) -> Result<(), String> {
        self.clean_up(made.handle(), &made.secrets, made.plan.migrated).await
    }

    /// Deletes a volume that was just made. One deadline bounds all tries.
    async fn clean_up(
        &self,
        volume_id: &str,
        secrets: &BTreeMap<String, String>,
        migrated: bool,
    ) -> Result<(), String> {
        let options = CallOptions::timeout(self.timeout).migrated(migrated);
        let mut last = String::new();
        for _ in 0..CLEAN_UP_TRIES {
            match self.connection.delete_volume(request::delete(volume_id, secrets), options).await {
                Ok(_) => return Ok(()),
                Err(status) => last = status_text(&status),
            }
        }
        Err(last)
    }
}
