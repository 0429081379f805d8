//! The real binary beside a scripted driver, in directories of its own.

use std::path::{Path, PathBuf};

use testkit::driver::{DriverConfig, ScriptedDriver};
use testkit::process::{Launch, Program, http};

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
    pub(crate) fn start(&self, more: &[&str]) -> Program {
        let mut flags = vec![
            format!("--csi-address={}", self.driver_socket().display()),
            "--kubelet-registration-path=/var/lib/kubelet/plugins/x/csi.sock".to_owned(),
            format!("--plugin-registration-path={}", self.registration_directory().display()),
        ];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        launch(flags).start()
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start_serving(&self, more: &[&str]) -> Program {
        let registrar = self.start(more);
        registrar.wait_for("Registration Server started");
        registrar
    }
}

/// A registrar with these flags and no others.
pub(crate) fn launch(flags: impl IntoIterator<Item = String>) -> Launch {
    Launch::plain(env!("CARGO_BIN_EXE_csi-node-driver-registrar"), flags)
}

/// One HTTP request: status and body.
pub(crate) fn ask(method: &str, port: u16, path: &str) -> (u16, String) {
    let answer = http::ask(method, port, path);
    (answer.status, answer.body)
}

/// Whether the path is a socket with exactly this mode.
pub(crate) fn is_socket_with_mode(path: &Path, mode: u32) -> bool {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let metadata = std::fs::metadata(path).unwrap();
    metadata.file_type().is_socket() && metadata.permissions().mode() & 0o7777 == mode
}
