//! The binary as a process of its own; if it writes a termination log, with a `/dev` of its own, so that this is not the
//! machine's.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a condition may take before the test fails; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What is to be started.
pub struct Launch {
    binary: OsString,
    works: &'static str,
    /// Its command line.
    pub flags: Vec<String>,
    /// Its environment, besides PATH.
    pub environment: Vec<(String, String)>,
    /// Whether it becomes process 1 of a namespace, as in a container.
    pub first_process: bool,
    own_devices: bool,
}

impl Launch {
    /// A binary that logs `works` when it begins to work.
    pub fn new(binary: &str, works: &'static str, flags: impl IntoIterator<Item = String>) -> Self {
        Self { works, own_devices: true, ..Self::plain(binary, flags) }
    }

    /// A binary as it is started by anybody, without rights of its own; its last words are not looked at.
    pub fn plain(binary: &str, flags: impl IntoIterator<Item = String>) -> Self {
        Self {
            binary: binary.into(),
            works: "",
            flags: flags.into_iter().collect(),
            environment: Vec::new(),
            first_process: false,
            own_devices: false,
        }
    }

    /// Appends to the command line.
    #[must_use]
    pub fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Leaves out a flag that is right.
    pub fn without(&mut self, flag: &str) {
        self.flags.retain(|given| !given.starts_with(flag));
    }

    /// Starts it.
    pub fn start(self) -> Program {
        let devices = tempfile::tempdir().unwrap();
        let mut command = self.command(devices.path());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(&self.flags)
            .env_clear()
            .env("PATH", path)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
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
        let mut stdout = child.stdout.take().unwrap();
        let printer = std::thread::spawn(move || {
            let mut output = String::new();
            stdout.read_to_string(&mut output).map(|_| output)
        });
        Program {
            child,
            log,
            reader: Some(reader),
            printer: Some(printer),
            devices,
            works: self.works,
            first_process: self.first_process,
            started: Instant::now(),
        }
    }

    fn command(&self, devices: &Path) -> Command {
        if !self.own_devices {
            return Command::new(&self.binary);
        }
        let script = r#"mount --bind "$0" /dev && exec "$@""#;
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if self.first_process {
            command.args(["--pid", "--fork", "--kill-child"]);
        }
        command.args(["sh", "-c", script]).arg(devices).arg(&self.binary);
        command
    }
}

/// A running process; killed when dropped.
pub struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    printer: Option<JoinHandle<std::io::Result<String>>>,
    devices: tempfile::TempDir,
    works: &'static str,
    first_process: bool,
    started: Instant,
}

/// How a process ended.
#[derive(Debug)]
pub struct End {
    /// The exit code, or 128 and the number of the signal.
    pub code: i32,
    /// All that it said, on stderr.
    pub log: String,
    /// All that it printed, on stdout.
    pub output: String,
    /// What kubelet would find in the termination log.
    pub last_words: String,
    /// From its start.
    pub took: Duration,
}

impl Program {
    /// Its number; that of what started it, if it is process 1 of a namespace.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// How many lines of the log have this text.
    pub fn lines(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until the log has the text.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until the log has the text so often.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < times {
            assert!(Instant::now() < deadline, "waited in vain for {text:?} in the log:\n{}", self.log());
            pause();
        }
    }

    /// Waits until it does its work.
    pub fn works(&self) {
        self.wait_for(self.works);
    }

    /// Sends a signal, such as `-TERM`.
    pub fn signal(&self, name: &str) {
        let pid = if self.first_process { self.child_of_unshare() } else { self.id().to_string() };
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    fn child_of_unshare(&self) -> String {
        let id = self.id();
        let children = content(format!("/proc/{id}/task/{id}/children").as_ref());
        children.split_whitespace().next().expect("unshare has a child").to_owned()
    }

    /// Waits for the end.
    pub fn end(mut self) -> End {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            pause();
        };
        let took = self.started.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let printer = self.printer.take().expect("it ends once");
        End {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap()),
            log: self.log(),
            output: printer.join().unwrap().unwrap(),
            last_words: content(&self.devices.path().join("termination-log")),
            took,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        pause();
    }
}

/// A pause between two looks at a condition.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What the file at `path` has, if it can be read and is text.
pub fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Exit code, stdout and stderr of a binary with one argument, on which it does not work.
pub fn printed(binary: &str, argument: &str) -> (Option<i32>, String, String) {
    let output = Command::new(binary).arg(argument).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
