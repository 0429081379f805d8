//! Rows "reconnect" and "callback": what happens when the driver dies, busy or idle.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use csi_client::csi::GetPluginInfoResponse;
use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, connect};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use crate::support::{Driver, Lines, Served};

struct Fixture {
    _directory: TempDir,
    path: PathBuf,
    driver: Served,
    connection: Connection,
}

fn named() -> Driver {
    Driver::fixed(&GetPluginInfoResponse { name: "driver".into(), ..Default::default() })
}

async fn connected(driver: Driver, on_loss: LossPolicy) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("csi.sock");
    let driver = Served::on(&path, driver);
    let options = ConnectOptions { on_loss, ..Default::default() };
    let connection = connect(path.to_str().unwrap(), options).await.unwrap();
    Fixture { _directory: directory, path, driver, connection }
}

async fn call(connection: &Connection) -> Result<(), Status> {
    let request = csi_client::csi::GetPluginInfoRequest {};
    connection.get_plugin_info(request, CallOptions::timeout(Duration::from_secs(60))).await.map(|_| ())
}

async fn fails_within_a_second(connection: &Connection) {
    let start = Instant::now();
    assert_eq!(call(connection).await.unwrap_err().code(), Code::Unavailable);
    assert!(start.elapsed() <= Duration::from_secs(1));
}

/// Calls until one reaches the driver, and returns how long that took.
async fn reached_again(connection: &Connection) -> Duration {
    let start = Instant::now();
    while call(connection).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "the driver is never reached again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    start.elapsed()
}

fn counting(answer: bool) -> (LossPolicy, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let calls = count.clone();
    let callback = Arc::new(move || {
        calls.fetch_add(1, Ordering::Relaxed);
        answer
    });
    (LossPolicy::Callback(callback), count)
}

async fn returns(path: &Path) -> Served {
    tokio::time::sleep(Duration::from_secs(20)).await;
    Served::on(path, named())
}

#[tokio::test(start_paused = true)]
async fn reconnect_default_server_stops() {
    let (lines, _guard) = Lines::record();
    let mut fixture = connected(named(), LossPolicy::Reconnect).await;
    fixture.driver.die().await;
    fails_within_a_second(&fixture.connection).await;
    let _driver = returns(&fixture.path).await;
    assert!(reached_again(&fixture.connection).await <= Duration::from_secs(5));
    assert_eq!(lines.all(), [format!("ERROR Lost connection address=unix://{}", fixture.path.display())]);
    timeout(Duration::from_secs(1), fixture.connection.reconnected()).await.unwrap();
    timeout(Duration::from_secs(1), fixture.connection.lost()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn callback_false_server_stops() {
    let (policy, count) = counting(false);
    let fixture = connected(named(), policy).await;
    fixture.driver.die().await;
    fails_within_a_second(&fixture.connection).await;
    let _driver = returns(&fixture.path).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let status = call(&fixture.connection).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("connection lost, reconnecting disabled"), "{status}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn callback_true_server_stops() {
    let (policy, count) = counting(true);
    let fixture = connected(named(), policy).await;
    fixture.driver.die().await;
    fails_within_a_second(&fixture.connection).await;
    let driver = returns(&fixture.path).await;
    assert!(reached_again(&fixture.connection).await <= Duration::from_secs(5));
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // A later loss asks again.
    driver.die().await;
    fails_within_a_second(&fixture.connection).await;
    let _driver = returns(&fixture.path).await;
    reached_again(&fixture.connection).await;
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

/// UPSTREAM-BUG: an idle sidecar did not notice that its driver had died before its next call.
#[tokio::test(start_paused = true)]
async fn a_dead_driver_is_noticed_while_idle() {
    let (lines, _guard) = Lines::record();
    let fixture = connected(named(), LossPolicy::Exit).await;
    timeout(Duration::from_secs(3600), fixture.connection.lost()).await.unwrap_err();
    let start = Instant::now();
    fixture.driver.die().await;
    timeout(Duration::from_secs(60), fixture.connection.lost()).await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(1));
    assert_eq!(lines.count("Lost connection"), 1);
    assert_eq!(call(&fixture.connection).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_when_the_driver_dies_is_unavailable() {
    let hanging = Driver::new(|_| std::future::pending());
    let fixture = connected(hanging, LossPolicy::Reconnect).await;
    let connection = fixture.connection.clone();
    let pending = tokio::spawn(async move { call(&connection).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!pending.is_finished());
    fixture.driver.die().await;
    let status = pending.await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "error reading from server: EOF"));
}
