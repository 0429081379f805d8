//! The process that a person starts: provides the programs, enters the namespaces, waits, cleans up.
//!
//! Chain of processes: this one -> `setpriv` (so that the next dies with this one) becoming `unshare`
//! (which kills its child when it dies) -> [`crate::init`] -> [`crate::inside`]. A janitor stands beside it for the case
//! that this process is killed and cannot clean up itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::{self, Step, say};
use crate::spec::{Archive, Extent, Spec, Task};
use crate::{images, leftovers, machine, packages, places, programs, scenarios};

/// Exit codes after SIGHUP, SIGINT and SIGTERM: the person wanted an end, not a post-mortem.
const SIGNALLED: [u8; 3] = [129, 130, 143];

/// What a person asked for.
pub(crate) struct Request {
    pub(crate) task: Task,
    pub(crate) extent: Extent,
    pub(crate) kubernetes: programs::Release,
}

/// Starts a lab, does the task, leaves nothing behind.
pub(crate) fn run(request: Request) -> Result<ExitCode> {
    progress::started();
    if !rustix::process::geteuid().is_root() {
        bail!("the lab needs root: it makes namespaces, mounts and loop devices (try sudo)");
    }
    packages::check(request.extent >= Extent::Node)?;
    leftovers::sweep(false)?;
    let repository = places::repository()?;
    let programs = programs::provide(&repository, request.kubernetes)?;
    let binaries = if request.extent >= Extent::Images { binaries(&repository)? } else { Vec::new() };

    let before = leftovers::Machine::look()?;
    let (dir, name, lock) = folder()?;
    let verify = matches!(request.task, Task::Demo);
    let spec = Spec {
        images: write_images(&dir, request.extent, &binaries)?,
        binaries: binaries.into_iter().collect(),
        name,
        dir: dir.clone(),
        repository,
        programs,
        kubernetes: request.kubernetes,
        extent: request.extent,
        task: request.task,
        started_ms: milliseconds(progress::started()),
    };
    spec.save()?;
    let janitor = Janitor::start(&dir)?;
    let mut code = enter(&dir)?;
    if code != 0 && !SIGNALLED.contains(&code) {
        keep_logs(&spec);
    }
    let tally = scenarios::tally(&dir);
    let step = Step::start("removing what the lab left: cgroups, loop devices, its folder");
    let namespaces = leftovers::recorded_namespaces(&dir);
    leftovers::clean(&dir)?;
    drop(lock);
    janitor.dismiss();
    step.done();
    if verify {
        before.show(&dir, &namespaces)?;
    }
    if matches!(spec.task, Task::Test { .. }) && !SIGNALLED.contains(&code) {
        code = scenarios::conclude(tally?, &spec);
    }
    Ok(ExitCode::from(code))
}

/// The binaries for the images: built here, static, unless `LAB_BIN_DIR` names a folder with others.
pub(crate) fn binaries(repository: &Path) -> Result<Vec<(String, PathBuf)>> {
    match places::variable("LAB_BIN_DIR") {
        Some(dir) => images::ready_made(&dir),
        None => images::build(repository),
    }
}

/// Writes the archives of our images into `folder` and says where each is.
pub(crate) fn images(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for image in images::write_ours(folder, &binaries(&places::repository()?)?)? {
        say(&format!("{} is {}", image.name, image.file.display()));
    }
    Ok(())
}

fn write_images(dir: &Path, extent: Extent, binaries: &[(String, PathBuf)]) -> Result<Vec<Archive>> {
    if extent == Extent::ControlPlane {
        return Ok(Vec::new());
    }
    let folder = dir.join("images");
    fs::create_dir_all(&folder)?;
    images::write_all(&folder, binaries)
}

/// Makes the lab's folder and holds its lock, which says that the lab lives.
fn folder() -> Result<(PathBuf, String, File)> {
    let labs = places::labs();
    for taken in ["/var/lib", "/var/log", "/run", "/proc", "/sys"] {
        if labs.starts_with(taken) {
            bail!("CSI_SIDECARS_LAB_DIR={} cannot be below {taken}, which the lab covers", labs.display());
        }
    }
    let name = format!("lab-{:x}{:04x}", std::process::id(), milliseconds(SystemTime::now()) & 0xffff);
    let dir = labs.join(&name);
    fs::create_dir_all(dir.join("logs")).with_context(|| format!("cannot create {}", dir.display()))?;
    let lock = leftovers::lock_file(&dir)?;
    lock.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
    Ok((dir, name, lock))
}

/// Enters the namespaces and waits for the inside, or ends it when a signal says so.
fn enter(dir: &Path) -> Result<u8> {
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Started by the main thread: the death signal is sent when the *thread* that started it ends.
    let child = Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--ipc",
            "--uts",
        ])
        .args(["--cgroup", "--kill-child", "--mount-proc", "--"])
        .arg(exe)
        .arg("init")
        .arg(dir)
        .spawn()
        .context("cannot start setpriv and unshare (package util-linux)")?;
    let id = child.id();
    let (sender, mut ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sender.send(wait(child)));
    runtime.block_on(async {
        let code = tokio::select! {
            biased;
            status = &mut ended => return Ok(exit_code(status.context("the waiting thread died")??)),
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hangup.recv() => 129,
        };
        say("stopped by a signal, ending the lab");
        kill(id);
        let _ = (&mut ended).await;
        Ok(code)
    })
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    child.wait().context("cannot wait for the lab")
}

fn kill(id: u32) {
    if let Some(pid) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// A shell's view of how a process ended: its code, or 128 and the signal.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Copies the logs of a failed lab to where a person, or CI, can read them.
fn keep_logs(spec: &Spec) {
    let kept = places::target(&spec.repository).join("lab-logs").join(&spec.name);
    let parent = kept.parent().unwrap_or(&kept);
    let copied = fs::create_dir_all(parent)
        .and_then(|()| Command::new("cp").arg("-r").arg(spec.logs()).arg(&kept).status())
        .is_ok_and(|status| status.success());
    let pods = machine::covered(&spec.dir, "/var/log").join("pods");
    if copied && pods.is_dir() {
        let _ = Command::new("cp").arg("-r").arg(pods).arg(&kept).status();
    }
    if copied {
        say(&format!("the components' logs are kept in {}", kept.display()));
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A process that cleans up when this one cannot: it sees its standard input close.
struct Janitor(Child);

impl Janitor {
    fn start(dir: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let exe = std::env::current_exe().context("cannot find this program's own file")?;
        let child = Command::new(exe)
            .arg("janitor")
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for the lab, not for its janitor.
            .process_group(0)
            .spawn()
            .context("cannot start the janitor")?;
        Ok(Self(child))
    }

    fn dismiss(mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = stdin.write_all(leftovers::DISMISSED);
        }
        let _ = self.0.wait();
    }
}
