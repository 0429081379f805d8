//! The scripted driver, through the same connection that sidecars use.

use std::time::Duration;

use csi_client::csi::{self, volume_capability};
use csi_client::{CallOptions, ConnectOptions, Connection, ConnectionSettings, LossPolicy};
use testkit::driver::{ControllerCapability, Fact, ScriptedDriver, Step};
use tonic::Code;

fn wired() -> (ScriptedDriver, Connection) {
    let driver = ScriptedDriver::default();
    let connection = Connection::from_service(driver.service(), ConnectionSettings::default());
    (driver, connection)
}

fn create(name: &str) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        name: name.to_owned(),
        volume_capabilities: vec![csi::VolumeCapability {
            access_type: Some(
                volume_capability::AccessType::Mount(volume_capability::MountVolume::default()),
            ),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn ten_seconds() -> CallOptions {
    CallOptions::timeout(Duration::from_secs(10))
}

async fn make(connection: &Connection, name: &str) -> Result<String, Code> {
    let answer = connection.create_volume(create(name), ten_seconds()).await;
    answer.map(|answer| answer.volume.unwrap_or_default().volume_id).map_err(|status| status.code())
}

async fn remove(connection: &Connection, id: &str) -> Result<(), Code> {
    let request = csi::DeleteVolumeRequest { volume_id: id.to_owned(), ..Default::default() };
    connection.delete_volume(request, ten_seconds()).await.map(|_| ()).map_err(|status| status.code())
}

#[tokio::test(start_paused = true)]
async fn create_is_idempotent_by_name() {
    let (driver, connection) = wired();
    let first = make(&connection, "a").await.unwrap();
    assert_eq!(make(&connection, "a").await.unwrap(), first);
    assert_ne!(make(&connection, "b").await.unwrap(), first);
    let mut other = create("a");
    other.parameters.insert("k".to_owned(), "v".to_owned());
    let refused = connection.create_volume(other, ten_seconds()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(driver.volumes().len(), 2);
    assert_eq!(driver.count::<csi::CreateVolumeRequest>(), 4);
}

#[tokio::test(start_paused = true)]
async fn delete_of_nothing_is_ok_and_ids_are_never_reused() {
    let (driver, connection) = wired();
    let first = make(&connection, "a").await.unwrap();
    remove(&connection, &first).await.unwrap();
    remove(&connection, &first).await.unwrap();
    let second = make(&connection, "a").await.unwrap();
    assert_ne!(first, second);
    let facts = [
        Fact::VolumeCreated { name: "a".to_owned(), id: first.clone() },
        Fact::VolumeDeleted { id: first },
        Fact::VolumeCreated { name: "a".to_owned(), id: second },
    ];
    assert_eq!(driver.history(), facts);
}

#[tokio::test(start_paused = true)]
async fn scripts_speak_call_by_call() {
    let (driver, connection) = wired();
    driver.script::<csi::CreateVolumeRequest>([
        Step::fail(Code::Internal, "broken"),
        Step::FailAfter(Code::Unavailable, "lost".to_owned()),
        Step::Hang,
        Step::HangAfter,
        Step::edit(|answer: &mut csi::CreateVolumeResponse| answer.volume = None),
    ]);
    assert_eq!(make(&connection, "a").await, Err(Code::Internal));
    assert!(driver.volumes().is_empty());
    assert_eq!(make(&connection, "a").await, Err(Code::Unavailable));
    assert_eq!(driver.volumes().len(), 1);
    assert_eq!(make(&connection, "b").await, Err(Code::DeadlineExceeded));
    assert_eq!(driver.volumes().len(), 1);
    assert_eq!(make(&connection, "b").await, Err(Code::DeadlineExceeded));
    assert_eq!(driver.volumes().len(), 2);
    assert_eq!(make(&connection, "a").await, Ok(String::new()));
    assert_eq!(make(&connection, "a").await, Ok("vol-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn late_work_goes_on_without_its_caller_and_keeps_others_out() {
    let (driver, connection) = wired();
    driver.script::<csi::CreateVolumeRequest>([Step::late(Duration::from_secs(15))]);
    assert_eq!(make(&connection, "a").await, Err(Code::DeadlineExceeded));
    assert_eq!(make(&connection, "a").await, Err(Code::Aborted));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(driver.volumes().len(), 1);
    assert_eq!(make(&connection, "a").await, Ok("vol-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_driver_keeps_its_volumes() {
    let (driver, connection) = wired();
    make(&connection, "a").await.unwrap();
    driver.kill();
    assert_eq!(make(&connection, "a").await, Err(Code::Unavailable));
    driver.restart();
    assert_eq!(make(&connection, "a").await, Ok("vol-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_what_the_test_says() {
    let (driver, connection) = wired();
    driver.configure(|config| config.controller.push(ControllerCapability::CloneVolume));
    let found = connection.controller_capabilities(ten_seconds()).await.unwrap();
    assert!(found.has(ControllerCapability::CloneVolume));
    assert!(!found.has(ControllerCapability::ExpandVolume));
    assert_eq!(connection.driver_name(ten_seconds()).await.unwrap(), "driver.example");
}

#[tokio::test]
async fn a_socket_carries_the_same_driver() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csi.sock");
    let driver = ScriptedDriver::default();
    driver.serve_unix(&path).unwrap();
    let options = ConnectOptions { on_loss: LossPolicy::Exit, ..ConnectOptions::default() };
    let connection = csi_client::connect(path.to_str().unwrap(), options).await.expect("it listens");
    assert_eq!(make(&connection, "a").await, Ok("vol-1".to_owned()));
    driver.kill();
    tokio::time::timeout(Duration::from_secs(30), connection.lost()).await.expect("the loss is noticed");
    driver.serve_unix(&path).unwrap();
    let connection =
        csi_client::connect(path.to_str().unwrap(), ConnectOptions::default()).await.expect("it is back");
    assert_eq!(make(&connection, "a").await, Ok("vol-1".to_owned()));
}
