//! What goes over the wire: deadlines, limits, the authority.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use csi_client::{CallOptions, ConnectOptions, Connection, ConnectionSettings, connect, csi};
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::support::{Call, Driver, Served};

fn soon() -> CallOptions {
    CallOptions::timeout(Duration::from_secs(10))
}

/// The same driver behind a socket and in process.
async fn both(driver: Driver, max_receive_bytes: usize) -> (tempfile::TempDir, Served, [Connection; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("csi.sock");
    let served = Served::on(&path, driver.clone());
    let options = ConnectOptions { max_receive_bytes, ..Default::default() };
    let socket = connect(path.to_str().unwrap(), options).await.unwrap();
    let settings = ConnectionSettings { max_receive_bytes, ..Default::default() };
    (directory, served, [socket, Connection::from_service(driver, settings)])
}

#[tokio::test(start_paused = true)]
async fn own_deadlines_surface_as_deadline_exceeded() {
    let (_directory, _served, connections) = both(Driver::new(|_| std::future::pending()), 1 << 20).await;
    for connection in connections {
        let start = Instant::now();
        let status = connection.probe(csi::ProbeRequest {}, soon()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "context deadline exceeded"));
        assert_eq!(start.elapsed().as_secs(), 10);
        let at_once = CallOptions::timeout(Duration::ZERO);
        assert_eq!(
            connection.probe(csi::ProbeRequest {}, at_once).await.unwrap_err().code(),
            Code::DeadlineExceeded
        );
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_sees_the_deadline_the_method_and_localhost_as_authority() {
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let seen = calls.clone();
    let driver = Driver::new(move |call| {
        seen.lock().unwrap().push(call);
        std::future::ready(Ok(Vec::new()))
    });
    let (_directory, _served, connections) = both(driver, 1 << 20).await;
    for connection in connections {
        let request = csi::DeleteVolumeRequest { volume_id: "v".into(), ..Default::default() };
        connection.delete_volume(request, soon()).await.unwrap();
    }
    for call in calls.lock().unwrap().drain(..) {
        assert_eq!(call.path, "/csi.v1.Controller/DeleteVolume");
        assert_eq!(call.authority, "localhost");
        assert_eq!(csi::DeleteVolumeRequest::decode(call.message).unwrap().volume_id, "v");
        assert_eq!(call.headers["grpc-timeout"], "10000000u");
    }
}

#[tokio::test]
async fn answers_over_4_mib_are_received() {
    let entry = csi::list_volumes_response::Entry {
        volume: Some(csi::Volume { volume_id: "v".repeat(5 << 20), ..Default::default() }),
        status: None,
    };
    let response = csi::ListVolumesResponse { entries: vec![entry], ..Default::default() };
    let (_directory, _served, connections) = both(Driver::fixed(&response), 64 << 20).await;
    for connection in connections {
        let answer =
            connection.list_volumes(csi::ListVolumesRequest::default(), CallOptions::default()).await;
        assert_eq!(answer.unwrap(), response);
    }
    let (_directory, _served, connections) = both(Driver::fixed(&response), 4 << 20).await;
    for connection in connections {
        let answer =
            connection.list_volumes(csi::ListVolumesRequest::default(), CallOptions::default()).await;
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("grpc: received message larger than max ("), "{status}");
    }
}

#[tokio::test]
async fn long_error_messages_of_a_driver_arrive_whole() {
    let text = "x".repeat(100_000);
    let (_directory, _served, connections) = both(Driver::failing(Status::internal(&text)), 1 << 20).await;
    for connection in connections {
        let status = connection.probe(csi::ProbeRequest {}, CallOptions::default()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, &*text));
    }
}

#[tokio::test]
async fn malformed_status_details_do_no_harm() {
    let mut status = Status::aborted("busy");
    status.metadata_mut().insert("x-raw-details", "%%%".parse().unwrap());
    let driver = Driver::failing(status);
    let (_directory, _served, [socket, _]) = both(driver, 1 << 20).await;
    let status = socket.probe(csi::ProbeRequest {}, CallOptions::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message(), status.details()), (Code::Aborted, "busy", &[][..]));
}

#[tokio::test]
async fn calls_can_be_made_from_spawned_tasks() {
    let connection = Driver::fixed(&csi::ProbeResponse::default()).connection();
    let call = async move { connection.probe(csi::ProbeRequest {}, CallOptions::default()).await };
    tokio::spawn(call).await.unwrap().unwrap();
}

#[tokio::test]
async fn snapshot_metadata_arrives_as_a_stream() {
    let response = csi::GetMetadataAllocatedResponse { volume_capacity_bytes: 7, ..Default::default() };
    let (_directory, _served, connections) = both(Driver::fixed(&response), 1 << 20).await;
    for connection in connections {
        let request = csi::GetMetadataAllocatedRequest::default();
        let mut stream = connection.get_metadata_allocated(request, CallOptions::default()).await.unwrap();
        assert_eq!(stream.message().await.unwrap(), Some(response.clone()));
        assert_eq!(stream.message().await.unwrap(), None);
    }
}
