//! Where a shared scenario plays: an API server with the snapshot kinds, a running csi-snapshotter, and a driver that has two
//! volumes. A snapshot controller may be there or not: the scenarios' contents belong to no snapshot that exists.

use std::fmt::Debug;

use k8s_openapi::ClusterResourceScope;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use snapshot_api::names::{annotations, finalizers};
use snapshot_api::v1::{
    VolumeGroupSnapshotClass, VolumeGroupSnapshotContent, VolumeSnapshotClass, VolumeSnapshotContent,
};
use testkit::manifests::merge;
use testkit::stage::{Outcome, create, eventually, gone, wrong};

/// Where a scenario plays.
pub struct Stage {
    /// The cluster, with all rights.
    pub client: Client,
    /// Name of the driver behind the snapshotter.
    pub driver: String,
    /// Handles of two volumes that the driver has.
    pub volumes: [String; 2],
    /// Start of all names.
    pub prefix: String,
}

/// One snapshot or a group.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Single,
    Group,
}

impl Kind {
    /// The field of a status with the handle.
    pub fn handle(self) -> &'static str {
        match self {
            Self::Single => "snapshotHandle",
            Self::Group => "volumeGroupSnapshotHandle",
        }
    }

    /// The annotation while it is being taken.
    pub fn being_created(self) -> &'static str {
        match self {
            Self::Single => annotations::BEING_CREATED,
            Self::Group => annotations::GROUP_BEING_CREATED,
        }
    }

    /// Our finalizer.
    pub fn finalizer(self) -> &'static str {
        match self {
            Self::Single => finalizers::CONTENT_BOUND,
            Self::Group => finalizers::GROUP_CONTENT_BOUND,
        }
    }
}

impl Stage {
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    fn api<T: Resource<Scope = ClusterResourceScope, DynamicType = ()>>(&self) -> Api<T> {
        Api::all(self.client.clone())
    }

    fn singles(&self) -> Api<VolumeSnapshotContent> {
        self.api()
    }

    fn groups(&self) -> Api<VolumeGroupSnapshotContent> {
        self.api()
    }

    /// Creates a class of this name for a kind.
    pub async fn class(&self, kind: Kind, what: &str) -> Outcome<String> {
        let name = self.name(what);
        let class = |group: &str, kind: &str| {
            json!({
                "apiVersion": format!("{group}.storage.k8s.io/v1"), "kind": kind, "metadata": {"name": name},
                "driver": self.driver, "deletionPolicy": "Delete",
            })
        };
        match kind {
            Kind::Single => {
                create::<VolumeSnapshotClass>(&self.api(), class("snapshot", "VolumeSnapshotClass")).await?;
            }
            Kind::Group => {
                let class = class("groupsnapshot", "VolumeGroupSnapshotClass");
                create::<VolumeGroupSnapshotClass>(&self.api(), class).await?;
            }
        }
        Ok(name)
    }

    /// Removes a class.
    pub async fn remove_class(&self, kind: Kind, name: &str) -> Outcome {
        match kind {
            Kind::Single => delete(&self.api::<VolumeSnapshotClass>(), name).await,
            Kind::Group => delete(&self.api::<VolumeGroupSnapshotClass>(), name).await,
        }
    }

    /// Creates a content, to be taken with this class; `fields` are merged over the plain one.
    pub async fn content(&self, kind: Kind, what: &str, class: &str, fields: Value) -> Outcome<String> {
        let name = self.name(what);
        let reference = json!({"name": name, "namespace": "default", "uid": format!("uid-of-{name}")});
        let mut content = json!({"metadata": {"name": name, "finalizers": [kind.finalizer()]}});
        let rest = match kind {
            Kind::Single => json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
                "spec": {
                    "driver": self.driver, "deletionPolicy": "Delete", "volumeSnapshotClassName": class,
                    "source": {"volumeHandle": self.volumes[0]}, "volumeSnapshotRef": reference,
                },
            }),
            Kind::Group => json!({
                "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotContent",
                "spec": {
                    "driver": self.driver, "deletionPolicy": "Delete", "volumeGroupSnapshotClassName": class,
                    "source": {"volumeHandles": self.volumes}, "volumeGroupSnapshotRef": reference,
                },
            }),
        };
        merge(&mut content, &rest);
        merge(&mut content, &fields);
        match kind {
            Kind::Single => drop(create(&self.singles(), content).await?),
            Kind::Group => drop(create(&self.groups(), content).await?),
        }
        Ok(name)
    }

    /// A content as it is; null if there is none.
    pub async fn get(&self, kind: Kind, name: &str) -> Outcome<Value> {
        match kind {
            Kind::Single => get(&self.singles(), name).await,
            Kind::Group => get(&self.groups(), name).await,
        }
    }

    /// Waits until a content is as it should, and returns it.
    pub async fn until(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Outcome<Value> {
        eventually(&format!("{name} {what}"), async || {
            let found = self.get(kind, name).await?;
            Ok(is(&found).then_some(found))
        })
        .await
    }

    /// Waits until it is ready and no longer said to be being created.
    pub async fn ready(&self, kind: Kind, name: &str) -> Outcome<Value> {
        let marked = |content: &Value| content["metadata"]["annotations"].get(kind.being_created()).is_some();
        self.until(kind, name, "is ready", |content| {
            content["status"]["readyToUse"] == true && !marked(content)
        })
        .await
    }

    /// Waits until it says that it failed, with this text.
    pub async fn refused(&self, kind: Kind, name: &str, text: &str) -> Outcome<Value> {
        let says = |content: &Value| {
            content["status"]["error"]["message"].as_str().is_some_and(|message| message.contains(text))
        };
        self.until(kind, name, &format!("says {text:?}"), says).await
    }

    /// Merges into a content.
    pub async fn patch(&self, kind: Kind, name: &str, patch: &Value) -> Outcome {
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        match kind {
            Kind::Single => {
                self.singles().patch(name, &parameters, &patch).await.map(drop).map_err(wrong("patch"))
            }
            Kind::Group => {
                self.groups().patch(name, &parameters, &patch).await.map(drop).map_err(wrong("patch"))
            }
        }
    }

    /// Deletes a content as a user does, whose snapshot lives.
    pub async fn delete(&self, kind: Kind, name: &str) -> Outcome {
        match kind {
            Kind::Single => delete(&self.singles(), name).await,
            Kind::Group => delete(&self.groups(), name).await,
        }
    }

    /// Says what the snapshot controller says when the snapshot goes.
    pub async fn give_up(&self, kind: Kind, name: &str) -> Outcome {
        let key = match kind {
            Kind::Single => annotations::BEING_DELETED,
            Kind::Group => annotations::GROUP_BEING_DELETED,
        };
        self.patch(kind, name, &json!({"metadata": {"annotations": {key: "yes"}}})).await
    }

    /// Waits until a content is gone.
    pub async fn gone(&self, kind: Kind, name: &str) -> Outcome {
        match kind {
            Kind::Single => gone(&self.singles(), name).await,
            Kind::Group => gone(&self.groups(), name).await,
        }
    }

    /// Gives a content up, deletes it, and waits until it is gone.
    pub async fn remove(&self, kind: Kind, name: &str) -> Outcome {
        self.give_up(kind, name).await?;
        self.delete(kind, name).await?;
        self.gone(kind, name).await
    }
}

async fn get<T>(api: &Api<T>, name: &str) -> Outcome<Value>
where
    T: Clone + DeserializeOwned + Serialize + Debug,
{
    let found = api.get_opt(name).await.map_err(wrong("get"))?;
    serde_json::to_value(found).map_err(|error| error.to_string())
}

async fn delete<T>(api: &Api<T>, name: &str) -> Outcome
where
    T: Clone + DeserializeOwned + Debug,
{
    api.delete(name, &DeleteParams::default()).await.map(drop).map_err(wrong("delete"))
}
