//! The first process of the lab's PID namespace.
//!
//! It starts the process that does the work, reaps whatever orphans end up with it, and ends with that process;
//! with it the kernel ends every other process of the lab, which is what makes a lab leave nothing running.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitOptions, wait};

use crate::leftovers;

/// Runs `lab inside DIR` and exits with its status (128 + signal when a signal ended it).
pub(crate) fn run(dir: &Path) -> Result<ExitCode> {
    leftovers::record_namespaces(dir)?;
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let child =
        Command::new(exe).arg("inside").arg(dir).spawn().context("cannot start the inside of the lab")?;
    let inside = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("impossible process id")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == inside => {
                let code =
                    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                return Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the lab's processes"),
        }
    }
}
