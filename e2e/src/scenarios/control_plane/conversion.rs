//! Contents of group snapshots in their three versions: as the definitions are shipped, and with the conversion webhook
//! (annexes A.4 and B of sheet `snapshot-controller`).

#![expect(clippy::indexing_slicing, reason = "a missing field of a JSON value is null, not a panic")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use serde_json::{Value, json};
use snapshot_api::names::annotations::INFO_LIST;
use snapshot_api::names::kinds::{GROUP_SNAPSHOT_GROUP, VOLUME_GROUP_SNAPSHOT_CONTENT};

use crate::cluster::Cluster;
use crate::component::Component;
use crate::deploy;

const PORT: u16 = 9443;
const LIMIT: Duration = Duration::from_secs(30);

/// Upstream's definitions convert nothing, and so do ours: the old version does not see the list, and loses it.
pub(super) async fn without_a_webhook(cluster: &Cluster) -> Result<()> {
    deploy::definitions(cluster).await?;
    let content = Content { cluster, name: "unconverted" };
    content.create().await?;
    for version in ["v1", "v1beta2"] {
        let seen = content.get(version).await?;
        ensure!(seen["status"] == status(), "{version} shows {}", seen["status"]);
    }
    let old = content.get("v1beta1").await?;
    ensure!(old["status"] == json!({"readyToUse": true}), "v1beta1 shows {}", old["status"]);
    content.put_status(&old).await?;
    let lost = content.get("v1").await?;
    ensure!(lost["status"] == json!({"readyToUse": true}), "the list came back: {}", lost["status"]);
    content.delete().await
}

/// With the webhook the old version has its own list, and writing it loses nothing.
pub(super) async fn with_the_webhook(cluster: &Cluster) -> Result<()> {
    deploy::definitions(cluster).await?;
    let mut webhook = start(cluster).await?;
    let result = converted(cluster).await;
    convert_by(cluster, &json!({"strategy": "None", "webhook": null})).await?;
    webhook.stop(Signal::TERM)?;
    result.with_context(|| format!("the webhook says:\n{}", webhook.tail()))
}

async fn converted(cluster: &Cluster) -> Result<()> {
    let content = Content { cluster, name: "converted" };
    content.create().await?;
    for version in ["v1", "v1beta2"] {
        let seen = content.get(version).await?;
        ensure!(seen["status"] == status(), "{version} shows {}", seen["status"]);
    }
    let old = content.get("v1beta1").await?;
    let pairs = json!([{"snapshotHandle": "s1", "volumeHandle": "v1"}, {"snapshotHandle": "s2", "volumeHandle": "v2"}]);
    let expected = json!({"readyToUse": true, "volumeSnapshotHandlePairList": pairs});
    ensure!(old["status"] == expected, "v1beta1 shows {}", old["status"]);
    let kept = old["metadata"]["annotations"][INFO_LIST].as_str().unwrap_or_default();
    ensure!(serde_json::from_str::<Value>(kept)? == members(), "the annotation has {kept}");
    content.put_status(&old).await?;
    let back = content.get("v1").await?;
    ensure!(back["status"] == status(), "v1 shows {} afterwards", back["status"]);
    ensure!(back["metadata"].get("annotations").is_none(), "v1 shows {}", back["metadata"]);
    content.delete().await
}

fn members() -> Value {
    json!([
        {"creationTime": 1, "readyToUse": true, "restoreSize": 2, "snapshotHandle": "s1", "volumeHandle": "v1"},
        {"snapshotHandle": "s2", "volumeHandle": "v2"},
    ])
}

fn status() -> Value {
    json!({"readyToUse": true, "volumeSnapshotInfoList": members()})
}

/// Starts the webhook as a plain process and has the definition name it.
async fn start(cluster: &Cluster) -> Result<Component> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let (certificate_file, key_file) =
        (cluster.spec.dir.join("webhook.crt"), cluster.spec.dir.join("webhook.key"));
    fs::write(&certificate_file, certificate.pem())?;
    fs::write(&key_file, key.serialize_pem())?;
    let name = "snapshot-conversion-webhook";
    let arguments = vec![
        format!("--tls-cert-file={}", certificate_file.display()),
        format!("--tls-private-key-file={}", key_file.display()),
        format!("--port={PORT}"),
    ];
    let mut webhook = Component::new(name, cluster.spec.binary(name)?, &cluster.spec.logs(), arguments);
    webhook.start()?;
    cluster
        .quietly_until("the webhook to listen", LIMIT, async || {
            webhook.check()?;
            Ok(std::net::TcpStream::connect(("127.0.0.1", PORT)).is_ok().then_some(()))
        })
        .await?;
    let client = json!({
        "url": format!("https://127.0.0.1:{PORT}/convert"),
        "caBundle": STANDARD.encode(certificate.pem()),
    });
    let conversion = json!({
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
    });
    convert_by(cluster, &conversion).await?;
    Ok(webhook)
}

/// Changes how the definition converts, and waits until the API server does so.
async fn convert_by(cluster: &Cluster, conversion: &Value) -> Result<()> {
    let definition = VOLUME_GROUP_SNAPSHOT_CONTENT.definition_name();
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
    let change = json!({"spec": {"conversion": conversion}});
    send(cluster, Method::PATCH, &path, Some(&change)).await?;
    let webhook = conversion["strategy"] == "Webhook";
    let probe = Content { cluster, name: if webhook { "probe" } else { "probe-again" } };
    probe.create().await?;
    cluster
        .quietly_until("the conversion to be in use", LIMIT, async || {
            let annotated = probe.get("v1beta1").await?["metadata"]["annotations"].get(INFO_LIST).is_some();
            Ok((annotated == webhook).then_some(()))
        })
        .await?;
    probe.delete().await
}

/// A content of two members.
struct Content<'a> {
    cluster: &'a Cluster,
    name: &'static str,
}

impl Content<'_> {
    fn path(&self, version: &str) -> String {
        format!(
            "/apis/{GROUP_SNAPSHOT_GROUP}/{version}/{}/{}",
            VOLUME_GROUP_SNAPSHOT_CONTENT.plural, self.name
        )
    }

    async fn create(&self) -> Result<()> {
        let content = json!({
            "apiVersion": VOLUME_GROUP_SNAPSHOT_CONTENT.api_version(), "kind": VOLUME_GROUP_SNAPSHOT_CONTENT.kind,
            "metadata": {"name": self.name},
            "spec": {
                "deletionPolicy": "Retain", "driver": "driver.example", "source": {"volumeHandles": ["v1", "v2"]},
                "volumeGroupSnapshotRef": {"name": "group", "namespace": "default"},
            },
        });
        let path = self.path("v1");
        let collection = path.rsplit_once('/').map_or("", |(collection, _)| collection);
        let mut stored = send(self.cluster, Method::POST, collection, Some(&content)).await?;
        stored["status"] = status();
        self.put_status(&stored).await
    }

    async fn get(&self, version: &str) -> Result<Value> {
        send(self.cluster, Method::GET, &self.path(version), None).await
    }

    /// Writes the status in the version that the object has.
    async fn put_status(&self, object: &Value) -> Result<()> {
        let version =
            object["apiVersion"].as_str().and_then(|version| version.split('/').nth(1)).unwrap_or_default();
        send(self.cluster, Method::PUT, &format!("{}/status", self.path(version)), Some(object))
            .await
            .map(drop)
    }

    async fn delete(&self) -> Result<()> {
        send(self.cluster, Method::DELETE, &self.path("v1"), None).await.map(drop)
    }
}

async fn send(cluster: &Cluster, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let content_type =
        if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request =
        Request::builder().method(method).uri(path).header("content-type", content_type).body(body)?;
    cluster.client.request(request).await.with_context(|| format!("at {path}"))
}
