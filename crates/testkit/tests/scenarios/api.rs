//! What the in-process server offers beyond a real one: permissions on request, the call log, and accidents.

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::WatchEvent;
use serde_json::json;
use testkit::api::{ApiServer, Failure, Rule};
use testkit::manifests;

fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("not a status: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn rules_are_enforced_with_the_servers_texts() {
    let server = ApiServer::new();
    let user = "system:serviceaccount:default:sidecar";
    server.set_rules(
        user,
        vec![
            Rule::new("", &["persistentvolumes"], &["get"]),
            Rule::new("", &["persistentvolumeclaims"], &["list"]).in_namespace("default"),
            Rule::new("", &["persistentvolumeclaims/status"], &["patch"]),
        ],
    );
    let client = server.client_as(user);
    let volumes = Api::<PersistentVolume>::all(client.clone());
    let refused = status(volumes.list(&ListParams::default()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        refused.message,
        "persistentvolumes is forbidden: User \"system:serviceaccount:default:sidecar\" cannot list resource \
         \"persistentvolumes\" in API group \"\" at the cluster scope"
    );
    assert_eq!(status(volumes.get("v").await.unwrap_err()).code, 404);

    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), "default");
    claims.list(&ListParams::default()).await.expect("allowed in this namespace");
    let elsewhere = Api::<PersistentVolumeClaim>::namespaced(client, "kube-system");
    assert_eq!(status(elsewhere.list(&ListParams::default()).await.unwrap_err()).code, 403);

    server.create(&manifests::claim("c", "fast")).unwrap();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    claims.patch_status("c", &PatchParams::default(), &patch).await.expect("the subresource is allowed");
    let refused = status(claims.patch("c", &PatchParams::default(), &patch).await.unwrap_err());
    assert_eq!(
        refused.message,
        "persistentvolumeclaims \"c\" is forbidden: User \"system:serviceaccount:default:sidecar\" cannot patch \
         resource \"persistentvolumeclaims\" in API group \"\" in the namespace \"default\""
    );
}

#[tokio::test(start_paused = true)]
async fn rules_come_from_role_manifests() {
    let role = json!({"kind": "ClusterRole", "rules": [
        {"apiGroups": ["", "storage.k8s.io"], "resources": ["nodes"], "verbs": ["get", "list"]},
    ]});
    let expected = Rule {
        groups: vec![String::new(), "storage.k8s.io".to_owned()],
        resources: vec!["nodes".to_owned()],
        verbs: vec!["get".to_owned(), "list".to_owned()],
        ..Rule::default()
    };
    assert_eq!(Rule::of_role(&role, None), [expected]);
}

#[tokio::test(start_paused = true)]
async fn calls_are_logged_and_counted() {
    let server = ApiServer::new();
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client(), "default");
    let claim = serde_json::from_value(manifests::claim("c", "fast")).unwrap();
    claims.create(&PostParams::default(), &claim).await.unwrap();
    claims.create(&PostParams::default(), &claim).await.unwrap_err();
    assert_eq!(server.count("create", "persistentvolumeclaims"), 2);
    let lines: Vec<String> = server.calls().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["create persistentvolumeclaims default/c -> 201", "create persistentvolumeclaims default/ -> 409"]
    );
}

#[tokio::test(start_paused = true)]
async fn chosen_calls_fail() {
    let server = ApiServer::new();
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client(), "default");
    server.fail_next("list", "persistentvolumeclaims", 1, &Failure::internal("etcdserver: leader changed"));
    let refused = status(claims.list(&ListParams::default()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (500, "InternalError"));
    claims.list(&ListParams::default()).await.expect("only the next one");
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_say_when_to_come_back() {
    let server = ApiServer::new();
    server.fail_next("list", "nodes", 1, &Failure::too_many_requests(7));
    let request = http::Request::get("/api/v1/nodes").body(kube::client::Body::empty()).unwrap();
    let response = server.client().send(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn compacted_versions_are_gone() {
    let server = ApiServer::new();
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client(), "default");
    let old = server.version();
    server.create(&manifests::claim("a", "fast")).unwrap();
    server.create(&manifests::claim("b", "fast")).unwrap();
    let first = claims.list(&ListParams::default().limit(1)).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    server.create(&manifests::claim("c", "fast")).unwrap();
    server.compact();

    let events = claims.watch(&WatchParams::default(), &old.to_string()).await.unwrap();
    pin_mut!(events);
    match events.next().await {
        Some(Ok(WatchEvent::Error(status))) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
    let refused = status(claims.list(&ListParams::default().continue_token(&token)).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (410, "Expired"));
}

#[tokio::test(start_paused = true)]
async fn watches_break_and_expire_on_request() {
    let server = ApiServer::new();
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client(), "default");
    let version = server.version().to_string();
    let broken = claims.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(broken);
    server.break_watches("PersistentVolumeClaim");
    assert!(matches!(broken.next().await, None | Some(Err(_))));

    let expired = claims.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(expired);
    assert_eq!(server.watchers("PersistentVolumeClaim"), 1);
    server.expire_watches("PersistentVolumeClaim");
    assert!(matches!(expired.next().await, Some(Ok(WatchEvent::Error(status))) if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn idle_watches_get_bookmarks() {
    let server = ApiServer::new();
    let claims = Api::<PersistentVolumeClaim>::namespaced(server.client(), "default");
    let events = claims.watch(&WatchParams::default(), &server.version().to_string()).await.unwrap();
    pin_mut!(events);
    server.create(&manifests::class("fast", "driver.example")).unwrap();
    match events.next().await {
        Some(Ok(WatchEvent::Bookmark(mark))) => {
            assert_eq!(mark.metadata.resource_version, server.version().to_string());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_can_be_installed_and_hidden() {
    let server = ApiServer::new();
    let client = server.client();
    let groups = client.list_api_groups().await.unwrap();
    assert!(!groups.groups.iter().any(|group| group.name == "snapshot.storage.k8s.io"));
    server.install("snapshot.storage.k8s.io");
    server.hide("VolumeAttributesClass");
    let found = client.list_api_group_resources("snapshot.storage.k8s.io/v1").await.unwrap();
    assert!(found.resources.iter().any(|row| row.kind == "VolumeSnapshot"));
    let found = client.list_api_group_resources("storage.k8s.io/v1").await.unwrap();
    assert!(!found.resources.iter().any(|row| row.kind == "VolumeAttributesClass"));
}
