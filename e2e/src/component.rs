//! One long-running program of the cluster: started, watched, stopped, restarted, its log kept.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::programs::last_lines;

/// Lines of a log that are shown when a component fails.
const TAIL: usize = 15;

/// A component and how to start it.
pub(crate) struct Component {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    path: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Component {
    /// Describes a component; [`Component::start`] starts it.
    pub(crate) fn new(name: &'static str, program: &Path, logs: &Path, arguments: Vec<String>) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let log = logs.join(format!("{name}.log"));
        Self { name, program: program.to_path_buf(), arguments, path, log, child: None }
    }

    /// Puts a folder in front of this component's `PATH`.
    pub(crate) fn path_first(mut self, dir: &Path) -> Self {
        self.path = format!("{}:/usr/local/sbin:/usr/sbin:/sbin:{}", dir.display(), self.path);
        self
    }

    /// Starts the program; its output is appended to its log.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env("PATH", &self.path)
            .env_remove("KUBECONFIG")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for the command that the person runs.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", self.name, self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Fails with the end of the log when the program has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if let Some(status) = child.try_wait()? {
            bail!("{} ended ({status}); end of its log:\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Sends `signal` and waits for the end of the program.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).with_context(|| format!("cannot stop {}", self.name))?;
        }
        child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Everything that the program has printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of the program's log.
    pub(crate) fn tail(&self) -> String {
        last_lines(&self.output(), TAIL)
    }
}
