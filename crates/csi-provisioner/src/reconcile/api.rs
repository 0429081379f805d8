//! The calls and patches that need more than a line, and what their errors mean.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};
use sidecar_core::api::ErrorKind;
use sidecar_core::events::ObjectRef;
use sidecar_core::objects::{Claim, Volume};

use crate::policy::deletion::FinalizerChange;
use crate::policy::names::{SELECTED_NODE, VOLUME_FINALIZER};

pub(super) use sidecar_core::api::explained as text;

/// Whether the object is not there (any more).
pub(super) fn is_gone(error: &kube::Error) -> bool {
    ErrorKind::of(error) == ErrorKind::NotFound
}

/// Whether the server will not take this object however often it is asked.
pub(super) fn is_rejection(error: &kube::Error) -> bool {
    matches!(ErrorKind::of(error), ErrorKind::Invalid | ErrorKind::BadRequest)
}

/// The claim, for an event.
pub(super) fn claim_ref(claim: &Claim) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "PersistentVolumeClaim".into(),
        namespace: claim.meta.namespace().to_owned(),
        name: claim.meta.name.to_string(),
        uid: claim.meta.uid.to_string(),
        resource_version: claim.meta.resource_version.to_string(),
    }
}

/// The volume, for an event.
pub(super) fn volume_ref(volume: &Volume) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "PersistentVolume".into(),
        namespace: String::new(),
        name: volume.meta.name.to_string(),
        uid: volume.meta.uid.to_string(),
        resource_version: volume.meta.resource_version.to_string(),
    }
}

/// Whether a live volume has our finalizer.
pub(super) fn has_our_finalizer(volume: &PersistentVolume) -> bool {
    let finalizers = volume.metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|finalizer| finalizer == VOLUME_FINALIZER)
}

/// The strategic merge patch for a change of our finalizer. It says nothing about the finalizers of others, so that it
/// neither loses nor revives them whatever happened meanwhile, and its UID makes it miss a volume that was replaced.
pub(super) fn finalizer_patch(volume: &Volume, change: FinalizerChange) -> Value {
    let list = match change {
        FinalizerChange::Add => "finalizers",
        FinalizerChange::Remove => "$deleteFromPrimitiveList/finalizers",
    };
    json!({"metadata": {"uid": volume.meta.uid.to_string(), list: [VOLUME_FINALIZER]}})
}

/// Changes a live claim, if it is still the one that `claim` has and `change` says that there is something to change.
/// Returns the claim as it is now; `None` if it is gone.
///
/// The claim is fetched and written whole, as an untyped object so that no field is lost: the service account may
/// update claims, but not patch them.
pub(super) async fn update_claim(
    client: &kube::Client,
    claim: &Claim,
    change: impl FnOnce(&mut DynamicObject) -> bool,
) -> Result<Option<DynamicObject>, kube::Error> {
    let resource = ApiResource::erase::<PersistentVolumeClaim>(&());
    let claims: Api<DynamicObject> = Api::namespaced_with(client.clone(), claim.meta.namespace(), &resource);
    let Some(mut live) = claims.get_opt(&claim.meta.name).await? else {
        return Ok(None);
    };
    if claim.meta.uid != *live.metadata.uid.as_deref().unwrap_or_default() {
        return Ok(None);
    }
    if change(&mut live) {
        live = claims.replace(&claim.meta.name, &PostParams::default(), &live).await?;
    }
    Ok(Some(live))
}

/// Removes the chosen node from a claim, if it is still the one that `claim` has.
pub(super) async fn unselect_node(
    client: &kube::Client,
    claim: &Claim,
) -> Result<Option<DynamicObject>, kube::Error> {
    update_claim(client, claim, |live| {
        let annotations = live.metadata.annotations.get_or_insert_default();
        let same = annotations.get(SELECTED_NODE).map(String::as_str) == claim.selected_node.as_deref();
        same && annotations.remove(SELECTED_NODE).is_some()
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::api::ApiServer;

    use super::*;
    use crate::policy::fixtures;

    const NODE: &str = "volume.kubernetes.io/selected-node";

    /// A server with a claim for which node `n1` was chosen, and the claim as the cache has it.
    fn chosen() -> (ApiServer, Claim) {
        let server = ApiServer::new();
        server.add_namespace("fake-ns");
        let mut manifest = testkit::manifests::claim("fake-pvc", "fake-sc");
        manifest["metadata"]["namespace"] = json!("fake-ns");
        manifest["metadata"]["annotations"] = json!({NODE: "n1", "other": "stays"});
        manifest["spec"]["fieldOfTheFuture"] = json!("kept");
        let created = server.create(&manifest).unwrap();
        let cached = fixtures::claim(&created);
        (server, cached)
    }

    fn annotations(server: &ApiServer) -> Value {
        let claim = server.get("PersistentVolumeClaim", "fake-ns", "fake-pvc").unwrap();
        claim["metadata"]["annotations"].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn reschedule_with_selected_node() {
        let (server, cached) = chosen();
        assert_eq!(cached.selected_node.as_deref(), Some("n1"));
        unselect_node(&server.client(), &cached).await.unwrap();
        assert_eq!(annotations(&server), json!({"other": "stays"}));
        let claim = server.get("PersistentVolumeClaim", "fake-ns", "fake-pvc").unwrap();
        assert_eq!(claim["spec"]["fieldOfTheFuture"], "kept", "fields that nobody here knows survive");
        assert_eq!((server.count("update", "persistentvolumeclaims"), server.count("patch", "")), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_chosen_since_is_not_taken_away() {
        let (server, cached) = chosen();
        let anew = json!({"metadata": {"annotations": {NODE: "n2"}}});
        server.patch("PersistentVolumeClaim", "fake-ns", "fake-pvc", &anew).unwrap();
        unselect_node(&server.client(), &cached).await.unwrap();
        assert_eq!(annotations(&server)[NODE], "n2");
        server.delete("PersistentVolumeClaim", "fake-ns", "fake-pvc").unwrap();
        unselect_node(&server.client(), &cached).await.unwrap();
    }

    #[test]
    fn finalizer_patches_name_the_object_and_touch_one_finalizer() {
        let volume = fixtures::volume(&json!({"metadata": {"finalizers": ["a", VOLUME_FINALIZER]}}));
        assert_eq!(
            finalizer_patch(&volume, FinalizerChange::Remove),
            json!({"metadata": {
                "uid": "volume-uid",
                "$deleteFromPrimitiveList/finalizers": [VOLUME_FINALIZER],
            }})
        );
        assert_eq!(
            finalizer_patch(&volume, FinalizerChange::Add),
            json!({"metadata": {"uid": "volume-uid", "finalizers": [VOLUME_FINALIZER]}})
        );
    }
}
