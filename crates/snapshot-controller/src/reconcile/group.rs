//! A group: what it needs is done step by step (sheet 5.12 to 5.14).
//!
//! Groups begin when their kinds are there, which may be long after everything else.

mod content;
mod deletion;
mod feed;
mod members;

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::ListParams;
use sidecar_core::api::ErrorKind;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{
    Claim, GroupContent, GroupSnapshot, Interest, Interned, LabelSelector, ObjectKey,
};
use sidecar_core::queue::Queue;
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::finalizers::GROUP_BOUND;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::api::{self, PatchType, Stop, text};
use super::report::{Reported, outcome, stopped};
use super::{Shared, work_on};
use crate::crds;
use crate::events::group as events;
use crate::metrics::{Operation, Origin};
use crate::policy::group::{Next, create, next, no_default, selector};
use crate::policy::{GroupStores, Problem, patch, source, status};

/// How many steps one look may take.
const STEPS: usize = 16;

/// What is there once groups are worked on.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) stores: GroupStores,
    pub(super) snapshots: Queue<ObjectKey>,
    /// Names of contents.
    pub(super) contents: Queue<Interned>,
}

/// What is to be done after a step.
enum After {
    Step(Arc<GroupSnapshot>),
    End(Outcome),
}

/// The claims of a group, if the API server could be asked.
type Claims = Result<Vec<Arc<Claim>>, String>;

/// Works on groups once their kinds are there, until the queues are shut down.
pub(super) async fn run(shared: &Arc<Shared>, kinds: &crds::Groups, stop: &CancellationToken) {
    let ready = async {
        kinds.found().await;
        begin(shared).await
    };
    let groups = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        groups = ready => groups,
    };
    info!("Working on volume group snapshots");
    let snapshots = work_on(shared, &groups.snapshots, "group snapshot", |shared, key| async move {
        shared.sync_group(&key).await
    });
    let contents = work_on(shared, &groups.contents, "group content", |shared, name| async move {
        shared.sync_group_content(&name).await
    });
    tokio::select! {
        biased;
        ((), ()) = async { tokio::join!(snapshots, contents) } => {}
        () = feed::run(shared.clone(), groups.clone()) => {}
    }
}

/// Fills the caches of groups. Members that were looked at without them are looked at once more.
pub(super) async fn begin(shared: &Arc<Shared>) -> Arc<Groups> {
    let caches = &shared.context.caches;
    let stores = GroupStores {
        snapshots: caches.want(Interest::all()),
        contents: caches.want(Interest::all()),
        classes: caches.want(Interest::all()),
    };
    caches.start(&shared.client);
    stores.classes.synced().await;
    stores.contents.synced().await;
    stores.snapshots.synced().await;
    let groups = shared.groups.get_or_init(|| {
        let series =
            |name: &str| shared.context.metrics.workqueues().queue(&format!("snapshot-controller-{name}"));
        Arc::new(Groups {
            stores,
            snapshots: Queue::with_metrics(shared.backoff.clone(), series("group-snapshot")),
            contents: Queue::with_metrics(shared.backoff.clone(), series("group-content")),
        })
    });
    for snapshot in shared.stores.snapshots.list() {
        if snapshot.group.is_some() || snapshot.content.is_some() {
            shared.wake(&snapshot.meta.key());
        }
    }
    groups.clone()
}

pub(super) fn origin(group: &GroupSnapshot) -> Origin {
    if group.content.is_some() { Origin::PreProvisioned } else { Origin::Dynamic }
}

impl Shared {
    /// Looks at the group of this name.
    async fn sync_group(&self, key: &ObjectKey) -> Outcome {
        let Some(groups) = self.groups.get().cloned() else { return Outcome::Drop };
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let Some(group) = groups.stores.snapshots.get(namespace, &key.name) else { return Outcome::Done };
        self.memory.set_classless(key, false);
        let done = if group.meta.deleting {
            self.sync_deleted_group(&groups, &group).await
        } else {
            self.sync_wanted_group(&groups, &group).await
        };
        done.unwrap_or_else(outcome)
    }

    async fn sync_wanted_group(&self, groups: &Groups, group: &Arc<GroupSnapshot>) -> Result<Outcome, Stop> {
        let mut group = group.clone();
        let mut claims = None;
        for _ in 0..STEPS {
            match self.group_step(groups, &group, &mut claims).await? {
                After::Step(now) if now.meta.deleting => return Ok(Outcome::Done),
                After::Step(now) => group = now,
                After::End(outcome) => return Ok(outcome),
            }
        }
        Err(Stop::Failed(format!("group snapshot {} changes all the time", group.meta.key())))
    }

    async fn group_step(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
        claims: &mut Option<Claims>,
    ) -> Result<After, Stop> {
        if !(group.is_ready() && group.bound_content().is_some()) {
            self.begin_group(groups, group);
        }
        let store = &groups.stores.snapshots;
        match next(group, &groups.stores) {
            Next::Prepare { class, finalizer } => {
                self.prepare_group(groups, group, claims, class, finalizer).await
            }
            Next::Create => self.create_group_content(groups, group, claims).await,
            Next::Bind(content) => self.bind_group(groups, group, &content).await,
            Next::MembersAndCopy(content) => match self.make_members(group, &content).await {
                Ok(()) => self.copy_group(groups, group, &content).await,
                Err(error) => {
                    let message = format!("Failed to create a member of the group snapshot: {error}");
                    let problem = Problem::keeping_readiness(events::MEMBER_CREATION_FAILED, message, error);
                    self.report(store, &**group, problem).await.map(After::End)
                }
            },
            Next::Copy(content) => self.copy_group(groups, group, &content).await,
            Next::ClearError => {
                let mut fields = serde_json::Map::new();
                fields.insert("error".to_owned(), serde_json::Value::Null);
                let patch = patch::status(&group.meta, &fields);
                self.patch_status(store, &**group, &patch).await.map(After::Step)
            }
            Next::Report(problem) => {
                let waits = crate::policy::group::is_class_error(&problem.message);
                self.memory.set_classless(&group.meta.key(), waits);
                self.report(store, &**group, problem).await.map(After::End)
            }
            Next::ReportUnlessThere(name, problem) => {
                if !group.says(&problem.message) && self.search(&groups.stores.contents, &name).await? {
                    return Ok(After::Step(group.clone()));
                }
                self.report(store, &**group, problem).await.map(After::End)
            }
            Next::ReportUnprotected(problem) => {
                let error = problem.error.clone().unwrap_or_default();
                let outcome = self.report(store, &**group, problem).await?;
                self.group_finalizer_error(group, &error);
                Ok(After::End(outcome))
            }
            Next::Settled => Ok(After::End(Outcome::Done)),
        }
    }

    /// The claims that a group selects, in the order of their names, asked for once per look.
    async fn claims_of<'c>(&self, group: &GroupSnapshot, claims: &'c mut Option<Claims>) -> &'c Claims {
        if claims.is_none() {
            let selector = group.selector.as_deref().cloned().unwrap_or_default();
            *claims = Some(self.list_claims(group.meta.namespace(), &selector).await);
        }
        claims.get_or_insert_with(|| Ok(Vec::new()))
    }

    /// Which claims have the labels only the API server knows; what they are like is known here.
    async fn list_claims(&self, namespace: &str, wanted: &LabelSelector) -> Claims {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let parameters = ListParams::default().labels(&selector::query(wanted)?);
        let listed = api.list(&parameters).await.map_err(|error| {
            format!("failed to list PVCs with label selector {}: {:?}", selector::text(wanted), text(&error))
        })?;
        if listed.items.is_empty() {
            return Err(selector::nothing_selected(wanted));
        }
        let names = listed.items.iter().filter_map(|claim| claim.metadata.name.as_deref());
        names.map(|name| source::claim(&self.stores, namespace, name)).collect()
    }

    async fn prepare_group(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
        claims: &mut Option<Claims>,
        class: bool,
        finalizer: bool,
    ) -> Result<After, Stop> {
        let store = &groups.stores.snapshots;
        let class = if class {
            let claims = self.claims_of(group, claims).await.clone();
            let volumes = claims.and_then(|claims| create::volumes(&claims, &self.stores));
            let found = volumes.and_then(|volumes| create::default_class(group, &volumes, &groups.stores));
            match found {
                Ok(class) => Some(class),
                Err(error) => {
                    self.memory.set_classless(&group.meta.key(), true);
                    return self.report(store, &**group, no_default(error)).await.map(After::End);
                }
            }
        } else {
            None
        };
        let finalizers: &[&str] = if finalizer { &[GROUP_BOUND] } else { &[] };
        let class = class.as_ref().map(|class| ("volumeGroupSnapshotClassName", class));
        let patch = patch::prepare(&group.meta, finalizers, class);
        let written = api::patch(&self.client, store, &group.meta, "", PatchType::Json, &patch).await;
        written.map(After::Step).map_err(|error| {
            let stop = stopped(&group.meta, &error);
            if let Stop::Failed(_) = &stop {
                self.group_finalizer_error(group, &text(&error));
            }
            stop
        })
    }

    fn group_finalizer_error(&self, group: &GroupSnapshot, error: &str) {
        let message = format!("Failed to check and update group snapshot: {error}");
        self.event::<GroupSnapshot>(&group.meta, EventKind::Warning, events::FINALIZER_ERROR, &message);
    }

    async fn create_group_content(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
        claims: &mut Option<Claims>,
    ) -> Result<After, Stop> {
        let claims = self.claims_of(group, claims).await.clone();
        match self.try_create_group_content(groups, group, claims).await {
            Ok(()) => {
                let message = events::creating(&group.meta.key().to_string());
                self.event::<GroupSnapshot>(&group.meta, EventKind::Normal, events::CREATING, &message);
                self.memory.made(&group.meta.uid);
                Ok(After::Step(group.clone()))
            }
            Err(error) => {
                let message = format!("failed to create group snapshot content with error {error}");
                let problem = Problem::unready(events::CONTENT_CREATION_FAILED, message, error);
                self.report(&groups.stores.snapshots, &**group, problem).await.map(After::End)
            }
        }
    }

    async fn try_create_group_content(
        &self,
        groups: &Groups,
        group: &GroupSnapshot,
        claims: Claims,
    ) -> Result<(), String> {
        let claims = claims.as_deref().map_err(Clone::clone);
        let warn = |message: &str| {
            let reason = events::CREATE_CONTENT_FAILED;
            self.event::<GroupSnapshot>(&group.meta, EventKind::Warning, reason, message);
        };
        let plan = create::plan(group, claims, &self.stores, &groups.stores);
        let content = plan.map_err(|failure| {
            if let (Some(event), false) = (&failure.event, has_said(group, &failure.error)) {
                warn(event);
            }
            failure.error
        })?;
        let name = content.metadata.name.clone().unwrap_or_default();
        let store = &groups.stores.contents;
        self.memory.content_seen(&group.meta.uid, false);
        let Err(error) = api::create(&self.client, store, "", &content).await else { return Ok(()) };
        if ErrorKind::of(&error) == ErrorKind::AlreadyExists
            && let Ok(Some(_)) = api::get(&self.client, store, "", &name).await
        {
            return Ok(());
        }
        let (key, error) = (group.meta.key(), text(&error));
        warn(&format!(
            "Error creating volume group snapshot content object for group snapshot {key}: {error}."
        ));
        Err(format!("snapshot controller failed to update {key} on API server: {error}"))
    }

    async fn bind_group(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
        content: &GroupContent,
    ) -> Result<After, Stop> {
        let (store, patch) = (&groups.stores.contents, patch::bind_group(content, group));
        let bound = api::patch(&self.client, store, &content.meta, "", PatchType::Merge, &patch).await;
        let error = match bound {
            Ok(_) => return Ok(After::Step(group.clone())),
            Err(error) if ErrorKind::of(&error) == ErrorKind::Conflict => {
                return Err(Stop::Stale(text(&error)));
            }
            Err(error) => text(&error),
        };
        let message = format!("GroupSnapshot failed to bind VolumeGroupSnapshotContent, {error}");
        let problem = Problem::unready(events::BIND_FAILED, message, error);
        self.report(&groups.stores.snapshots, &**group, problem).await.map(After::End)
    }

    async fn copy_group(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
        content: &GroupContent,
    ) -> Result<After, Stop> {
        let Some(copy) = status::copy_group(group, content) else {
            return Ok(After::End(Outcome::Done));
        };
        if content.status.is_none()
            && group.bound_content().is_none()
            && let Some(patience) = self.memory.patience(&group.meta.uid)
        {
            return Ok(After::End(Outcome::DoneUntil(patience)));
        }
        let (store, patch) = (&groups.stores.snapshots, patch::status(&group.meta, &copy.fields));
        let written = match self.patch_status(store, &**group, &patch).await {
            Ok(written) => written,
            Err(Stop::Failed(error)) => {
                let message = format!("GroupSnapshot status update failed, {error}");
                let problem = Problem::keeping_readiness(events::STATUS_UPDATE_FAILED, message, error);
                return self.report(store, &**group, problem).await.map(After::End);
            }
            Err(stop) => return Err(stop),
        };
        let (key, uid, driver) = (group.meta.key().to_string(), &group.meta.uid, Some(&*content.driver));
        if copy.created {
            self.metrics.end(Operation::CreateGroup, uid, driver);
            let message = events::created(&key);
            self.event::<GroupSnapshot>(&written.meta, EventKind::Normal, events::CREATED, &message);
        }
        if copy.ready {
            self.metrics.end(Operation::CreateGroupAndReady, uid, driver);
            let message = events::ready(&key);
            self.event::<GroupSnapshot>(&written.meta, EventKind::Normal, events::READY, &message);
        }
        Ok(After::Step(written))
    }

    fn begin_group(&self, groups: &Groups, group: &GroupSnapshot) {
        let (uid, origin) = (&group.meta.uid, origin(group));
        let driver = || driver_of(groups, group);
        if group.status.as_ref().is_none_or(|status| status.creation_time.is_none()) {
            self.metrics.begin(Operation::CreateGroup, uid, origin, driver);
        }
        self.metrics.begin(Operation::CreateGroupAndReady, uid, origin, driver);
    }
}

/// Whether the status says it already, so that nobody need be told once more.
fn has_said(group: &GroupSnapshot, error: &str) -> bool {
    group.error().is_some_and(|known| known.message.ends_with(error))
}

/// The driver of a group, as far as it is known.
pub(super) fn driver_of(groups: &Groups, group: &GroupSnapshot) -> Option<String> {
    let stores = &groups.stores;
    let content = group.content.as_deref().and_then(|name| stores.contents.get("", name));
    let of_class = || Some(stores.classes.get("", group.class.as_deref()?)?.0.driver.to_string());
    content.map(|content| content.driver.to_string()).or_else(of_class)
}
