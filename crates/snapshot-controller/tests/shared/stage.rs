//! Where a shared scenario plays: an API server with the snapshot kinds, a running snapshot-controller, a csi-snapshotter with a
//! driver that carries out what contents say, and two claims that are bound to volumes of that driver.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use snapshot_api::names::finalizers;
use testkit::manifests::merge;
use testkit::stage::{Outcome, create, ensure, eventually, gone, wrong};

/// Where a scenario plays.
pub struct Stage {
    /// The cluster, with all rights.
    pub client: Client,
    /// Name of the driver behind the snapshotter.
    pub driver: String,
    /// Namespace of the claims.
    pub namespace: String,
    /// Two claims that are bound to volumes of the driver.
    pub claims: [String; 2],
    /// A label that these two have and no others.
    pub label: (String, String),
    /// Start of all names.
    pub prefix: String,
}

/// What there is about snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Snapshot,
    Content,
    Class,
    Group,
    GroupContent,
    GroupClass,
}

impl Kind {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Snapshot => ("snapshot.storage.k8s.io", "VolumeSnapshot"),
            Self::Content => ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
            Self::Class => ("snapshot.storage.k8s.io", "VolumeSnapshotClass"),
            Self::Group => ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshot"),
            Self::GroupContent => ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotContent"),
            Self::GroupClass => ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotClass"),
        }
    }

    /// The field of a status with the name of the content.
    fn bound(self) -> &'static str {
        match self {
            Self::Group => "boundVolumeGroupSnapshotContentName",
            _ => "boundVolumeSnapshotContentName",
        }
    }
}

/// The text of a field; empty if there is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether an object has a finalizer.
pub fn held(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|name| name == finalizer))
}

impl Stage {
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let (group, name) = kind.names();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", name));
        match kind {
            Kind::Snapshot | Kind::Group => {
                Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }

    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    // ---- objects ----

    /// Creates an object with these fields beside its name.
    pub async fn create(&self, kind: Kind, name: &str, fields: Value) -> Outcome<Value> {
        let (group, kind_name) = kind.names();
        let mut object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind_name, "metadata": {"name": name},
        });
        if matches!(kind, Kind::Snapshot | Kind::Group) {
            object["metadata"]["namespace"] = json!(self.namespace);
        }
        merge(&mut object, &fields);
        value(&create(&self.api(kind), object).await?)
    }

    /// Creates a class of the driver; `fields` are merged over the plain one, which deletes.
    pub async fn class(&self, kind: Kind, what: &str, fields: Value) -> Outcome<String> {
        let name = self.name(what);
        let mut class = json!({"driver": self.driver, "deletionPolicy": "Delete"});
        merge(&mut class, &fields);
        self.create(kind, &name, class).await?;
        Ok(name)
    }

    /// Wants a snapshot of the first claim.
    pub async fn snapshot(&self, what: &str, class: Option<&str>) -> Outcome<String> {
        let source = json!({"persistentVolumeClaimName": self.claims[0]});
        let mut spec = json!({ "source": source });
        if let Some(class) = class {
            spec["volumeSnapshotClassName"] = json!(class);
        }
        let name = self.name(what);
        self.create(Kind::Snapshot, &name, json!({ "spec": spec })).await?;
        Ok(name)
    }

    /// Makes a snapshot and a content for it by hand, and returns their names. The content belongs to the snapshot `owner`.
    pub async fn by_hand(
        &self,
        what: &str,
        handle: &str,
        policy: &str,
        owner: &str,
    ) -> Outcome<(String, String)> {
        let (name, content_name) = (self.name(what), self.name(&format!("{what}-content")));
        let content = json!({"spec": {
            "driver": self.driver, "deletionPolicy": policy, "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"namespace": self.namespace, "name": owner},
        }});
        self.create(Kind::Content, &content_name, content).await?;
        let snapshot = json!({"spec": {"source": {"volumeSnapshotContentName": content_name}}});
        self.create(Kind::Snapshot, &name, snapshot).await?;
        Ok((name, content_name))
    }

    /// An object as it is; null if there is none.
    pub async fn get(&self, kind: Kind, name: &str) -> Outcome<Value> {
        match self.api(kind).get_opt(name).await.map_err(wrong("get"))? {
            Some(found) => value(&found),
            None => Ok(Value::Null),
        }
    }

    /// All objects of a kind.
    pub async fn list(&self, kind: Kind) -> Outcome<Vec<Value>> {
        let found = self.api(kind).list(&ListParams::default()).await.map_err(wrong("list"))?;
        found.items.iter().map(value).collect()
    }

    /// Merges into an object.
    pub async fn patch(&self, kind: Kind, name: &str, patch: &Value) -> Outcome {
        let patched = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(drop).map_err(wrong("patch"))
    }

    /// Deletes an object.
    pub async fn delete(&self, kind: Kind, name: &str) -> Outcome {
        self.api(kind).delete(name, &DeleteParams::default()).await.map(drop).map_err(wrong("delete"))
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, kind: Kind, name: &str) -> Outcome {
        gone(&self.api(kind), name).await
    }

    /// Deletes an object and waits until it is gone.
    pub async fn remove(&self, kind: Kind, name: &str) -> Outcome {
        self.delete(kind, name).await?;
        self.gone(kind, name).await
    }

    /// Waits until an object is as it should, and returns it.
    pub async fn until(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Outcome<Value> {
        let mut last = Value::Null;
        let waited = eventually(&format!("{name} {what}"), async || {
            last = self.get(kind, name).await?;
            Ok(is(&last).then(|| last.clone()))
        })
        .await;
        waited.map_err(|problem| format!("{problem}; it is {last}"))
    }

    // ---- snapshots and groups ----

    /// Waits until a snapshot or a group is ready and has no error. Returns it and its content.
    pub async fn ready(&self, kind: Kind, name: &str) -> Outcome<(Value, Value)> {
        let is_ready =
            |object: &Value| object["status"]["readyToUse"] == true && object["status"]["error"].is_null();
        let object = self.until(kind, name, "is ready", is_ready).await?;
        let bound = text(&object["status"][kind.bound()]);
        let of = if kind == Kind::Group { Kind::GroupContent } else { Kind::Content };
        let content = self.get(of, &bound).await?;
        ensure(!content.is_null(), &format!("{name} names a content that is there"))?;
        Ok((object, content))
    }

    /// Waits until its status says that it failed, with this text.
    pub async fn refused(&self, kind: Kind, name: &str, text: &str) -> Outcome<Value> {
        let says = |object: &Value| {
            object["status"]["error"]["message"].as_str().is_some_and(|message| message.contains(text))
        };
        self.until(kind, name, &format!("says {text:?}"), says).await
    }

    /// Deletes a snapshot or a group and waits until it is gone, and its content with it.
    pub async fn remove_whole(&self, kind: Kind, name: &str) -> Outcome {
        let bound = text(&self.get(kind, name).await?["status"][kind.bound()]);
        self.remove(kind, name).await?;
        let of = if kind == Kind::Group { Kind::GroupContent } else { Kind::Content };
        if bound.is_empty() { Ok(()) } else { self.gone(of, &bound).await }
    }

    /// Has the driver delete a snapshot that outlived its content, through a content made by hand.
    pub async fn dispose(&self, what: &str, handle: &str) -> Outcome {
        let name = self.name(what);
        self.by_hand(what, handle, "Delete", &name).await?;
        self.ready(Kind::Snapshot, &name).await?;
        self.remove_whole(Kind::Snapshot, &name).await
    }

    /// Names of the snapshots that a group owns.
    pub async fn members(&self, group: &str) -> Outcome<Vec<String>> {
        let all = self.list(Kind::Snapshot).await?;
        let owned = |snapshot: &&Value| {
            let owners = snapshot["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["name"] == group))
        };
        Ok(all.iter().filter(owned).map(|snapshot| text(&snapshot["metadata"]["name"])).collect())
    }

    // ---- what is around them ----

    /// How often there was an event of this reason about an object, as soon as there is one.
    pub async fn event(&self, object: &str, reason: &str) -> Outcome<i32> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut others = Vec::new();
        let waited = eventually(&format!("event {reason} about {object}"), async || {
            let all = events.list(&ListParams::default()).await.map_err(wrong("list events"))?.items;
            let about = all.into_iter().filter(|event| event.involved_object.name.as_deref() == Some(object));
            let (same, rest): (Vec<_>, Vec<_>) =
                about.partition(|event| event.reason.as_deref() == Some(reason));
            others = rest.into_iter().filter_map(|event| event.reason).collect();
            let count: i32 = same.iter().map(|event| event.count.unwrap_or(1)).sum();
            Ok((count > 0).then_some(count))
        })
        .await;
        waited.map_err(|problem| format!("{problem}; there are {others:?}"))
    }

    /// Waits until the first claim has our finalizer, or has not.
    pub async fn protected(&self, protected: bool) -> Outcome {
        let claim = &self.claims[0];
        eventually(&format!("{claim} is protected: {protected}"), async || {
            let claim = self.claims().get(claim).await.map_err(wrong("get claim"))?;
            let finalizers = claim.metadata.finalizers.unwrap_or_default();
            let found = finalizers.iter().any(|name| name == finalizers::CLAIM_SOURCE);
            Ok((found == protected).then_some(()))
        })
        .await
    }

    /// A claim that is to be filled from a snapshot, and that nobody fills.
    pub async fn restoring(&self, what: &str, snapshot: &str) -> Outcome<String> {
        let name = self.name(what);
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": self.name("no-such-class"),
                "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot},
            },
        });
        create(&self.claims(), claim).await?;
        Ok(name)
    }

    /// Deletes a claim.
    pub async fn delete_claim(&self, name: &str) -> Outcome {
        let deleted = self.claims().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete claim"))?;
        gone(&self.claims(), name).await
    }

    /// Waits until somebody other than `before` holds the controller's Lease, and says who.
    pub async fn leader_other_than(&self, before: &str) -> Outcome<String> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        eventually("somebody leads", async || {
            let lease = leases.get_opt("snapshot-controller-leader").await.map_err(wrong("get lease"))?;
            let holder = lease.and_then(|lease| lease.spec?.holder_identity);
            Ok(holder.filter(|holder| !holder.is_empty() && holder != before))
        })
        .await
    }
}

fn value(object: &DynamicObject) -> Outcome<Value> {
    serde_json::to_value(object).map_err(|error| error.to_string())
}
