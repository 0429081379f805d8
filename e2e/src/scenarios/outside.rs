//! Scenarios on whole labs: what they pass on, and that nothing of them stays however they end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Tally;
use crate::{leftovers, places};

const LIMIT: Duration = Duration::from_secs(60);

type Case = (&'static str, fn() -> Result<()>);

const CASES: &[Case] = &[
    ("lab_exits_with_the_status_of_its_command", exit_status),
    ("two_labs_run_side_by_side", side_by_side),
    ("a_lab_killed_from_outside_leaves_nothing", || killed(Victim::Outer)),
    ("a_lab_whose_first_process_is_killed_leaves_nothing", || killed(Victim::Init)),
    ("an_interrupted_lab_leaves_nothing", || killed(Victim::Interrupted)),
];

/// Runs them; each starts labs of its own.
pub(super) fn run(tally: &mut Tally, filter: &str) {
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(filter)) {
        let began = Instant::now();
        tally.note(name, began, case());
    }
}

/// Has loop devices attached as driver and kubelet do, one over the other, says where the lab is, and waits.
const COMMAND: &str = "set -e; truncate -s 1M $LAB_DIR/disk; lower=$(losetup --find --show $LAB_DIR/disk); \
                       losetup --find $lower; kubectl get namespace default -o name; echo $LAB_DIR; exec sleep 600";

/// A lab with a control plane only, whose command prints its folder and then waits.
struct Lab {
    process: Child,
    dir: std::path::PathBuf,
}

impl Lab {
    fn start() -> Result<Self> {
        let mut process = lab()?
            .args(["--control-plane-only", "--", "sh", "-c", COMMAND])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("no output")?).lines();
        let namespace = lines.next().transpose()?.unwrap_or_default();
        let dir = lines.next().transpose()?.unwrap_or_default().into();
        if namespace != "namespace/default" {
            process.wait()?;
            bail!("kubectl in the lab said {namespace:?}");
        }
        Ok(Self { process, dir })
    }

    fn signal(id: u32, signal: Signal) -> Result<()> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("impossible process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to {id}"))
    }
}

fn lab() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

fn exit_status() -> Result<()> {
    let status =
        lab()?.args(["--control-plane-only", "--", "sh", "-c", "exit 42"]).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(42), "the command ended with 42, lab with {status}");
    Ok(())
}

fn side_by_side() -> Result<()> {
    let machine = leftovers::Machine::look()?;
    let mut labs = [Lab::start()?, Lab::start()?];
    ensure!(
        labs.iter().map(|lab| &lab.dir).collect::<std::collections::BTreeSet<_>>().len() == 2,
        "they share a folder"
    );
    for lab in &mut labs {
        ensure!(lab.process.try_wait()?.is_none(), "one lab ended the other");
        let namespaces = leftovers::recorded_namespaces(&lab.dir);
        Lab::signal(lab.process.id(), Signal::TERM)?;
        let status = lab.process.wait()?;
        ensure!(status.code() == Some(143), "after SIGTERM lab exits with 143, not {status}");
        machine.verify(&lab.dir, &namespaces)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Outer,
    Init,
    Interrupted,
}

fn killed(victim: Victim) -> Result<()> {
    let machine = leftovers::Machine::look()?;
    let mut lab = Lab::start()?;
    let namespaces = leftovers::recorded_namespaces(&lab.dir);
    ensure!(!namespaces.is_empty(), "the lab recorded no namespaces");
    match victim {
        Victim::Outer => Lab::signal(lab.process.id(), Signal::KILL)?,
        Victim::Init => Lab::signal(first_process(&lab)?, Signal::KILL)?,
        Victim::Interrupted => Lab::signal(lab.process.id(), Signal::INT)?,
    }
    let status = lab.process.wait()?;
    ensure!(!status.success(), "a killed lab must not report success");
    if victim == Victim::Interrupted {
        ensure!(status.code() == Some(130), "after SIGINT lab exits with 130, not {status}");
    }
    let deadline = Instant::now() + LIMIT;
    // When the outer process was killed, its janitor needs a moment.
    while lab.dir.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    machine.verify(&lab.dir, &namespaces)
}

/// The process that is number 1 in the lab: the one that was started as `lab init` with the lab's folder.
fn first_process(lab: &Lab) -> Result<u32> {
    let wanted = lab.dir.to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let bytes = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        if matches!(words.as_slice(), [_, b"init", dir, ..] if *dir == wanted.as_bytes()) {
            return Ok(id);
        }
    }
    bail!("no first process of {} below {}", wanted, places::labs().display())
}
