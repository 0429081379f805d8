//! Snapshots and group snapshots, and claims restored from them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::{Claim, Told, Workload, claim_object, told};

/// Classes of `deploy/hostpath/snapshotclasses.yaml`.
const CLASS: &str = "csi-hostpath-snapclass";
const GROUP_CLASS: &str = "csi-hostpath-groupsnapclass";

const SNAPSHOT: (&str, &str) = ("snapshot.storage.k8s.io", "VolumeSnapshot");
const CONTENT: (&str, &str) = ("snapshot.storage.k8s.io", "VolumeSnapshotContent");
const GROUP: (&str, &str) = ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshot");
const GROUP_CONTENT: (&str, &str) = ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotContent");

/// A snapshot that can be used.
pub(crate) struct Ready {
    pub(crate) name: String,
    /// Its content.
    pub(crate) content: String,
    /// What the driver calls it.
    pub(crate) handle: String,
    /// `status.restoreSize`.
    pub(crate) size: String,
}

fn resource((group, kind): (&str, &str)) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

/// The text at a JSON pointer, empty if there is none.
fn text(object: &DynamicObject, pointer: &str) -> String {
    object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether the status says ready; an error in it ends the wait.
fn is_ready(object: &DynamicObject) -> Result<bool> {
    let error = text(object, "/status/error/message");
    ensure!(error.is_empty(), "it says {error}");
    Ok(object.data.pointer("/status/readyToUse") == Some(&Value::Bool(true)))
}

impl Workload<'_> {
    fn own(&self, kind: (&str, &str)) -> Api<DynamicObject> {
        Api::namespaced_with(self.cluster.client.clone(), &self.namespace, &resource(kind))
    }

    fn of_cluster(&self, kind: (&str, &str)) -> Api<DynamicObject> {
        Api::all_with(self.cluster.client.clone(), &resource(kind))
    }

    async fn make(&self, kind: (&str, &str), name: &str, spec: Value) -> Result<()> {
        let object = json!({
            "apiVersion": format!("{}/v1", kind.0), "kind": kind.1, "metadata": {"name": name}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object)?;
        let made = self.own(kind).create(&PostParams::default(), &object).await;
        made.with_context(|| format!("cannot create {} {name}", kind.1))?;
        Ok(())
    }

    /// Wants a snapshot of a claim's volume.
    pub(crate) async fn create_snapshot(&self, name: &str, claim: &str) -> Result<()> {
        let source = json!({"persistentVolumeClaimName": claim});
        self.make(SNAPSHOT, name, json!({"volumeSnapshotClassName": CLASS, "source": source})).await
    }

    /// Wants snapshots, all of the same moment, of the volumes of all claims with a label.
    pub(crate) async fn create_group_snapshot(&self, name: &str, label: (&str, &str)) -> Result<()> {
        let source = json!({"selector": {"matchLabels": {label.0: label.1}}});
        self.make(GROUP, name, json!({"volumeGroupSnapshotClassName": GROUP_CLASS, "source": source})).await
    }

    /// Puts a label on a claim.
    pub(crate) async fn label_claim(&self, claim: &str, label: (&str, &str)) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {label.0: label.1}}}));
        let patched = self.claims.patch(claim, &PatchParams::default(), &patch).await;
        patched.with_context(|| format!("cannot label claim {claim}"))?;
        Ok(())
    }

    /// Makes a claim that is to hold what a snapshot holds.
    pub(crate) async fn restore(&self, claim: &Claim<'_>, snapshot: &str) -> Result<()> {
        let source = json!({"apiGroup": SNAPSHOT.0, "kind": SNAPSHOT.1, "name": snapshot});
        let object = claim_object(claim, &source);
        let made = self.claims.create(&PostParams::default(), &serde_json::from_value(object)?).await;
        made.with_context(|| format!("cannot create claim {}", claim.name))?;
        Ok(())
    }

    /// Waits until a snapshot is ready to use.
    pub(crate) async fn snapshot_ready(&self, name: &str, limit: Duration) -> Result<Ready> {
        let snapshots = self.own(SNAPSHOT);
        let (content, size) = self
            .cluster
            .quietly_until(&format!("snapshot {name} to be ready"), limit, async || {
                let object = snapshots.get(name).await?;
                let bound = text(&object, "/status/boundVolumeSnapshotContentName");
                Ok(is_ready(&object)?.then(|| (bound, text(&object, "/status/restoreSize"))))
            })
            .await?;
        let object = self.of_cluster(CONTENT).get(&content).await?;
        let back = text(&object, "/spec/volumeSnapshotRef/name");
        ensure!(back == name, "content {content} belongs to {back}");
        let handle = text(&object, "/status/snapshotHandle");
        ensure!(!handle.is_empty(), "content {content} has no handle");
        Ok(Ready { name: name.to_owned(), content, handle, size })
    }

    /// Waits until a group snapshot and all its members are ready; gives its handle and them.
    pub(crate) async fn group_ready(&self, name: &str, limit: Duration) -> Result<(String, Vec<Ready>)> {
        let groups = self.own(GROUP);
        let content = self
            .cluster
            .quietly_until(&format!("group snapshot {name} to be ready"), limit, async || {
                let object = groups.get(name).await?;
                let bound = text(&object, "/status/boundVolumeGroupSnapshotContentName");
                // Upstream's controller adds its finalizer last; without it a deleted group leaves its content behind.
                let protected =
                    object.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
                Ok((is_ready(&object)? && protected).then_some(bound))
            })
            .await?;
        let object = self.of_cluster(GROUP_CONTENT).get(&content).await?;
        let handle = text(&object, "/status/volumeGroupSnapshotHandle");
        let volumes = object.data.pointer("/spec/source/volumeHandles");
        let wanted = volumes.and_then(Value::as_array).map_or(0, Vec::len);
        let mut ready = Vec::new();
        let members = self
            .cluster
            .quietly_until(&format!("{wanted} members of {name}"), limit, async || {
                let members = self.members(name).await?;
                ensure!(members.len() == wanted, "there are {members:?}");
                Ok(Some(members))
            })
            .await?;
        for member in members {
            ready.push(self.snapshot_ready(&member, limit).await?);
        }
        Ok((handle, ready))
    }

    /// Names of the snapshots that a group snapshot owns.
    pub(crate) async fn members(&self, group: &str) -> Result<Vec<String>> {
        let snapshots = self.own(SNAPSHOT).list(&ListParams::default()).await?;
        let owned = |snapshot: &DynamicObject| {
            let owners = snapshot.metadata.owner_references.as_deref().unwrap_or_default();
            owners.iter().any(|owner| owner.kind == GROUP.1 && owner.name == group)
        };
        Ok(snapshots.items.into_iter().filter(owned).filter_map(|it| it.metadata.name).collect())
    }

    /// Waits for an event on a snapshot.
    pub(crate) async fn event_on_snapshot(
        &self,
        snapshot: &str,
        reason: &str,
        limit: Duration,
    ) -> Result<Told> {
        let fields =
            format!("involvedObject.kind=VolumeSnapshot,involvedObject.name={snapshot},reason={reason}");
        let parameters = ListParams::default().fields(&fields);
        self.cluster
            .quietly_until(&format!("event {reason} on snapshot {snapshot}"), limit, async || {
                Ok(self.events.list(&parameters).await?.items.into_iter().next().map(told))
            })
            .await
    }

    /// Waits until a snapshot has a finalizer.
    pub(crate) async fn protected(&self, name: &str, finalizer: &str, limit: Duration) -> Result<()> {
        let snapshots = self.own(SNAPSHOT);
        self.cluster
            .quietly_until(&format!("finalizer {finalizer} on snapshot {name}"), limit, async || {
                let finalizers = snapshots.get(name).await?.metadata.finalizers.unwrap_or_default();
                Ok(finalizers.iter().any(|it| it == finalizer).then_some(()))
            })
            .await
    }

    /// Deletes a snapshot.
    pub(crate) async fn delete_snapshot(&self, name: &str) -> Result<()> {
        let deleted = self.own(SNAPSHOT).delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("cannot delete snapshot {name}"))?;
        Ok(())
    }

    /// Deletes a group snapshot.
    pub(crate) async fn delete_group_snapshot(&self, name: &str) -> Result<()> {
        let deleted = self.own(GROUP).delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("cannot delete group snapshot {name}"))?;
        Ok(())
    }

    /// Waits until a snapshot and its content are gone.
    pub(crate) async fn snapshot_gone(&self, snapshot: &Ready, limit: Duration) -> Result<()> {
        self.gone(&self.own(SNAPSHOT), &snapshot.name, limit).await?;
        self.gone(&self.of_cluster(CONTENT), &snapshot.content, limit).await?;
        let left = Self::backing(&snapshot.handle);
        if !left.is_empty() {
            bail!("snapshot {} is gone, but its storage is not: {}", snapshot.name, left.join(", "));
        }
        Ok(())
    }

    /// Waits until a group snapshot is gone, and every content of groups with it.
    pub(crate) async fn group_gone(&self, name: &str, limit: Duration) -> Result<()> {
        self.gone(&self.own(GROUP), name, limit).await?;
        let contents = self.of_cluster(GROUP_CONTENT);
        self.cluster
            .quietly_until("contents of groups to be gone", limit, async || {
                let left = contents.list(&ListParams::default()).await?.items;
                let of_it = |it: &DynamicObject| text(it, "/spec/volumeGroupSnapshotRef/name") == name;
                Ok((!left.iter().any(of_it)).then_some(()))
            })
            .await
    }

    /// Waits until there is no snapshot and no content in the whole cluster.
    pub(crate) async fn no_snapshots(&self, limit: Duration) -> Result<()> {
        for kind in [SNAPSHOT, CONTENT, GROUP, GROUP_CONTENT] {
            let api = self.of_cluster(kind);
            self.cluster
                .quietly_until(&format!("every {} to be gone", kind.1), limit, async || {
                    let left = api.list(&ListParams::default()).await?.items;
                    let Some(object) = left.into_iter().next() else { return Ok(Some(())) };
                    let meta = object.metadata;
                    bail!("{:?} has finalizers {:?}", meta.name, meta.finalizers.unwrap_or_default());
                })
                .await?;
        }
        Ok(())
    }

    async fn gone(&self, api: &Api<DynamicObject>, name: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("end of {name}"), limit, async || {
                let Some(object) = api.get_opt(name).await? else { return Ok(Some(())) };
                bail!("it has finalizers {:?}", object.metadata.finalizers.unwrap_or_default());
            })
            .await
    }
}
