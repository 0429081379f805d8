//! What our caches make of a real server's protobuf is what they make of its JSON, for every kind that has both.
//!
//! The objects are those of the recordings in `sidecar-core`, so that every field that is read is there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use sidecar_core::cache::Caches;
use sidecar_core::objects::{
    Attachment, AttributesClass, Claim, Class, CsiNode, Interest, Node, Pod, Volume,
};
use sidecar_core::random::Random;

use crate::cluster::Cluster;

const OBJECTS: &str = include_str!("../../../../crates/sidecar-core/tests/data/protobuf/objects.json");
const STATUSES: &str = include_str!("../../../../crates/sidecar-core/tests/data/protobuf/statuses.json");
const LIMIT: Duration = Duration::from_secs(60);
/// What the objects are annotated with to see changes.
const CHANGED: &str = "pv.kubernetes.io/provisioned-by";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How a cache gets its objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a sidecar does.
    Usual,
    /// As a sidecar does where the server streams no lists.
    Pages,
    /// Without protobuf.
    Json,
}

/// Lists, watches, changes and deletes; afterwards nothing is left.
pub(super) async fn read_the_same(cluster: &Cluster) -> Result<()> {
    let result = compare(cluster).await;
    let removed = remove(cluster).await;
    result.and(removed)
}

async fn compare(cluster: &Cluster) -> Result<()> {
    create(cluster).await?;
    let ways = [Way::Usual, Way::Pages, Way::Json].map(|way| Watching::start(cluster, way));
    let wait = |what, holds: fn(&Caches) -> bool| settled(cluster, &ways, what, holds);
    wait("equal lists in both encodings", |caches| caches.store::<Volume>().len() > 1).await?;
    change(cluster).await?;
    wait("equal changes in both encodings", |caches| {
        let volumes = caches.store::<Volume>();
        let changed = volumes.get("", "everything").and_then(|volume| volume.provisioned_by.clone());
        changed.as_deref() == Some("changed") && !volumes.exists("", "azuredisk")
    })
    .await?;
    let [usual, pages, json] = ways.map(Watching::types);
    let expected = [format!("{PROTOBUF};stream=watch")];
    ensure!(usual.iter().eq(&expected), "streaming lists came as {usual:?}");
    ensure!(
        pages.iter().eq(&[PROTOBUF.to_owned(), format!("{PROTOBUF};stream=watch")]),
        "pages came as {pages:?}"
    );
    ensure!(json.iter().eq([JSON]), "JSON came as {json:?}");
    Ok(())
}

/// Waits until all caches hold the same, and what is to be waited for.
async fn settled(
    cluster: &Cluster,
    ways: &[Watching; 3],
    what: &str,
    holds: fn(&Caches) -> bool,
) -> Result<()> {
    let [usual, pages, json] = ways;
    let poll = async || {
        for watching in ways {
            watching.caches.synced().await;
            if !holds(&watching.caches) {
                bail!("a cache has not seen it, or not yet: {:?}", watching.caches.obstacles());
            }
        }
        for other in [pages, json] {
            differences(&usual.caches, &other.caches)?;
        }
        Ok(Some(()))
    };
    cluster.quietly_until(what, LIMIT, poll).await
}

/// An error that names the first kind of which two caches hold something else.
fn differences(ours: &Caches, theirs: &Caches) -> Result<()> {
    macro_rules! same {
        ($($kind:ty),+) => {$({
            let (ours, theirs) = (ours.store::<$kind>().list(), theirs.store::<$kind>().list());
            ensure!(!ours.is_empty(), "no {}", stringify!($kind));
            ensure!(ours == theirs, "{}:\n{ours:?}\n{theirs:?}", stringify!($kind));
        })+};
    }
    same!(Volume, Claim, Pod, Node, Attachment, CsiNode, Class, AttributesClass);
    Ok(())
}

/// Caches of every kind, and the content types of the answers they got.
struct Watching {
    caches: Caches,
    types: Arc<Mutex<BTreeSet<String>>>,
}

impl Watching {
    fn start(cluster: &Cluster, way: Way) -> Self {
        let types = Arc::<Mutex<BTreeSet<String>>>::default();
        let (inner, seen) = (cluster.client.clone(), types.clone());
        let service = tower::service_fn(move |mut request: Request<Body>| {
            if way == Way::Json {
                request.headers_mut().insert(ACCEPT, HeaderValue::from_static(JSON));
            }
            let streams = request.uri().query().is_some_and(|query| query.contains("sendInitialEvents"));
            let (inner, seen) = (inner.clone(), seen.clone());
            async move {
                if streams && way == Way::Pages {
                    return Ok(refusal());
                }
                let response = inner.send(request).await?;
                let name = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let name = name.unwrap_or_default().to_owned();
                seen.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                Ok::<_, kube::Error>(response)
            }
        });
        let caches = Caches::new(Random::system());
        macro_rules! want {
            ($($kind:ty),+) => {$(caches.want::<$kind>(Interest::everything());)+};
        }
        want!(Volume, Claim, Pod, Node, Attachment, CsiNode, Class, AttributesClass);
        caches.start(&kube::Client::new(service, "default"));
        Self { caches, types }
    }

    fn types(self) -> BTreeSet<String> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a server without streaming lists says.
fn refusal() -> Response<Body> {
    let status = json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid"});
    let mut response = Response::new(Body::from(status.to_string().into_bytes()));
    *response.status_mut() = http::StatusCode::UNPROCESSABLE_ENTITY;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

fn items(list: &str) -> Result<Vec<DynamicObject>> {
    let mut list: Value = serde_json::from_str(list)?;
    Ok(serde_json::from_value(list.get_mut("items").map(Value::take).unwrap_or_default())?)
}

fn api(cluster: &Cluster, object: &DynamicObject) -> Result<(Api<DynamicObject>, String)> {
    let types = object.types.as_ref().context("an object without a type")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    let api = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    };
    Ok((api, object.metadata.name.clone().unwrap_or_default()))
}

async fn create(cluster: &Cluster) -> Result<()> {
    for object in items(OBJECTS)? {
        let (api, name) = api(cluster, &object)?;
        let creation = async || {
            api.create(&PostParams::default(), &object).await?;
            Ok(Some(()))
        };
        // Pods wait for the service account, which the controller manager makes.
        cluster.quietly_until(&format!("creation of {name}"), LIMIT, creation).await?;
    }
    for object in items(STATUSES)? {
        let (api, name) = api(cluster, &object)?;
        let status = json!({"status": object.data.get("status")});
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    }
    Ok(())
}

/// Annotates every object; deletes one volume.
async fn change(cluster: &Cluster) -> Result<()> {
    for object in items(OBJECTS)? {
        let (api, name) = api(cluster, &object)?;
        let patch = json!({"metadata": {"annotations": {CHANGED: "changed"}}});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        if name == "azuredisk" {
            discard(&api, &name).await?;
        }
    }
    Ok(())
}

async fn remove(cluster: &Cluster) -> Result<()> {
    for object in items(OBJECTS)? {
        let (api, name) = api(cluster, &object)?;
        discard(&api, &name).await.with_context(|| format!("cannot remove {name}"))?;
    }
    Ok(())
}

/// Deletes an object and takes away what would keep it, if it is there.
async fn discard(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.is_not_found());
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    let release = json!({"metadata": {"finalizers": null}});
    let deleted = api.delete(name, &now).await.map(drop);
    let released = api.patch(name, &PatchParams::default(), &Patch::Merge(&release)).await.map(drop);
    for result in [deleted, released] {
        if let Err(error) = result
            && !gone(&error)
        {
            return Err(error.into());
        }
    }
    Ok(())
}
