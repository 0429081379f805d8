//! The program itself: exit codes, signals, kill -9, the socket.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use csi_client::csi;
use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, connect};
use csi_driver_kit::loop_device;
use rustix::process::{Pid, Signal, kill_process};
use testkit::grpc_go;

use crate::support::{MIB, Place, create_request, eventually, publish_request};

/// A running driver; killed in the end if it still runs.
struct Driver(Child);

impl Driver {
    fn start(place: &Place, flags: &[&str]) -> Self {
        let child = command(place).args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let driver = Self(child);
        eventually("socket", || std::os::unix::net::UnixStream::connect(socket(place)).is_ok());
        driver
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(place: &Place) -> PathBuf {
    place.path("csi.sock")
}

fn command(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostpathplugin"));
    command
        .arg(format!("--statedir={}", place.state_dir().display()))
        .arg(format!("--endpoint=unix://{}", socket(place).display()))
        .arg("--nodeid=node-1");
    command
}

/// Runs a driver that is expected to end by itself.
fn run(place: &Place, flags: &[&str]) -> Output {
    command(place).args(flags).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn dial(place: &Place) -> Connection {
    let options = ConnectOptions {
        timeout: Some(Duration::from_secs(20)),
        on_loss: LossPolicy::Reconnect,
        ..ConnectOptions::default()
    };
    connect(socket(place).to_str().unwrap(), options).await.unwrap()
}

fn options() -> CallOptions {
    CallOptions::timeout(Duration::from_secs(20))
}

#[test]
fn version_and_mistakes() {
    let place = Place::new();
    let version = run(&place, &["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(stdout(&version).starts_with("hostpathplugin v"), "{version:?}");
    assert!(!place.state_dir().exists(), "nothing is touched");
    assert_eq!(run(&place, &["--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&place, &["--enable-topology=maybe"]).status.code(), Some(2));
    for (flag, text) in [
        ("--nodeid=", "Failed to initialize driver: no node id provided"),
        ("--drivername=", "Failed to initialize driver: no driver name provided"),
        ("--endpoint=", "Failed to initialize driver: no driver endpoint provided"),
        ("--endpoint=unix://", "Failed to initialize driver: Invalid endpoint: unix://"),
        (
            "--snapshot-metadata-block-type=UNKNOWN",
            "Failed to initialize driver: invalid --snapshot-metadata",
        ),
        ("--statedir=/proc/no", "Failed to initialize driver: create directory /proc/no"),
    ] {
        let output = run(&place, &[flag]);
        assert_eq!(output.status.code(), Some(1), "{flag}");
        assert!(stdout(&output).starts_with(text), "{flag}: {output:?}");
    }
    assert_eq!(run(&place, &["--capacity=fast"]).status.code(), Some(2));
}

#[test]
fn a_damaged_state_file_ends_the_start_with_1_and_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.state_dir()).unwrap();
    let file = place.state_dir().join("state.json");
    std::fs::write(&file, "{\"Volumes\":[{").unwrap();
    let output = run(&place, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains(file.to_str().unwrap()) && text.contains("Restore it from a backup"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"Volumes\":[{");
}

#[test]
fn a_second_process_is_told_who_is_in_the_way() {
    let place = Place::new();
    let _first = Driver::start(&place, &[]);
    let second = run(&place, &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stdout(&second).contains("in use by another process"), "{second:?}");
    let elsewhere = format!("--statedir={}", place.path("other").display());
    let third = run(&place, &[&elsewhere]);
    assert_eq!(third.status.code(), Some(255), "the socket is live");
    assert!(String::from_utf8_lossy(&third.stderr).contains("in use by another process"), "{third:?}");
    assert!(socket(&place).exists());
}

/// Sheet 12.14, csi-proto 14.6: grpc-go sends the socket's path, percent-encoded or not, when nobody names an authority.
#[test]
fn a_path_like_authority_is_accepted() {
    let place = Place::new();
    let _driver = Driver::start(&place, &[]);
    let path = socket(&place);
    for authority in [grpc_go::authority_of(&path).as_str(), path.to_str().unwrap(), "localhost"] {
        let method = "/csi.v1.Identity/GetPluginInfo";
        let info = grpc_go::call(&path, authority, method, &csi::GetPluginInfoRequest {});
        let info: csi::GetPluginInfoResponse = info.unwrap_or_else(|error| panic!("{authority}: {error:#}"));
        assert_eq!(info.name, "hostpath.csi.k8s.io", "{authority}");
    }
}

#[test]
fn every_signal_to_stop_ends_with_0_and_without_a_socket() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let place = Place::new();
        let mut driver = Driver::start(&place, &[]);
        driver.signal(signal);
        assert_eq!(driver.wait().code(), Some(0), "{signal:?}");
        assert!(!socket(&place).exists());
    }
}

/// The state file is what upstream's driver would go on with.
#[tokio::test]
async fn a_stopped_driver_leaves_nothing_in_the_journal_and_a_killed_one_loses_nothing() {
    let place = Place::new();
    for (signal, names) in [(Signal::TERM, 1), (Signal::KILL, 1), (Signal::TERM, 3)] {
        let mut driver = Driver::start(&place, &[]);
        let request = create_request(&format!("{signal:?}-{names}"), MIB, false);
        dial(&place).await.create_volume(request, options()).await.unwrap();
        driver.signal(signal);
        driver.wait();
        assert_eq!(recorded(&place).len(), names, "in state.json after {signal:?}");
    }
}

#[tokio::test]
async fn log_lines_have_upstreams_form_and_no_secret() {
    let place = Place::new();
    let mut driver = Driver::start(&place, &["--v=5"]);
    let connection = dial(&place).await;
    let mut request = create_request("v", MIB, false);
    request.secrets.insert("user".into(), "hunter2".into());
    connection.create_volume(request, options()).await.unwrap();
    connection.delete_volume(csi::DeleteVolumeRequest::default(), options()).await.unwrap_err();
    driver.signal(Signal::TERM);
    driver.wait();
    let mut log = String::new();
    std::io::Read::read_to_string(driver.0.stderr.as_mut().unwrap(), &mut log).unwrap();
    for text in [
        "] GRPC call: /csi.v1.Controller/CreateVolume\n",
        "] GRPC request: {\"capacity_range\":{\"required_bytes\":1048576},\"name\":\"v\",\"secrets\":\"***stripped***\"",
        "] GRPC response: {\"volume\":{",
        "] gRPCCall: {\"Method\":\"/csi.v1.Controller/CreateVolume\",\"Request\":{",
        "] GRPC error: rpc error: code = InvalidArgument desc = Volume ID missing in request\n",
    ] {
        assert!(log.contains(text), "{text} not in:\n{log}");
    }
    assert!(!log.contains("hunter2"));
}

/// One caller that makes, publishes and deletes volumes without a pause, and knows what was acknowledged.
#[derive(Default)]
struct Caller {
    exists: std::collections::BTreeSet<String>,
    /// Asked for or being deleted when the driver died: may be there or not.
    unknown: std::collections::BTreeSet<String>,
}

impl Caller {
    async fn work(&mut self, place: &Place, connection: &Connection, block: bool, round: u32) -> Option<()> {
        for number in 0.. {
            let name = format!("{block}-{round}-{number}");
            self.unknown.insert(name.clone());
            let request = create_request(&name, MIB, block);
            let answer = connection.create_volume(request, options()).await.ok()?;
            let id = answer.volume?.volume_id;
            self.unknown.remove(&name);
            self.exists.insert(name.clone());
            let target = format!("target-{name}");
            let publish = publish_request(place, &id, &target, block);
            let stage = csi::NodeStageVolumeRequest {
                volume_id: id.clone(),
                staging_target_path: place.text("staging"),
                volume_capability: publish.volume_capability.clone(),
                ..csi::NodeStageVolumeRequest::default()
            };
            connection.node_stage_volume(stage, options()).await.ok()?;
            connection.node_publish_volume(publish, options()).await.ok()?;
            let unpublish =
                csi::NodeUnpublishVolumeRequest { volume_id: id.clone(), target_path: place.text(&target) };
            connection.node_unpublish_volume(unpublish, options()).await.ok()?;
            if number % 3 != 0 {
                self.exists.remove(&name);
                self.unknown.insert(name.clone());
                let request =
                    csi::DeleteVolumeRequest { volume_id: id, ..csi::DeleteVolumeRequest::default() };
                connection.delete_volume(request, options()).await.ok()?;
                self.unknown.remove(&name);
            }
        }
        None
    }
}

/// Names in the state file, and handles.
fn recorded(place: &Place) -> Vec<(String, String)> {
    let content = std::fs::read(place.state_dir().join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let text = |volume: &serde_json::Value, key: &str| volume[key].as_str().unwrap().to_owned();
    let volumes = state["Volumes"].as_array().unwrap();
    volumes.iter().map(|volume| (text(volume, "VolName"), text(volume, "VolID"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_moment_loses_nothing_and_leaves_nothing() {
    let rounds: u32 = std::env::var("HOSTPATH_KILLS").map_or(12, |text| text.parse().unwrap());
    let place = Place::new();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut directories, mut blocks) = (Caller::default(), Caller::default());
    for round in 0..rounds {
        let mut driver = Driver::start(&place, &[]);
        let connection = dial(&place).await;
        let death = async {
            tokio::time::sleep(Duration::from_micros(random.u64(0..60_000))).await;
            driver.signal(Signal::KILL);
            driver.wait()
        };
        let work = futures::future::join(
            directories.work(&place, &connection, false, round),
            blocks.work(&place, &connection, true, round),
        );
        let (_, status) = futures::future::join(work, death).await;
        assert_eq!(status.signal(), Some(9));
        check_after_kill(&place, &directories, &blocks).await;
    }
}

async fn check_after_kill(place: &Place, directories: &Caller, blocks: &Caller) {
    let mut driver = Driver::start(place, &[]);
    let volumes = recorded(place);
    let names: std::collections::BTreeSet<_> = volumes.iter().map(|(name, _)| name.clone()).collect();
    for caller in [directories, blocks] {
        let lost: Vec<_> = caller.exists.difference(&names).collect();
        assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    }
    for name in &names {
        let known = [directories, blocks].iter().any(|c| c.exists.contains(name) || c.unknown.contains(name));
        assert!(known, "{name} was deleted, and is there again");
    }
    let mut ids: Vec<_> = volumes.iter().map(|(_, id)| id.clone()).collect();
    ids.sort();
    assert_eq!(place.data(), ids, "data and record");
    let connection = dial(place).await;
    for (name, id) in &volumes {
        let target = place.text(&format!("target-{name}"));
        let request = csi::NodeUnpublishVolumeRequest { volume_id: id.clone(), target_path: target.clone() };
        connection.node_unpublish_volume(request, options()).await.unwrap();
        assert!(!std::path::Path::new(&target).exists());
        eventually("loop devices unbound", || {
            loop_device::find(&place.state_dir().join(id)).unwrap().is_empty()
        });
    }
    place.assert_clean();
    driver.signal(Signal::TERM);
    assert_eq!(driver.wait().code(), Some(0));
}
