use std::path::PathBuf;
use std::sync::Arc;

use csi_client::csi;
use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, connect};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::driver::{Answer, Controller, GroupController, Identity, Node, PluginInfo};
use crate::service::Settings;

/// A driver whose only call waits until it is told to go on.
#[derive(Default)]
struct Slow {
    entered: Notify,
    go_on: Notify,
}

impl Identity for Slow {
    fn plugin_info(&self) -> PluginInfo {
        PluginInfo { name: "slow".into(), version: "1".into(), ..PluginInfo::default() }
    }
}

impl Controller for Slow {}

impl Node for Slow {
    async fn node_unpublish_volume(
        &self,
        _: csi::NodeUnpublishVolumeRequest,
    ) -> Answer<csi::NodeUnpublishVolumeResponse> {
        self.entered.notify_one();
        self.go_on.notified().await;
        Ok(csi::NodeUnpublishVolumeResponse {})
    }
}

impl GroupController for Slow {}

struct Served {
    driver: Arc<Slow>,
    path: PathBuf,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<bool, ServeError>>,
    _directory: tempfile::TempDir,
}

impl Served {
    async fn start(grace: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("csi.sock");
        let driver = Arc::new(Slow::default());
        let listener = Listener::bind(&Endpoint::Unix(path.clone())).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let service = Service::new(driver.clone(), Settings::default());
        let ended = tokio::spawn(async move {
            let stop = async { stopped.await.unwrap_or_default() };
            listener.serve(service, stop, grace).await
        });
        Self { driver, path, stop, ended, _directory: directory }
    }

    async fn dial(&self) -> Connection {
        let options = ConnectOptions { on_loss: LossPolicy::Reconnect, ..ConnectOptions::default() };
        connect(self.path.to_str().unwrap(), options).await.unwrap()
    }
}

fn call(connection: Connection) -> JoinHandle<Result<csi::NodeUnpublishVolumeResponse, tonic::Status>> {
    let request = csi::NodeUnpublishVolumeRequest { volume_id: "v".into(), target_path: "/t".into() };
    tokio::spawn(async move { connection.node_unpublish_volume(request, CallOptions::default()).await })
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_running_call_is_finished_before_the_end() {
    let served = Served::start(LONG).await;
    let running = call(served.dial().await);
    served.driver.entered.notified().await;
    served.stop.send(()).unwrap();
    tokio::task::yield_now().await;
    assert!(!served.ended.is_finished());
    served.driver.go_on.notify_one();
    running.await.unwrap().unwrap();
    assert!(served.ended.await.unwrap().unwrap());
    assert!(!served.path.exists());
}

#[tokio::test]
async fn a_caller_that_hangs_does_not_hold_up_the_end() {
    let served = Served::start(LONG).await;
    let _hanging = std::os::unix::net::UnixStream::connect(&served.path).unwrap();
    let begun = tokio::time::Instant::now();
    served.stop.send(()).unwrap();
    assert!(served.ended.await.unwrap().unwrap());
    assert!(begun.elapsed() < LONG / 2);
    assert!(!served.path.exists());
}

#[tokio::test]
async fn a_call_that_does_not_end_is_given_up_after_the_grace_period() {
    let served = Served::start(Duration::from_millis(50)).await;
    let running = call(served.dial().await);
    served.driver.entered.notified().await;
    served.stop.send(()).unwrap();
    assert!(!served.ended.await.unwrap().unwrap());
    assert!(!served.path.exists());
    running.abort();
}

#[tokio::test]
async fn calls_of_a_driver_that_has_only_what_it_wrote() {
    let served = Served::start(LONG).await;
    let connection = served.dial().await;
    let info =
        connection.get_plugin_info(csi::GetPluginInfoRequest {}, CallOptions::default()).await.unwrap();
    assert_eq!(info.name, "slow");
    let request = csi::CreateVolumeRequest::default();
    let refused = connection.create_volume(request, CallOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    let empty = csi::NodePublishVolumeRequest::default();
    let refused = connection.node_publish_volume(empty, CallOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_second_call_for_one_volume_is_aborted() {
    let served = Served::start(LONG).await;
    let connection = served.dial().await;
    let first = call(connection.clone());
    served.driver.entered.notified().await;
    let second = call(connection.clone()).await.unwrap().unwrap_err();
    assert_eq!(second.code(), tonic::Code::Aborted);
    served.driver.go_on.notify_one();
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn tcp_endpoints_listen_on_every_address() {
    let listener = Listener::bind(&Endpoint::Tcp(":0".into())).await.unwrap();
    let port = listener.tcp_address().unwrap().port();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let refused = Listener::bind(&Endpoint::Tcp("no such host:1".into())).await.unwrap_err();
    assert!(refused.to_string().starts_with("listen on tcp://no such host:1:"), "{refused}");
}
