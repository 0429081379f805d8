//! Signals while a call is in flight, and as process 1 of a namespace, where signals without a handler do nothing.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use csi_client::{CallOptions, ConnectOptions, LossPolicy, connect};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{MIB, Place, create_request, eventually};

/// Kubernetes waits for 30 s before it kills.
const GRACE: Duration = Duration::from_secs(30);

/// A driver, maybe process 1 of a namespace; killed in the end if it still runs.
struct Driver {
    child: Child,
    pid: Pid,
}

impl Driver {
    fn start(place: &Place, first_process: bool) -> Self {
        let binary = env!("CARGO_BIN_EXE_hostpathplugin");
        let mut command = Command::new(if first_process { "unshare" } else { binary });
        if first_process {
            command.args(["--pid", "--fork", "--kill-child", binary]);
        }
        let child = command
            .arg(format!("--statedir={}", place.state_dir().display()))
            .arg(format!("--endpoint=unix://{}", place.text("csi.sock")))
            .arg("--nodeid=node-1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("socket", || std::os::unix::net::UnixStream::connect(place.path("csi.sock")).is_ok());
        let pid = if first_process { only_child(child.id()) } else { Pid::from_child(&child) };
        Self { child, pid }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn only_child(of: u32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    Pid::from_raw(children.trim().parse().unwrap()).unwrap()
}

/// A call that the driver has begun to read: its headers are there, its message is not.
struct Begun {
    let_go: tokio::sync::oneshot::Sender<()>,
    answer: tokio::task::JoinHandle<Result<csi_client::csi::CreateVolumeResponse, tonic::Status>>,
}

async fn begin(place: &Place) -> Begun {
    let channel = tonic::transport::Endpoint::try_from(format!("unix://{}", place.text("csi.sock")))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (let_go, release) = tokio::sync::oneshot::channel();
    let messages = futures::stream::once(async {
        // Asked for the message only once the headers are on their way.
        started.send(()).unwrap();
        let _sender_gone: Result<(), _> = release.await;
        create_request("slow", MIB, false)
    });
    let path = "/csi.v1.Controller/CreateVolume".parse().unwrap();
    let codec = tonic_prost::ProstCodec::default();
    let answer = tokio::spawn(async move {
        let request = tonic::Request::new(messages);
        client.client_streaming(request, path, codec).await.map(tonic::Response::into_inner)
    });
    has_started.await.unwrap();
    // A whole call on another connection takes longer than those headers.
    let options = ConnectOptions { on_loss: LossPolicy::Reconnect, ..ConnectOptions::default() };
    let connection = connect(&place.text("csi.sock"), options).await.unwrap();
    connection.driver_name(CallOptions::timeout(Duration::from_secs(20))).await.unwrap();
    Begun { let_go, answer }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_1_ends_at_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut driver = Driver::start(&place, true);
        driver.signal(signal);
        assert_eq!(driver.code(), Some(0), "{signal:?}");
        assert!(!place.path("csi.sock").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_is_finished() {
    for (signal, first_process) in [(Signal::TERM, false), (Signal::INT, false), (Signal::TERM, true)] {
        let place = Place::new();
        let mut driver = Driver::start(&place, first_process);
        let begun = begin(&place).await;
        let signalled = Instant::now();
        driver.signal(signal);
        eventually("it no longer listens", || {
            std::os::unix::net::UnixStream::connect(place.path("csi.sock")).is_err()
        });
        begun.let_go.send(()).unwrap();
        let made = begun.answer.await.unwrap().unwrap();
        assert_eq!(driver.code(), Some(0), "{signal:?} {first_process}");
        assert!(signalled.elapsed() < GRACE);
        assert_eq!(place.data(), [made.volume.unwrap().volume_id], "made, recorded and answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let mut driver = Driver::start(&place, false);
    let begun = begin(&place).await;
    driver.signal(Signal::TERM);
    eventually("it no longer listens", || {
        std::os::unix::net::UnixStream::connect(place.path("csi.sock")).is_err()
    });
    let second = Instant::now();
    driver.signal(Signal::TERM);
    assert_eq!(driver.code(), Some(1));
    assert!(second.elapsed() < Duration::from_secs(5), "well before the grace period is over");
    begun.answer.await.unwrap().unwrap_err();
    drop(Driver::start(&place, false));
    assert_eq!(place.data(), Vec::<String>::new(), "nothing half-made");
}
