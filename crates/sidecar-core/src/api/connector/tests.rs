//! The stack over scripted services, on paused time.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::RETRY_AFTER;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use tokio::time::Instant;
use tower::service_fn;

use super::super::ErrorKind;
use super::*;

type Reply = Response<Full<Bytes>>;

fn reply(status: u16, body: &'static str) -> Reply {
    Response::builder().status(status).body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

const VOLUME: &str = r#"{"metadata":{"name":"pv"},"spec":{}}"#;
const BUSY: &str =
    r#"{"kind":"Status","status":"Failure","code":429,"reason":"TooManyRequests","message":"slow down"}"#;

async fn get(client: kube::Client) -> Result<PersistentVolume, kube::Error> {
    Api::<PersistentVolume>::all(client).get("pv").await
}

#[tokio::test(start_paused = true)]
async fn the_server_is_obeyed_ten_times() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let service = service_fn(move |_: Request<Body>| {
        seen.fetch_add(1, Ordering::SeqCst);
        let mut busy = reply(429, BUSY);
        busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        async move { Ok::<_, Infallible>(busy) }
    });
    let connector = Connector::from_service(service, "csi-provisioner");
    let start = Instant::now();
    let error = get(connector.client(Budget::UNLIMITED, Purpose::Work).unwrap()).await.unwrap_err();
    assert_eq!(ErrorKind::of(&error), ErrorKind::TooManyRequests);
    assert_eq!((calls.load(Ordering::SeqCst), start.elapsed()), (11, Duration::from_secs(20)));

    calls.store(0, Ordering::SeqCst);
    get(connector.client(Budget::UNLIMITED, Purpose::Leases).unwrap()).await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 1, "leases are never retried behind the elector's back");
}

#[tokio::test(start_paused = true)]
async fn without_retry_after_nothing_is_retried() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let service = service_fn(move |_: Request<Body>| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(reply(503, r#"{"kind":"Status","code":503,"message":"down"}"#)) }
    });
    let client = Connector::from_service(service, "x").client(Budget::UNLIMITED, Purpose::Work).unwrap();
    assert_eq!(ErrorKind::of(&get(client).await.unwrap_err()), ErrorKind::Internal);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_ends_at_its_deadline() {
    let service = service_fn(|_: Request<Body>| std::future::pending::<Result<Reply, Infallible>>());
    let connector = Connector::from_service(service, "x");
    for (purpose, seconds) in [(Purpose::Work, 30), (Purpose::Leases, 5)] {
        let start = Instant::now();
        let error = get(connector.client(Budget::UNLIMITED, purpose).unwrap()).await.unwrap_err();
        assert_eq!((ErrorKind::of(&error), start.elapsed().as_secs()), (ErrorKind::Timeout, seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_carry_the_user_agent_and_wait_at_their_own_bucket() {
    let agents = Arc::new(Mutex::new(Vec::new()));
    let seen = agents.clone();
    let service = service_fn(move |request: Request<Body>| {
        let agent = request.headers().get(USER_AGENT).unwrap().to_str().unwrap().to_owned();
        seen.lock().unwrap().push(agent);
        async { Ok::<_, Infallible>(reply(200, VOLUME)) }
    });
    let connector = Connector::from_service(service, "csi-attacher");
    let budget = Budget { qps: 1.0, burst: 1 };
    let work = connector.client(budget, Purpose::Work).unwrap();
    let events = connector.client(budget, Purpose::Events).unwrap();
    let start = Instant::now();
    for _ in 0..3 {
        get(work.clone()).await.unwrap();
    }
    assert_eq!(start.elapsed().as_secs(), 2);
    get(events).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2, "another bucket");
    assert_eq!(agents.lock().unwrap()[0], "csi-attacher/v0.0.0 (linux/amd64) kubernetes/$Format");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_read_again_and_the_call_repeated() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old").unwrap();
    let service = service_fn(|request: Request<Body>| {
        let good = request.headers().get(AUTHORIZATION).is_some_and(|header| header == "Bearer new");
        let answer = if good { reply(200, VOLUME) } else { reply(401, r#"{"kind":"Status","code":401}"#) };
        async move { Ok::<_, Infallible>(answer) }
    });
    let stack = Stack {
        transport: transport::wrap(service),
        gate: Gate::default(),
        token: Some(TokenFile::new(file.path().to_owned())),
        throttle: Throttle::new(Budget::UNLIMITED).unwrap(),
        purpose: Purpose::Work,
        user_agent: header("x"),
    };
    let client = kube::Client::new(stack, "default");
    assert_eq!(ErrorKind::of(&get(client.clone()).await.unwrap_err()), ErrorKind::Unauthorized);
    std::fs::write(file.path(), "new").unwrap();
    get(client).await.unwrap();
}

#[tokio::test]
async fn a_process_without_api_server_gets_no_client() {
    assert!(Connector::none().client(Budget::default(), Purpose::Work).is_err());
}
