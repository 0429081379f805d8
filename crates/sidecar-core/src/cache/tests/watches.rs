//! Lists and watches against the in-process API server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};
use testkit::api::{ApiServer, Rule};

use tower::{BoxError, ServiceExt, service_fn};

use super::super::{Caches, Store};
use super::fixtures::{DRIVER, volume};
use crate::api::{Budget, Connector, Purpose};
use crate::metrics::Metrics;
use crate::objects::{Class, Interest, Pod, PodIndex, Sections, Volume};
use crate::random::Random;

const NAMES: usize = 1200;

fn manifest(name: &str) -> Value {
    let mut manifest = volume(name, DRIVER);
    for member in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "finalizers"] {
        manifest["metadata"].as_object_mut().unwrap().remove(member);
    }
    manifest.as_object_mut().unwrap().remove("status");
    manifest
}

fn create(api: &ApiServer, name: &str) {
    api.create(&manifest(name)).unwrap();
}

fn caches() -> Caches {
    Caches::new(Random::seeded(1))
}

/// A client that notes the queries it sends; without `streaming` the server refuses streaming lists as old ones do.
fn recording(api: &ApiServer, streaming: bool) -> (kube::Client, Arc<Mutex<Vec<String>>>) {
    const REFUSAL: &str = r#"{"kind":"Status","status":"Failure","code":422,"reason":"Invalid",
        "message":"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"}"#;
    let (server, queries) = (api.service(), Arc::new(Mutex::new(Vec::new())));
    let seen = queries.clone();
    let service = service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let refused = !streaming && query.contains("sendInitialEvents");
        seen.lock().unwrap().push(query);
        let answer = server.clone().oneshot(request);
        async move {
            if refused {
                let body = Full::new(Bytes::from_static(REFUSAL.as_bytes()));
                let body = body.map_err(|never| match never {}).boxed_unsync();
                return Ok(Response::builder().status(422).body(body).unwrap());
            }
            let response = answer.await.map_err(BoxError::from)?;
            Ok::<_, BoxError>(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    });
    let connector = Connector::from_service(service, "csi-test");
    (connector.client(Budget::UNLIMITED, Purpose::Work).unwrap(), queries)
}

/// A cache of volumes, started and in step.
async fn watching(api: &ApiServer) -> (Caches, Store<Volume>) {
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&api.client());
    caches.synced().await;
    (caches, store)
}

/// Waits until the condition holds; paused time makes this as fast as the machine.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_and_its_watch_are_one_request() {
    let api = ApiServer::new();
    create(&api, "one");
    let (_caches, store) = watching(&api).await;
    assert!(store.exists("", "one") && store.is_synced());
    create(&api, "two");
    eventually("the second volume", || store.exists("", "two")).await;
    api.delete("PersistentVolume", "", "one").unwrap();
    eventually("the deletion", || !store.exists("", "one")).await;
    let calls = api.calls();
    assert_eq!(calls.iter().filter(|call| call.is("watch", "persistentvolumes")).count(), 1);
    assert_eq!(api.count("list", "persistentvolumes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_read_in_pages() {
    let api = ApiServer::new();
    (0..NAMES).for_each(|n| create(&api, &format!("pv-{n}")));
    let (client, queries) = recording(&api, false);
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&client);
    caches.synced().await;
    assert_eq!(store.list().len(), NAMES);
    assert_eq!(api.count("list", "persistentvolumes"), 3, "pages of 500");
    create(&api, "late");
    eventually("the watch behind the pages", || store.exists("", "late")).await;
    assert!(queries.lock().unwrap().last().unwrap().contains("resourceVersion="));
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_resumed_where_it_ended() {
    let api = ApiServer::new();
    create(&api, "one");
    let (client, queries) = recording(&api, true);
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&client);
    caches.synced().await;
    queries.lock().unwrap().clear();
    api.break_watches("PersistentVolume");
    create(&api, "two");
    eventually("the change behind the break", || store.exists("", "two")).await;
    let queries = queries.lock().unwrap();
    assert!(
        !queries.is_empty() && queries.iter().all(|query| query.contains("resourceVersion=")),
        "{queries:?}"
    );
    assert_eq!(api.count("list", "persistentvolumes"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_lists_again_and_reports_what_went_missing() {
    let api = ApiServer::new();
    create(&api, "stays");
    create(&api, "goes");
    let (_caches, store) = watching(&api).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let _subscription = store.subscribe(move |delta| {
        let gone = matches!(delta, super::super::Delta::Deleted(_));
        sink.lock().unwrap().push((delta.object().meta.name.to_string(), gone));
    });
    log.lock().unwrap().clear();
    // The server forgets everything while nobody watches.
    api.fail_next("watch", "persistentvolumes", 3, &testkit::api::Failure::unavailable("restarting"));
    api.break_watches("PersistentVolume");
    api.delete("PersistentVolume", "", "goes").unwrap();
    create(&api, "comes");
    api.compact();
    eventually("the new list", || store.exists("", "comes") && !store.exists("", "goes")).await;
    let mut seen = log.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("comes".to_owned(), false), ("goes".to_owned(), true)]);
    assert!(store.exists("", "stays"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_expires_in_the_middle_lists_again() {
    let api = ApiServer::new();
    create(&api, "one");
    let (_caches, store) = watching(&api).await;
    api.expire_watches("PersistentVolume");
    create(&api, "two");
    eventually("the list after 410", || store.exists("", "two")).await;
    assert!(store.exists("", "one"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_rule_is_named_and_found_again_when_granted() {
    let api = ApiServer::new();
    create(&api, "one");
    let user = "system:serviceaccount:default:csi";
    api.set_rules(user, vec![Rule::new("", &["persistentvolumes"], &["list"])]);
    let caches = caches();
    let store = caches.want::<Volume>(Interest::all());
    caches.start(&api.client_as(user));
    eventually("the obstacle", || !caches.obstacles().is_empty()).await;
    assert_eq!(
        caches.obstacles(),
        [format!(
            "{user} is not allowed to watch persistentvolumes: add apiGroups: [\"\"], \
             resources: [\"persistentvolumes\"], verbs: [\"watch\"] to a ClusterRole bound to it"
        )]
    );
    assert!(!store.is_synced());
    api.set_rules(user, vec![Rule::new("", &["persistentvolumes"], &["list", "watch"])]);
    caches.synced().await;
    assert!(store.exists("", "one") && caches.obstacles().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wider_interest_reads_everything_again() {
    let api = ApiServer::new();
    create(&api, "one");
    let (caches, store) = watching(&api).await;
    assert!(store.get("", "one").unwrap().source.is_none());
    let fuller = Arc::new(Mutex::new(Vec::new()));
    let sink = fuller.clone();
    let _subscription = store.subscribe(move |delta| {
        if let super::super::Delta::Updated { old, new } = delta {
            sink.lock().unwrap().push((old.source.is_some(), new.source.is_some()));
        }
    });
    let same = caches.want::<Volume>(Interest::of_drivers([DRIVER]).with(Sections::VOLUME_SOURCE));
    eventually("the section", || same.get("", "one").is_some_and(|volume| volume.source.is_some())).await;
    assert_eq!(api.watchers("PersistentVolume"), 1, "still one watch");
    assert_eq!(*fuller.lock().unwrap(), [(false, true)], "who subscribes is told, once");
    api.expire_watches("PersistentVolume");
    create(&api, "two");
    eventually("another list", || store.exists("", "two")).await;
    assert_eq!(fuller.lock().unwrap().len(), 1, "and not again by a list that brings nothing new");
}

#[tokio::test(start_paused = true)]
async fn only_wanted_kinds_are_watched_and_dropping_the_caches_ends_the_watches() {
    let api = ApiServer::new();
    api.create(&json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "fast"}, "provisioner": DRIVER}))
        .unwrap();
    let caches = caches();
    let classes = caches.want::<Class>(Interest::all());
    caches.start(&api.client());
    caches.start(&api.client());
    caches.synced().await;
    assert!(classes.exists("", "fast"));
    assert_eq!((api.watchers("StorageClass"), api.watchers("PersistentVolume")), (1, 0));
    drop(caches);
    eventually("the end of the watch", || api.watchers("StorageClass") == 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_tried_for_ever() {
    let api = ApiServer::new();
    create(&api, "one");
    api.fail_next("watch", "persistentvolumes", 20, &testkit::api::Failure::unavailable("starting"));
    let start = tokio::time::Instant::now();
    let (_caches, store) = watching(&api).await;
    assert!(store.exists("", "one"));
    assert!(start.elapsed() > Duration::from_secs(300), "with growing pauses");
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_kind_is_watched_while_somebody_has_it() {
    let api = ApiServer::new();
    let (caches, client) = (caches(), api.client());
    let phase = |phase: &str| json!({"status": {"phase": phase}});
    for name in ["running", "ends", "finished"] {
        api.create(&testkit::manifests::pod(name, name)).unwrap();
    }
    api.patch_status("Pod", "default", "finished", &phase("Succeeded")).unwrap();
    let first = caches.borrow::<Pod>(Interest::all(), &client);
    let second = caches.borrow::<Pod>(Interest::all(), &client);
    second.store().synced().await;
    assert_eq!(api.watchers("Pod"), 1);
    let has = |claim: &str| !second.store().by(PodIndex::Claim, &format!("default/{claim}")).is_empty();
    assert!(has("running") && has("ends"));
    assert_eq!(second.store().len(), 2, "finished pods are not even sent");
    api.patch_status("Pod", "default", "ends", &phase("Failed")).unwrap();
    eventually("the pod has ended", || !has("ends")).await;
    drop(first);
    assert!(has("running"), "somebody still needs it");
    drop(second);
    eventually("the watch has ended", || api.watchers("Pod") == 0).await;
    assert!(caches.store::<Pod>().is_empty() && !caches.store::<Pod>().is_synced());
    let again = caches.borrow::<Pod>(Interest::all(), &client);
    again.store().synced().await;
    assert_eq!(again.store().len(), 1);
}

/// A volume that is not what the API promises.
fn broken() -> Value {
    let mut manifest = manifest("broken");
    manifest["spec"]["mountOptions"] = json!({"not": "a list"});
    manifest
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_shape_is_skipped_by_a_watch() {
    let api = ApiServer::new();
    create(&api, "one");
    let (caches, store) = watching(&api).await;
    let metrics = Metrics::new();
    metrics.register(caches.skipped_objects());
    let series =
        |count| format!("csi_sidecar_skipped_objects_total{{resource=\"persistentvolumes\"}} {count}\n");
    assert!(metrics.text().contains(&series(0)), "a kind that is watched is there from the start");
    api.create(&broken()).unwrap();
    create(&api, "two");
    eventually("what comes after it", || store.exists("", "two")).await;
    assert_eq!((store.skipped(), store.exists("", "broken")), (1, false));
    assert!(metrics.text().contains(&series(1)), "{}", metrics.text());
    assert!(!metrics.text().contains("resource=\"pods\""), "nobody watches them");
    assert_eq!(api.count("watch", "persistentvolumes"), 1, "the watch goes on");
    // Resumed behind it, not in front of it.
    api.break_watches("PersistentVolume");
    create(&api, "three");
    eventually("the next watch", || store.exists("", "three")).await;
    assert_eq!(store.skipped(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_shape_is_skipped_by_a_list_and_kept_as_it_was() {
    let api = ApiServer::new();
    create(&api, "one");
    create(&api, "broken");
    let (client, _) = recording(&api, false);
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&client);
    caches.synced().await;
    assert_eq!(store.list().len(), 2);
    let fields = json!({"spec": {"mountOptions": {"not": "a list"}}});
    api.patch("PersistentVolume", "", "broken", &fields).unwrap();
    eventually("the watch shows it", || store.skipped() == 1).await;
    api.expire_watches("PersistentVolume");
    create(&api, "two");
    eventually("another list", || store.exists("", "two")).await;
    assert_eq!((store.skipped(), store.list().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_ends_its_streaming_list_is_read_in_pages() {
    let api = ApiServer::new();
    create(&api, "one");
    let server = api.service();
    // It ignores what it does not know, and is never silent.
    let service = service_fn(move |mut request: Request<Body>| {
        let uri = request.uri().to_string();
        let known =
            uri.replace("&sendInitialEvents=true", "").replace("&resourceVersionMatch=NotOlderThan", "");
        *request.uri_mut() =
            known.replace("allowWatchBookmarks=true", "allowWatchBookmarks=false").parse().unwrap();
        let answer = server.clone().oneshot(request);
        async move {
            let response = answer.await.map_err(BoxError::from)?;
            Ok::<_, BoxError>(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    });
    let connector = Connector::from_service(service, "csi-test");
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&connector.client(Budget::UNLIMITED, Purpose::Work).unwrap());
    let start = tokio::time::Instant::now();
    let busy = async {
        for number in 0.. {
            create(&api, &format!("busy-{number}"));
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        biased;
        () = caches.synced() => {}
        () = busy => {}
    }
    assert!(start.elapsed() < Duration::from_secs(150), "{:?}", start.elapsed());
    assert!(store.exists("", "one") && api.count("list", "persistentvolumes") == 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgets_every_version_is_not_listed_without_pause() {
    let api = ApiServer::new();
    create(&api, "one");
    let (client, _) = recording(&api, false);
    api.intercept(|call| {
        call.is("watch", "persistentvolumes").then(|| testkit::api::Failure::expired("too old"))
    });
    let caches = caches();
    let store = caches.want::<Volume>(Interest::of_drivers([DRIVER]));
    caches.start(&client);
    caches.synced().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let lists = api.count("list", "persistentvolumes");
    assert!((5..20).contains(&lists), "{lists} lists in five minutes");
    api.pass();
    create(&api, "two");
    eventually("the watch", || store.exists("", "two")).await;
}
