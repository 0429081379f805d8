//! The finalizers that keep claims used by pods, and volumes bound to claims, from going.

use serde_json::{Value, json};

use super::name;
use crate::api::{ApiServer, doc};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Protects a claim, or lets it go when no pod uses it.
pub(super) fn claim(server: &ApiServer, claim: &Value) {
    let namespace = doc::text(claim, "/metadata/namespace");
    let used = || {
        server.objects("Pod").iter().any(|pod| {
            doc::text(pod, "/metadata/namespace") == namespace
                && !matches!(doc::text(pod, "/status/phase"), "Succeeded" | "Failed")
                && doc::list(pod, "/spec/volumes")
                    .iter()
                    .any(|volume| doc::text(volume, "/persistentVolumeClaim/claimName") == name(claim))
        })
    };
    protect(server, claim, CLAIM_FINALIZER, used);
}

/// Protects a volume, or lets it go when it is not bound.
pub(super) fn volume(server: &ApiServer, volume: &Value) {
    protect(server, volume, VOLUME_FINALIZER, || doc::text(volume, "/status/phase") == "Bound");
}

fn protect(server: &ApiServer, object: &Value, finalizer: &str, used: impl Fn() -> bool) {
    let mut finalizers = doc::list(object, "/metadata/finalizers").to_vec();
    let held = finalizers.iter().any(|present| present == finalizer);
    let going = doc::present(object, "/metadata/deletionTimestamp");
    if going && held && !used() {
        finalizers.retain(|present| present != finalizer);
    } else if !going && !held {
        finalizers.push(finalizer.into());
    } else {
        return;
    }
    // Guarded by the version: another finalizer may have come or gone.
    let patch = json!({"metadata": {
        "finalizers": finalizers, "resourceVersion": doc::text(object, "/metadata/resourceVersion"),
    }});
    let (kind, namespace) = (doc::text(object, "/kind"), doc::text(object, "/metadata/namespace"));
    if let Err(failure) = server.patch(kind, namespace, name(object), &patch) {
        tracing::debug!(%failure, "protection is tried again at the next change");
    }
}
