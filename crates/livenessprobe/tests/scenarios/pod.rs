//! The real binary beside a scripted driver, as in a pod.

use std::path::PathBuf;

use testkit::driver::{DriverConfig, ScriptedDriver};
use testkit::process::{Launch, Program, eventually, free_port, http};

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
    pub(crate) fn start(&self, flags: &[&str]) -> Program {
        let address = format!("--csi-address={}", self.socket().display());
        launch(&[&[address.as_str()], flags].concat()).start()
    }

    /// Starts it on a free port and waits until it probes; gives the port.
    pub(crate) fn start_probing(&self, flags: &[&str]) -> (Program, u16) {
        let (probe, port) = self.start_listening(flags);
        // The line about the name comes just before probes are made.
        eventually("probes", || !http::get(port, "/healthz").body.contains("not connected"));
        (probe, port)
    }

    /// Starts it on a free port and waits until it listens, whether there is a driver or not.
    pub(crate) fn start_listening(&self, flags: &[&str]) -> (Program, u16) {
        let port = free_port();
        let endpoint = format!("--http-endpoint=127.0.0.1:{port}");
        let probe = self.start(&[&[endpoint.as_str()], flags].concat());
        probe.wait_for("ServeMux listening");
        (probe, port)
    }
}

/// A probe with these flags and no others.
pub(crate) fn launch(flags: &[&str]) -> Launch {
    Launch::plain(env!("CARGO_BIN_EXE_livenessprobe"), flags.iter().map(|flag| (*flag).to_owned()))
}
