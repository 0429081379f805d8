//! Scenarios of event recording on paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use kube::client::Body;
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{EventKind, EventSink, ObjectRef, QUEUE_LENGTH, Recorder};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::shutdown::{Reason, Shutdown};

const COMPONENT: &str = "hostpath.csi.k8s.io_pod-0_0b5c";

/// A call as the API server sees it.
#[derive(Debug, Clone)]
struct Call {
    at: Duration,
    method: Method,
    path: String,
    content_type: String,
    body: Value,
}

/// What the API server answers; `Ok` takes what was sent over.
type Answer = Result<(), u16>;
type Answers = Box<dyn FnMut(&Call) -> Option<Answer> + Send>;

/// A sink whose events go to a scripted API server.
struct Bench {
    sink: EventSink,
    recorder: Recorder,
    shutdown: Shutdown,
    calls: Arc<Mutex<Vec<Call>>>,
    writing: JoinHandle<()>,
    dropped: IntCounter,
}

impl Bench {
    fn new() -> Self {
        Self::answering(|_| Some(Ok(())))
    }

    /// `None` breaks the connection.
    fn answering(answers: impl FnMut(&Call) -> Option<Answer> + Send + 'static) -> Self {
        let clock = Clock::simulated("2026-11-21T05:00:00Z".parse().unwrap());
        let dropped = Metrics::new().dropped_events().clone();
        let (sink, writer) = EventSink::new(clock, Random::seeded(1), dropped.clone());
        let (shutdown, calls) = (Shutdown::default(), Arc::new(Mutex::new(Vec::new())));
        let client = client(calls.clone(), Box::new(answers));
        let writing = tokio::spawn(writer.run(client, shutdown.clone()));
        Self { recorder: sink.recorder(COMPONENT), sink, shutdown, calls, writing, dropped }
    }

    fn warn(&self, object: &str, message: &str) {
        self.recorder.event(&claim(object), EventKind::Warning, "ProvisioningFailed", message);
    }

    /// All calls, once everything recorded so far is done with.
    async fn calls(&self) -> Vec<Call> {
        self.sink.flush(Duration::from_secs(3600)).await;
        self.calls.lock().unwrap().clone()
    }
}

fn claim(name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "PersistentVolumeClaim".into(),
        namespace: "apps".into(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        resource_version: "7".into(),
    }
}

fn client(calls: Arc<Mutex<Vec<Call>>>, answers: Answers) -> kube::Client {
    let (origin, answers) = (Instant::now(), Arc::new(Mutex::new(answers)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (calls, answers) = (calls.clone(), answers.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            let call = Call {
                at: origin.elapsed(),
                method: parts.method,
                path: parts.uri.path().to_owned(),
                content_type: parts.headers["content-type"].to_str().unwrap().to_owned(),
                body: serde_json::from_slice(&body).unwrap(),
            };
            calls.lock().unwrap().push(call.clone());
            let answer = (answers.lock().unwrap())(&call);
            respond(&call, answer)
        }
    });
    kube::Client::new(service, "default")
}

fn respond(call: &Call, answer: Option<Answer>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let Some(answer) = answer else { return Err(std::io::ErrorKind::ConnectionReset.into()) };
    let (code, body) = match answer {
        Err(code) => (
            code,
            json!({"kind": "Status", "status": "Failure", "code": code, "message": "refused", "reason": ""}),
        ),
        Ok(()) if call.method == Method::POST => (201, call.body.clone()),
        Ok(()) => {
            let name = call.path.rsplit('/').next().unwrap();
            (200, json!({"metadata": {"name": name}, "involvedObject": {}, "count": call.body["count"]}))
        }
    };
    Ok(Response::builder().status(code).body(Full::from(body.to_string())).unwrap())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn an_event_is_created_as_client_go_writes_it() {
    let bench = Bench::new();
    bench.warn("data", "no space");
    let calls = bench.calls().await;
    let nanos = "2026-11-21T05:00:00Z".parse::<Timestamp>().unwrap().as_nanosecond();
    assert_eq!((&calls[0].method, &*calls[0].path), (&Method::POST, "/api/v1/namespaces/apps/events"));
    assert_eq!(
        calls[0].body,
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": format!("data.{nanos:x}"), "namespace": "apps"},
            "involvedObject": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "apps", "name": "data",
                "uid": "uid-of-data", "resourceVersion": "7",
            },
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": "no space",
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": "2026-11-21T05:00:00Z",
            "lastTimestamp": "2026-11-21T05:00:00Z",
            "count": 1,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn events_of_cluster_scoped_objects_go_to_the_namespace_default() {
    let bench = Bench::new();
    let volume = ObjectRef { namespace: String::new(), kind: "PersistentVolume".into(), ..claim("pvc-1") };
    bench.recorder.event(&volume, EventKind::Normal, "Done", "done");
    let calls = bench.calls().await;
    assert_eq!(calls[0].path, "/api/v1/namespaces/default/events");
    assert_eq!(calls[0].body["metadata"]["namespace"], "default");
    assert_eq!(calls[0].body["involvedObject"].get("namespace"), None);
    assert_eq!(calls[0].body["type"], "Normal");
}

#[tokio::test(start_paused = true)]
async fn identical_events_are_counted_by_a_strategic_merge_patch() {
    let bench = Bench::new();
    bench.warn("data", "no space");
    let name = bench.calls().await[0].body["metadata"]["name"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        sleep(seconds(60)).await;
        bench.warn("data", "no space");
    }
    let calls = bench.calls().await;
    assert_eq!(calls.len(), 3);
    for (call, (count, at)) in calls[1..].iter().zip([(2, "05:01:00"), (3, "05:02:00")]) {
        assert_eq!(call.method, Method::PATCH);
        assert_eq!(call.path, format!("/api/v1/namespaces/apps/events/{name}"));
        assert_eq!(call.content_type, "application/strategic-merge-patch+json");
        assert_eq!(
            call.body,
            json!({"count": count, "lastTimestamp": format!("2026-11-21T{at}Z"), "message": "no space"})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_of_the_object_does_not_make_another_event() {
    let bench = Bench::new();
    for version in ["7", "8"] {
        let object = ObjectRef { resource_version: version.to_owned(), ..claim("data") };
        bench.recorder.event(&object, EventKind::Warning, "ProvisioningFailed", "no space");
    }
    let methods: Vec<_> = bench.calls().await.into_iter().map(|call| call.method).collect();
    assert_eq!(methods, [Method::POST, Method::PATCH]);
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_an_event_that_is_gone_creates_it_anew() {
    let bench = Bench::answering(|call| Some(if call.method == Method::PATCH { Err(404) } else { Ok(()) }));
    bench.warn("data", "no space");
    sleep(seconds(60)).await;
    bench.warn("data", "no space");
    let calls = bench.calls().await;
    let methods: Vec<_> = calls.iter().map(|call| call.method.clone()).collect();
    assert_eq!(methods, [Method::POST, Method::PATCH, Method::POST]);
    assert_eq!(calls[2].body["count"], 2);
    assert_eq!(calls[2].body["metadata"], calls[0].body["metadata"]);
    assert_eq!(calls[2].body["firstTimestamp"], "2026-11-21T05:00:00Z");
    assert_eq!(calls[2].body["lastTimestamp"], "2026-11-21T05:01:00Z");
}

#[tokio::test(start_paused = true)]
async fn similar_events_are_combined_from_the_tenth_message_on() {
    let bench = Bench::new();
    for number in 1..=12 {
        bench.warn("data", &format!("failure {number}"));
    }
    let calls = bench.calls().await;
    let messages: Vec<_> = calls.iter().map(|call| call.body["message"].as_str().unwrap()).collect();
    assert_eq!(messages[8], "failure 9");
    assert_eq!(messages[9], "(combined from similar events): failure 10");
    assert_eq!(messages[11], "(combined from similar events): failure 12");
    assert_eq!(calls[9].method, Method::POST);
    assert_eq!(calls[10].method, Method::PATCH, "counted in the combined event");
    assert_eq!(calls[11].body["count"], 3);
}

#[tokio::test(start_paused = true)]
async fn similar_events_further_apart_than_ten_minutes_start_afresh() {
    let bench = Bench::new();
    for number in 1..=9 {
        bench.warn("data", &format!("failure {number}"));
    }
    sleep(seconds(601)).await;
    bench.warn("data", "failure 10");
    let calls = bench.calls().await;
    assert_eq!(calls[9].body["message"], "failure 10");
}

#[tokio::test(start_paused = true)]
async fn one_source_may_burst_25_events_about_an_object_and_then_one_in_five_minutes() {
    let bench = Bench::new();
    for _ in 0..40 {
        bench.warn("data", "no space");
    }
    assert_eq!(bench.calls().await.len(), 25);
    bench.warn("other", "no space");
    assert_eq!(bench.calls().await.len(), 26, "another object has a burst of its own");
    bench.recorder.event(&claim("data"), EventKind::Normal, "Done", "done");
    assert_eq!(bench.calls().await.len(), 27, "and so has another type");
    sleep(seconds(299)).await;
    bench.warn("data", "no space");
    assert_eq!(bench.calls().await.len(), 27);
    sleep(seconds(2)).await;
    bench.warn("data", "no space");
    let calls = bench.calls().await;
    assert_eq!(calls.len(), 28);
    assert_eq!(calls[27].body["count"], 42, "silenced events are counted");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_tried_twelve_times_ten_seconds_apart() {
    let bench = Bench::answering(|_| None);
    bench.warn("data", "no space");
    let calls = bench.calls().await;
    assert_eq!(calls.len(), 12);
    let gaps: Vec<_> = calls.windows(2).map(|pair| pair[1].at.abs_diff(pair[0].at)).collect();
    assert!(gaps[0] < seconds(10), "the first pause is a random part: {:?}", gaps[0]);
    assert!(gaps[1..].iter().all(|gap| (seconds(10)..seconds(11)).contains(gap)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_tried_again_and_one_that_refuses_is_not() {
    for (code, expected) in [(429, 2), (503, 2), (403, 1), (409, 1), (422, 1)] {
        let mut first = true;
        let bench =
            Bench::answering(move |_| Some(if std::mem::take(&mut first) { Err(code) } else { Ok(()) }));
        bench.warn("data", "no space");
        assert_eq!(bench.calls().await.len(), expected, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_events_and_never_waits() {
    let bench = Bench::answering(|_| None);
    let began = Instant::now();
    for number in 0..QUEUE_LENGTH + 50 {
        bench.warn(&format!("claim-{number}"), "no space");
    }
    assert_eq!(Instant::now(), began);
    assert_eq!(bench.sink.queue.capacity(), 0, "1000 wait, the rest is dropped");
    assert_eq!(bench.dropped.get(), 50, "and counted");
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_waits_without_pauses() {
    let bench = Bench::answering(|_| None);
    bench.warn("a", "no space");
    bench.warn("b", "no space");
    sleep(seconds(1)).await;
    bench.shutdown.request(Reason::Terminate);
    let began = Instant::now();
    let calls = bench.calls().await;
    assert_eq!(Instant::now(), began, "no pause any more");
    assert!(calls.iter().any(|call| call.body["involvedObject"]["name"] == "b"), "the queue is emptied");
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_at_its_limit() {
    let bench = Bench::answering(|_| None);
    bench.warn("data", "no space");
    let began = Instant::now();
    bench.sink.flush(seconds(3)).await;
    assert_eq!(Instant::now() - began, seconds(3));
}

#[tokio::test(start_paused = true)]
async fn the_writer_ends_with_the_last_recorder() {
    let bench = Bench::new();
    bench.warn("data", "no space");
    let Bench { sink, recorder, writing, calls, .. } = bench;
    drop((sink, recorder));
    writing.await.unwrap();
    assert_eq!(calls.lock().unwrap().len(), 1, "but not before it has written what waits");
}

#[tokio::test(start_paused = true)]
async fn events_of_the_same_instant_have_different_names_and_long_names_are_replaced() {
    let bench = Bench::new();
    bench.warn("data", "one");
    bench.warn("data", "two");
    bench.warn(&"x".repeat(253), "three");
    let names: Vec<_> = bench
        .calls()
        .await
        .iter()
        .map(|call| call.body["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_ne!(names[0], names[1]);
    assert_eq!(names[2].len(), 36, "a UUID: {}", names[2]);
}
