//! The real binary beside a scripted driver, in directories of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::driver::{DriverConfig, ScriptedDriver};

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(45);

/// Directories and a driver; the registrar is started by each test with its own flags.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    pub(crate) driver: ScriptedDriver,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    /// A node on which the driver `x` is about to serve.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("registration")).unwrap();
        let driver = ScriptedDriver::new(DriverConfig { name: "x".to_owned(), ..DriverConfig::default() });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        Self { directory, driver, runtime }
    }

    /// The same, with the driver serving already.
    pub(crate) fn with_driver() -> Self {
        let node = Self::new();
        node.serve_driver();
        node
    }

    /// Lets the driver listen.
    pub(crate) fn serve_driver(&self) {
        let _in_runtime = self.runtime.enter();
        self.driver.serve_unix(&self.driver_socket()).unwrap();
    }

    pub(crate) fn driver_socket(&self) -> PathBuf {
        self.directory.path().join("csi.sock")
    }

    pub(crate) fn registration_directory(&self) -> PathBuf {
        self.directory.path().join("registration")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.registration_directory().join("x-reg.sock")
    }

    /// Starts the registrar with the flags every manifest has, and `more`.
    pub(crate) fn start(&self, more: &[&str]) -> Registrar {
        let mut flags = vec![
            format!("--csi-address={}", self.driver_socket().display()),
            "--kubelet-registration-path=/var/lib/kubelet/plugins/x/csi.sock".to_owned(),
            format!("--plugin-registration-path={}", self.registration_directory().display()),
        ];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        Registrar::run(&flags)
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start_serving(&self, more: &[&str]) -> Registrar {
        let registrar = self.start(more);
        registrar.wait_for("Registration Server started");
        registrar
    }
}

/// A running registrar; killed when dropped.
pub(crate) struct Registrar {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    started: Instant,
}

impl Registrar {
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(flags: &[S]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_csi-node-driver-registrar"))
            .args(flags)
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

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} in the log:\n{}", self.log()), || self.log().contains(text));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
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

impl Drop for Registrar {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// How a registrar ended.
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

/// One HTTP request without any library that could hide something: status and body.
pub(crate) fn http(method: &str, port: u16, path: &str) -> (u16, String) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether the path is a socket with exactly this mode.
pub(crate) fn is_socket_with_mode(path: &Path, mode: u32) -> bool {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let metadata = std::fs::metadata(path).unwrap();
    metadata.file_type().is_socket() && metadata.permissions().mode() & 0o7777 == mode
}
