//! Drivers that hang, at every place where one can.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use csi_client::csi::identity_server::{Identity, IdentityServer};
use csi_client::csi::{self, GetPluginInfoResponse};
use testkit::driver::Step;
use testkit::process::eventually;
use testkit::process::http::{Client, get};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status, async_trait};

use crate::pod::Pod;

/// A driver whose probes never end by themselves, and that knows how they ended.
#[derive(Clone, Default)]
struct Stuck {
    begun: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

struct Noticed(Arc<AtomicUsize>);

impl Drop for Noticed {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Identity for Stuck {
    async fn get_plugin_info(
        &self,
        _: Request<csi::GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(GetPluginInfoResponse { name: "stuck".to_owned(), ..Default::default() }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Result<Response<csi::GetPluginCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn probe(&self, _: Request<csi::ProbeRequest>) -> Result<Response<csi::ProbeResponse>, Status> {
        let _until_dropped = Noticed(Arc::clone(&self.cancelled));
        self.begun.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

impl Stuck {
    fn serve(&self, pod: &Pod) {
        let service = IdentityServer::new(self.clone());
        let _in_runtime = pod.runtime.enter();
        let listener = tokio::net::UnixListener::bind(pod.socket()).unwrap();
        let server = tonic::transport::Server::builder().add_service(service);
        pod.runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

#[test]
fn row_17_client_closes_the_http_request_early() {
    let (pod, stuck) = (Pod::new(), Stuck::default());
    stuck.serve(&pod);
    let (probe, port) = pod.start_listening(&["--probe-timeout=10m"]);
    probe.wait_for("\"CSI driver name\" driver=\"stuck\"");
    let mut first = Client::connect(port).unwrap();
    first.send("GET", "/healthz");
    eventually("a probe", || stuck.begun() == 1);
    let mut second = Client::connect(port).unwrap();
    second.send("GET", "/healthz");
    drop(first);
    drop(second);
    eventually("its cancellation", || stuck.cancelled() == 1);
    assert_eq!(stuck.begun(), 1);
    let mut third = Client::connect(port).unwrap();
    third.send("GET", "/healthz");
    eventually("a probe for who asks later", || stuck.begun() == 2);
}

#[test]
fn who_still_waits_keeps_the_probe_when_the_first_to_ask_hangs_up() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=30s"]);
    let before = pod.driver.count::<csi::ProbeRequest>();
    pod.driver.script::<csi::ProbeRequest>([Step::late(Duration::from_secs(1))]);
    let mut first = Client::connect(port).unwrap();
    first.send("GET", "/healthz");
    eventually("a probe", || pod.driver.count::<csi::ProbeRequest>() == before + 1);
    let mut second = Client::connect(port).unwrap();
    second.send("GET", "/healthz");
    drop(first);
    assert!(second.receive("GET").is(200, "ok"));
}

#[test]
fn a_driver_that_hangs_in_probe_is_unhealthy_for_as_long_as_it_does() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=300ms"]);
    pod.driver.always::<csi::ProbeRequest>(Step::Hang);
    for _ in 0..3 {
        let answer = get(port, "/healthz");
        let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
        assert!(answer.is(500, late), "{answer:?}");
    }
    pod.driver.behave();
    assert!(get(port, "/healthz").is(200, "ok"));
}

/// A stopped process: the kernel accepts, nobody answers.
#[test]
fn a_driver_that_does_not_accept_is_unhealthy() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&["--probe-timeout=1500ms"]);
    pod.driver.kill();
    std::fs::remove_file(pod.socket()).unwrap();
    let _silent = UnixListener::bind(pod.socket()).unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        assert!(get(port, "/healthz").is(500, "context deadline exceeded"));
        assert!(start.elapsed() >= Duration::from_millis(1400), "{:?}", start.elapsed());
    }
    assert_eq!(probe.lines("Failed to establish connection"), 1, "{}", probe.log());
}

/// A driver that is short of CPU may need longer than a second to accept; upstream gives every attempt one second,
/// so that such a driver never answers in time whatever the timeout is.
#[test]
fn a_driver_that_is_slow_to_accept_is_healthy() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=30s"]);
    let real = pod.socket().with_extension("real");
    std::fs::rename(pod.socket(), &real).unwrap();
    let _in_runtime = pod.runtime.enter();
    let front = tokio::net::UnixListener::bind(pod.socket()).unwrap();
    pod.runtime.spawn(async move {
        while let Ok((mut outside, _)) = front.accept().await {
            let real = real.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                let mut inside = tokio::net::UnixStream::connect(real).await.unwrap();
                // Ends with an error when the probe hangs up, as it does.
                let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    assert!(get(port, "/healthz").is(200, "ok"));
}

#[test]
fn no_grpc_server_at_the_socket() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=1500ms"]);
    pod.driver.kill();
    std::fs::remove_file(pod.socket()).unwrap();
    let listener = UnixListener::bind(pod.socket()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _hung_up = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert!(get(port, "/healthz").is(500, "context deadline exceeded"));
}

/// Upstream waits for ever for a driver that accepts but does not tell its name, even after it was restarted (13.3).
#[test]
fn a_driver_that_dies_while_it_is_asked_for_its_name_is_asked_again() {
    let pod = Pod::with_driver();
    pod.driver.script::<csi::GetPluginInfoRequest>([Step::Hang]);
    let (probe, port) = pod.start_listening(&[]);
    eventually("the question", || pod.driver.count::<csi::GetPluginInfoRequest>() == 1);
    assert!(get(port, "/healthz").is(500, "not connected to the CSI driver yet"));
    pod.driver.kill();
    probe.wait_for("\"Failed to get CSI driver name, trying again\"");
    pod.serve_driver();
    probe.wait_for("\"CSI driver name\" driver=\"x\"");
    eventually("health", || get(port, "/healthz").is(200, "ok"));
}

#[test]
fn a_driver_that_does_not_tell_its_name_is_asked_again() {
    let pod = Pod::with_driver();
    pod.driver.script::<csi::GetPluginInfoRequest>([Step::Hang, Step::fail(Code::Unavailable, "starting")]);
    let (probe, port) = pod.start_listening(&[]);
    probe.wait_for("\"CSI driver name\" driver=\"x\"");
    assert_eq!(pod.driver.count::<csi::GetPluginInfoRequest>(), 3);
    eventually("health", || get(port, "/healthz").is(200, "ok"));
}
