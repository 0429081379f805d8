//! What needs no node.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::{Scenario, scenario};
use crate::spec::Extent;
use crate::{audit, cluster, control_plane};

mod conversion;
mod encodings;
mod lease;

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn all() -> Vec<Scenario> {
    let needs = Extent::ControlPlane;
    vec![
        scenario("api_calls_are_counted_from_the_audit_log", needs, |cluster| {
            Box::pin(calls_are_counted(cluster))
        }),
        scenario("the_real_controller_manager_hands_a_claim_to_its_provisioner", needs, |cluster| {
            Box::pin(claim_is_handed_over(cluster))
        }),
        scenario("a_lease_goes_back_and_forth_between_our_elector_and_client_go", needs, |cluster| {
            Box::pin(lease::back_and_forth(cluster))
        }),
        scenario("group_contents_are_served_in_every_version", needs, |cluster| {
            Box::pin(conversion::without_a_webhook(cluster))
        }),
        scenario("the_webhook_keeps_members_of_groups_in_every_version", Extent::Images, |cluster| {
            Box::pin(conversion::with_the_webhook(cluster))
        }),
        scenario("caches_read_the_same_in_protobuf_and_in_json", needs, |cluster| {
            Box::pin(encodings::read_the_same(cluster))
        }),
    ]
}

async fn calls_are_counted(cluster: &cluster::Cluster) -> Result<()> {
    let log = control_plane::audit_log(&cluster.spec);
    let mark = audit::mark(&log)?;
    let maps: Api<ConfigMap> =
        Api::namespaced(cluster::client(&cluster.pki.kubeconfig("admin")).await?, "default");
    let map = serde_json::from_value(json!({"metadata": {"name": "counted"}}))?;
    maps.create(&PostParams::default(), &map).await?;
    ensure!(maps.create(&PostParams::default(), &map).await.is_err(), "the second creation must conflict");
    maps.delete("counted", &DeleteParams::default()).await?;
    let counts = audit::count(&log, mark, "")?;
    let of = |verb: &str, code: u16| {
        let mine = |call: &audit::Call| {
            call.resource == "configmaps"
                && call.verb == verb
                && call.code == code
                && call.agent == cluster::USER_AGENT
        };
        counts.iter().filter(|(call, _)| mine(call)).map(|(_, count)| *count).sum::<u64>()
    };
    let seen = [of("create", 201), of("create", 409), of("delete", 200)];
    ensure!(seen == [1, 1, 1], "counted {seen:?} of one each:\n{}", audit::table(&counts));
    Ok(())
}

/// The annotation is what every external provisioner waits for; it comes from the controller manager.
async fn claim_is_handed_over(cluster: &cluster::Cluster) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "handed-over"}, "provisioner": "nobody.example.com",
    });
    let classes = Api::<k8s_openapi::api::storage::v1::StorageClass>::all(cluster.client.clone());
    classes.create(&PostParams::default(), &serde_json::from_value(class)?).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), "default");
    let claim = json!({
        "metadata": {"name": "handed-over"},
        "spec": {
            "storageClassName": "handed-over", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    });
    claims.create(&PostParams::default(), &serde_json::from_value(claim)?).await?;
    let provisioner = cluster
        .quietly_until("storage provisioner annotation", LIMIT, async || {
            let annotations = claims.get("handed-over").await?.metadata.annotations.unwrap_or_default();
            Ok(annotations.get("volume.kubernetes.io/storage-provisioner").cloned())
        })
        .await?;
    ensure!(provisioner == "nobody.example.com", "the claim was handed to {provisioner}");
    claims.delete("handed-over", &DeleteParams::default()).await?;
    classes.delete("handed-over", &DeleteParams::default()).await?;
    Ok(())
}
