//! The real binary beside a scripted driver, as in a pod.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::driver::{DriverConfig, ScriptedDriver};

use crate::http;

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory for the socket, and a driver; the probe is started by each test with its own flags.
pub(crate) struct Pod {
    directory: tempfile::TempDir,
    pub(crate) driver: ScriptedDriver,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Pod {
    /// A pod in which the driver `x` is about to serve.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let driver = ScriptedDriver::new(DriverConfig { name: "x".to_owned(), ..DriverConfig::default() });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        Self { directory, driver, runtime }
    }

    /// The same, with the driver serving already.
    pub(crate) fn with_driver() -> Self {
        let pod = Self::new();
        pod.serve_driver();
        pod
    }

    /// Lets the driver listen.
    pub(crate) fn serve_driver(&self) {
        let _in_runtime = self.runtime.enter();
        self.driver.serve_unix(&self.socket()).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("csi.sock")
    }

    /// Starts the probe at this pod's driver.
    pub(crate) fn start(&self, flags: &[&str]) -> Probe {
        let address = format!("--csi-address={}", self.socket().display());
        Probe::run(&[&[address.as_str()], flags].concat())
    }

    /// Starts it on a free port and waits until it probes; gives the port.
    pub(crate) fn start_probing(&self, flags: &[&str]) -> (Probe, u16) {
        let (probe, port) = self.start_listening(flags);
        // The line about the name comes just before probes are made.
        eventually("probes", || !http::get(port, "/healthz").body.contains("not connected"));
        (probe, port)
    }

    /// Starts it on a free port and waits until it listens, whether there is a driver or not.
    pub(crate) fn start_listening(&self, flags: &[&str]) -> (Probe, u16) {
        let port = free_port();
        let endpoint = format!("--http-endpoint=127.0.0.1:{port}");
        let probe = self.start(&[&[endpoint.as_str()], flags].concat());
        probe.wait_for("ServeMux listening");
        (probe, port)
    }
}

/// A running probe; killed when dropped.
pub(crate) struct Probe {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    started: Instant,
}

impl Probe {
    pub(crate) fn run(flags: &[&str]) -> Self {
        Self::run_with(flags, &[])
    }

    pub(crate) fn run_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_livenessprobe"))
            .args(flags)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, reader: Some(reader), started: Instant::now() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// How many lines have this text.
    pub(crate) fn lines(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} in the log:\n{}", self.log()), || self.log().contains(text));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; returns the exit code (128 + number for a signal), the log and the time it took.
    pub(crate) fn end(mut self) -> End {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            poll_pause();
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        End { code: code(status), log: self.log(), output, took: self.started.elapsed() }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// How a probe ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) log: String,
    pub(crate) output: String,
    pub(crate) took: Duration,
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        poll_pause();
    }
}

/// A pause between two looks at a condition.
fn poll_pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
