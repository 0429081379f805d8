//! From what a volume is filled: fetching the source, and protecting it once it is found good.
//!
//! A snapshot or claim is looked at and protected in one go: the update with our finalizer carries the version that was looked
//! at, so it fails if anything changed meanwhile, and then everything is looked at again. Where upstream reads a snapshot
//! twice, it is read once.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde::de::DeserializeOwned;
use sidecar_core::api::ErrorKind;
use sidecar_core::objects::{Claim, Interned};
use snapshot_api::v1::{VolumeSnapshot, VolumeSnapshotContent};
use tokio::sync::OwnedMutexGuard;
use tracing::{info, warn};

use super::Shared;
use super::api::text;
use crate::policy::data_source::grants::Grant;
use crate::policy::data_source::{Content, Place, Source, clone, restore};
use crate::policy::prepare::{Fetched, LookedUp, Step};
use crate::policy::state::Failure;

/// How often a source that changed under our hands is looked at again before the attempt fails.
const TRIES: u32 = 3;

/// The source that is being looked at.
#[derive(Default)]
pub(super) struct Inspection {
    /// The source as it was fetched, to be written back with our finalizer.
    live: Option<(Source, DynamicObject)>,
    /// Held from the first look until the source is protected.
    held: Option<OwnedMutexGuard<()>>,
    conflicts: u32,
}

impl Shared {
    /// Does a step that is about the source of a claim.
    pub(super) async fn inspect(
        &self,
        claim: &Claim,
        step: Step,
        fetched: &mut Fetched,
        inspection: &mut Inspection,
    ) -> Result<(), Failure> {
        match step {
            Step::FetchGrants(namespace) => fetched.grants = Some(self.grants(&namespace).await?),
            Step::FetchSnapshot(place) => {
                let source = Source::Snapshot(place.clone());
                self.begin(claim, &source, inspection).await;
                let (live, snapshot) = self.live(&snapshot_kind(), &place).await.map_err(|problem| {
                    let name = &place.name;
                    Failure::no_change(
                        source.problem(format!("error getting snapshot {name} from api server: {problem}")),
                    )
                })?;
                inspection.live = Some((source, live));
                fetched.snapshot = Some(snapshot);
            }
            Step::FetchSnapshotContent(name) => {
                fetched.snapshot_content = Some(self.snapshot_content(&name, inspection).await?);
            }
            Step::FetchSourceClaim(place) => {
                let source = Source::Claim(place.clone());
                self.begin(claim, &source, inspection).await;
                let kind = ApiResource::erase::<PersistentVolumeClaim>(&());
                let (live, found) = self.live(&kind, &place).await.map_err(|problem| {
                    let (name, namespace) = (&place.name, claim.meta.namespace());
                    let problem = format!(
                        "error getting PVC {name} (namespace {namespace:?}) from api server: {problem}"
                    );
                    Failure::no_change(source.problem(problem))
                })?;
                inspection.live = Some((source, live));
                fetched.source_claim = Some(found);
            }
            Step::FetchSourceVolume(name) => {
                fetched.source_volume = Some(LookedUp(self.volume(&Interned::new(&name))));
            }
            Step::Protect(content) => self.protect(content, fetched, inspection).await?,
            // Nothing else is about sources.
            Step::FetchAnnotations
            | Step::FetchSecret(_)
            | Step::FetchAttributesClass(_)
            | Step::Create(_) => {}
        }
        Ok(())
    }

    /// From here on the source is in use, and nobody ends its protection before it was looked at.
    async fn begin(&self, claim: &Claim, source: &Source, inspection: &mut Inspection) {
        self.sources.begin(&claim.meta.uid, source);
        if inspection.held.is_none() {
            inspection.held = Some(self.sources.lock_source(source).await);
        }
    }

    async fn protect(
        &self,
        content: Content,
        fetched: &mut Fetched,
        inspection: &mut Inspection,
    ) -> Result<(), Failure> {
        let Some((source, live)) = inspection.live.take() else {
            return Err(Failure::no_change("the source was not looked at"));
        };
        match self.add_finalizer(&source, live).await {
            Ok(()) => {}
            Err(error) if ErrorKind::of(&error) == ErrorKind::Conflict && inspection.conflicts < TRIES => {
                inspection.conflicts += 1;
                fetched.snapshot = None;
                fetched.snapshot_content = None;
                fetched.source_claim = None;
                fetched.source_volume = None;
                return Ok(());
            }
            Err(error) => return Err(Failure::no_change(text(&error))),
        }
        inspection.held = None;
        fetched.content = Some(content);
        Ok(())
    }

    /// Adds our finalizer to a source, unless it has it. The rules of a cluster may not let us change snapshots: then they
    /// are used unprotected.
    async fn add_finalizer(&self, source: &Source, mut live: DynamicObject) -> Result<(), kube::Error> {
        let (kind, finalizer, place) = match source {
            Source::Snapshot(place) => (snapshot_kind(), restore::FINALIZER, place),
            Source::Claim(place) => {
                (ApiResource::erase::<PersistentVolumeClaim>(&()), clone::FINALIZER, place)
            }
            Source::Empty | Source::Populator { .. } => return Ok(()),
        };
        let finalizers = live.metadata.finalizers.get_or_insert_default();
        if finalizers.iter().any(|name| name == finalizer) {
            return Ok(());
        }
        finalizers.push(finalizer.to_owned());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &place.namespace, &kind);
        match api.replace(&place.name, &PostParams::default(), &live).await {
            Ok(written) => {
                if matches!(source, Source::Claim(_)) {
                    self.wrote_claim(&written);
                }
                Ok(())
            }
            Err(error)
                if matches!(source, Source::Snapshot(_)) && ErrorKind::of(&error) == ErrorKind::Forbidden =>
            {
                info!(snapshot = %place, err = text(&error), "Not allowed to protect the snapshot while it is restored");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn live<T: DeserializeOwned>(
        &self,
        kind: &ApiResource,
        place: &Place,
    ) -> Result<(DynamicObject, T), String> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &place.namespace, kind);
        let live = api.get(&place.name).await.map_err(|error| text(&error))?;
        let typed = serde_json::to_value(&live).and_then(serde_json::from_value);
        Ok((live, typed.map_err(|error| error.to_string())?))
    }

    async fn snapshot_content(
        &self,
        name: &str,
        inspection: &Inspection,
    ) -> Result<VolumeSnapshotContent, Failure> {
        let contents: Api<VolumeSnapshotContent> = Api::all(self.client.clone());
        contents.get(name).await.map_err(|error| {
            warn!(snapshotcontent = name, err = text(&error), "Cannot get the content of a snapshot");
            let Some((source @ Source::Snapshot(place), _)) = &inspection.live else {
                return Failure::no_change(text(&error));
            };
            let snapshot = &place.name;
            Failure::no_change(
                source.problem(format!("error getting snapshotcontent {name} for snapshot {snapshot}")),
            )
        })
    }

    async fn grants(&self, namespace: &str) -> Result<Vec<Grant>, Failure> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant");
        let kind = ApiResource::from_gvk_with_plural(&kind, "referencegrants");
        let grants: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let read = |grant: DynamicObject| {
            serde_json::to_value(grant).and_then(serde_json::from_value).map_err(|error| error.to_string())
        };
        let found = match grants.list(&ListParams::default()).await {
            Ok(list) => list.items.into_iter().map(read).collect::<Result<Vec<Grant>, _>>(),
            Err(error) => Err(text(&error)),
        };
        found.map_err(|problem| {
            Failure::finished(format!(
                "error getting ReferenceGrants in {namespace} namespace from api server: {problem}"
            ))
        })
    }
}

/// The kind of snapshots, untyped so that no field is lost.
pub(super) fn snapshot_kind() -> ApiResource {
    ApiResource::erase::<VolumeSnapshot>(&())
}
