//! Watches whose server speaks protobuf, or claims to: answers recorded from a real one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use tower::{BoxError, service_fn};

use super::super::Caches;
use crate::api::{Budget, Connector, Purpose};
use crate::objects::{Interest, Snapshot, Volume};
use crate::random::Random;

const BOTH: &str = "application/vnd.kubernetes.protobuf,application/json";
const JSON: &str = "application/json";
const WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch";
const LIST: &str = "application/vnd.kubernetes.protobuf";
const VOLUMES: usize = 17;

/// What a server says to a request: code, content type, body.
struct Answer(u16, &'static str, Vec<u8>);

fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    std::fs::read(folder.join(name)).unwrap()
}

/// Whether the watch goes on after the bytes: a watch that ends would be asked for again and again.
fn response(
    Answer(code, content_type, body): Answer,
    goes_on: bool,
) -> Response<impl http_body::Body<Data = Bytes, Error = BoxError>> {
    let first = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from(body)))]);
    let rest = stream::pending().take(usize::from(goes_on));
    let body = StreamBody::new(first.chain(rest));
    Response::builder().status(code).header(CONTENT_TYPE, content_type).body(body).unwrap()
}

type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A client of a server with these answers, and what it was asked: query and accepted types.
fn client(answer: impl Fn(&str, &str) -> Answer + Clone + Send + Sync + 'static) -> (kube::Client, Seen) {
    let seen = Seen::default();
    let asked = seen.clone();
    let service = service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let accept = header(request.headers());
        let said = answer(&query, &accept);
        let watches = query.contains("watch=true") && said.0 == 200;
        seen.lock().unwrap().push((query, accept));
        std::future::ready(Ok::<_, BoxError>(response(said, watches)))
    });
    let connector = Connector::from_service(service, "csi-test");
    (connector.client(Budget::UNLIMITED, Purpose::Work).unwrap(), asked)
}

fn header(headers: &HeaderMap) -> String {
    headers.get(ACCEPT).unwrap().to_str().unwrap().to_owned()
}

async fn listed(client: &kube::Client) -> usize {
    let caches = Caches::new(Random::seeded(1));
    let store = caches.want::<Volume>(Interest::everything());
    caches.start(client);
    caches.synced().await;
    assert_eq!(store.get("", "everything").unwrap().driver.as_deref(), Some("hostpath.csi.k8s.io"));
    store.len()
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_may_come_in_protobuf() {
    let (client, seen) = client(|_, _| Answer(200, WATCH, recorded("volumes.watch.protobuf")));
    assert_eq!(listed(&client).await, VOLUMES);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), &*seen[0].1), (1, BOTH));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_it_sends_is_what_is_read() {
    let (client, _) = client(|_, _| Answer(200, JSON, recorded("volumes.watch.json")));
    assert_eq!(listed(&client).await, VOLUMES);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_pages_may_come_in_protobuf() {
    let (client, seen) = client(|query, _| match query {
        _ if query.contains("sendInitialEvents") => Answer(422, LIST, recorded("refused.status.protobuf")),
        _ if query.contains("watch=true") => Answer(200, WATCH, Vec::new()),
        _ => Answer(200, LIST, recorded("volumes.list.protobuf")),
    });
    assert_eq!(listed(&client).await, VOLUMES);
    assert!(seen.lock().unwrap().iter().all(|(_, accept)| accept == BOTH));
}

#[tokio::test(start_paused = true)]
async fn protobuf_that_cannot_be_read_is_asked_for_once() {
    let mut broken = recorded("volumes.watch.protobuf");
    let middle = broken.len() / 2;
    broken[middle..].fill(0xff);
    let (client, seen) = client(move |_, accept| match accept {
        JSON => Answer(200, JSON, recorded("volumes.watch.json")),
        _ => Answer(200, WATCH, broken.clone()),
    });
    assert_eq!(listed(&client).await, VOLUMES);
    let accepted: Vec<_> = seen.lock().unwrap().iter().map(|(_, accept)| accept.clone()).collect();
    assert_eq!(accepted, [BOTH, JSON]);
}

#[tokio::test(start_paused = true)]
async fn custom_resources_are_asked_for_in_json() {
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    let (client, seen) = client(move |_, _| Answer(200, JSON, format!("{end}\n").into_bytes()));
    let caches = Caches::new(Random::seeded(1));
    let _store = caches.want::<Snapshot>(Interest::everything());
    caches.start(&client);
    caches.synced().await;
    assert_eq!(seen.lock().unwrap()[0].1, JSON);
}
