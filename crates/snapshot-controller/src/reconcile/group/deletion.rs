//! A group that is being deleted (sheet 5.16).

use std::sync::Arc;

use sidecar_core::events::EventKind;
use sidecar_core::objects::{GroupContent, GroupSnapshot, Snapshot};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::annotations::GROUP_BEING_DELETED;
use snapshot_api::names::finalizers::GROUP_BOUND;

use super::super::Shared;
use super::super::api::{self, PatchType, Stop, is_gone, text};
use super::super::report::stopped;
use super::{Groups, driver_of, origin};
use crate::events;
use crate::metrics::Operation;
use crate::policy::group::deletion::{Next, next};
use crate::policy::patch;

/// How many steps one look may take.
const STEPS: usize = 8;

impl Shared {
    pub(super) async fn sync_deleted_group(
        &self,
        groups: &Groups,
        group: &Arc<GroupSnapshot>,
    ) -> Result<Outcome, Stop> {
        let uid = &group.meta.uid;
        self.metrics.begin(Operation::DeleteGroup, uid, origin(group), || driver_of(groups, group));
        let contents = &groups.stores.contents;
        let mut searched = self.memory.is_without(uid);
        for _ in 0..STEPS {
            match next(group, &self.stores, &groups.stores) {
                Next::Settled | Next::AwaitContent => return Ok(Outcome::Done),
                Next::Pending(message) => {
                    let reason = events::DELETE_PENDING;
                    self.event::<GroupSnapshot>(&group.meta, EventKind::Warning, reason, &message);
                    let error = format!("{message}: snapshot is in use, will retry deletion");
                    return Ok(Outcome::RetryBackoff(error));
                }
                Next::Mark(content) => self.mark(contents, &content.meta, GROUP_BEING_DELETED).await?,
                Next::Delete(content) => self.delete_group_content(groups, group, &content).await?,
                Next::DeleteMembers(members) => self.delete_members(group, &members).await?,
                Next::Release(Some(name)) if !searched => {
                    searched = true;
                    self.search(contents, &name).await?;
                }
                Next::Release(_) => {
                    let (store, patch) =
                        (&groups.stores.snapshots, patch::release(&group.meta, &[GROUP_BOUND]));
                    let written =
                        api::patch(&self.client, store, &group.meta, "", PatchType::Json, &patch).await;
                    return written.map(|_| Outcome::Done).map_err(|error| stopped(&group.meta, &error));
                }
            }
        }
        Err(Stop::Failed(format!("group snapshot {} changes all the time", group.meta.key())))
    }

    async fn delete_group_content(
        &self,
        groups: &Groups,
        group: &GroupSnapshot,
        content: &GroupContent,
    ) -> Result<(), Stop> {
        let deleted = self.delete(&groups.stores.contents, &content.meta).await;
        let Err(failed) = deleted else { return Ok(()) };
        let error = failed.map_or_else(Err, Ok)?;
        let (reason, message) = (events::group::CONTENT_DELETE_ERROR, events::group::CONTENT_DELETE_MESSAGE);
        self.event::<GroupSnapshot>(&group.meta, EventKind::Warning, reason, message);
        let name = &content.meta.name;
        Err(Stop::Failed(format!(
            "failed to delete VolumeGroupSnapshotContent {name} from API server: {error:?}"
        )))
    }

    async fn delete_members(&self, group: &GroupSnapshot, members: &[Arc<Snapshot>]) -> Result<(), Stop> {
        for member in members {
            let (store, options) = (&self.stores.snapshots, patch::delete_any_version(&member.meta));
            match api::delete(&self.client, store, &member.meta, &options).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {
                    store.removed(member.meta.namespace(), &member.meta.name, &member.meta.uid);
                }
                Err(error) => {
                    let (member, key) = (member.meta.key(), group.meta.key());
                    let message = format!(
                        "failed to delete snapshot API object {member} part of group snapshot {key}: {}",
                        text(&error)
                    );
                    let reason = events::group::MEMBER_DELETE_ERROR;
                    self.event::<GroupSnapshot>(&group.meta, EventKind::Warning, reason, &message);
                    return Err(Stop::Failed(message));
                }
            }
        }
        Ok(())
    }
}
