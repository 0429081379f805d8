//! One measured process: started, listened to, read from `/proc`, stopped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use crate::programs::last_lines;

/// What the kernel says about CPU time is in this many parts of a second, on every Linux.
const TICKS: f64 = 100.0;
const POLL: Duration = Duration::from_millis(200);
/// Memory that has not grown or shrunk for so long is at rest.
const REST: Duration = Duration::from_secs(3);
/// Changes of less than this share are noise.
const NOISE: f64 = 0.01;
/// How long a process may take to end.
const END: Duration = Duration::from_secs(15);

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// VmRSS.
    pub(super) resident: f64,
    /// RssAnon: without the pages of the binary, which any number of processes share.
    pub(super) anonymous: f64,
    /// VmHWM.
    pub(super) peak: f64,
}

/// Reads the memory of a process.
pub(super) fn memory(process: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))
        .with_context(|| format!("process {process} is gone"))?;
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kilobytes.map(|number| number * 1024.0).with_context(|| format!("process {process} has no {key}"))
    };
    Ok(Memory { resident: bytes("VmRSS")?, anonymous: bytes("RssAnon")?, peak: bytes("VmHWM")? })
}

/// Seconds of CPU that a process has used, user and system.
pub(super) fn cpu(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("process {process} is gone"))?;
    // The second field is the name in brackets and may hold spaces; utime and stime are fields 14 and 15.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: Vec<f64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok((user + system) / TICKS),
        _ => bail!("/proc/{process}/stat is not understood: {text}"),
    }
}

/// A sidecar under measurement; it is killed when this is dropped.
pub(super) struct Sidecar {
    child: Child,
    name: String,
    began: Instant,
    lines: mpsc::UnboundedReceiver<(Instant, String)>,
    log: PathBuf,
}

impl Sidecar {
    /// Starts a binary; what it prints is kept in `log`.
    pub(super) fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let mut out = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let began = Instant::now();
        let mut child = Command::new(binary)
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stderr = child.stderr.take().context("a piped standard error is missing")?;
        let (tell, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let now = Instant::now();
                // The log is for whoever looks into a failure; measuring does not depend on it.
                let _ = writeln!(out, "{line}");
                let _ = tell.send((now, line));
            }
        });
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { child, name, began, lines, log: log.to_path_buf() })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Waits for a line that contains one of `texts`; how long after the start it came.
    pub(super) async fn says(&mut self, texts: &[&str], limit: Duration) -> Result<Duration> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            match tokio::time::timeout_at(deadline, self.lines.recv()).await {
                Ok(Some((at, line))) if texts.iter().any(|text| line.contains(text)) => {
                    return Ok(at.duration_since(self.began));
                }
                Ok(Some(_)) => {}
                Ok(None) => bail!("{} ended instead of saying {texts:?}:\n{}", self.name, self.tail()),
                Err(_) => {
                    let seconds = limit.as_secs();
                    bail!("{} does not say {texts:?} within {seconds} s:\n{}", self.name, self.tail())
                }
            }
        }
    }

    /// The end of what it printed.
    pub(super) fn tail(&self) -> String {
        last_lines(&fs::read_to_string(&self.log).unwrap_or_default(), 15)
    }

    /// Its memory once that is at rest, or after `limit`.
    pub(super) async fn settled(&self, limit: Duration) -> Result<Memory> {
        let deadline = Instant::now() + limit;
        let mut rest = (Instant::now(), memory(self.id())?.resident);
        loop {
            tokio::time::sleep(POLL).await;
            let now = memory(self.id()).with_context(|| format!("{} ended:\n{}", self.name, self.tail()))?;
            if (now.resident - rest.1).abs() > rest.1 * NOISE {
                rest = (Instant::now(), now.resident);
            }
            if rest.0.elapsed() > REST || Instant::now() > deadline {
                return Ok(now);
            }
        }
    }

    /// Asks it to end, and insists after a while.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop {}", self.name))?;
        }
        let deadline = Instant::now() + END;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end within {} s of SIGTERM", self.name, END.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_time() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.anonymous > 0.0 && own.resident >= own.anonymous && own.peak >= own.resident);
        let before = cpu(std::process::id()).unwrap();
        while cpu(std::process::id()).unwrap() < before + 0.02 {
            std::hint::black_box(own);
        }
    }
}
