//! What a sidecar costs that has nothing to do: size of the binary, start, resident memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::driver::ControllerCapability;

use super::report::{Report, Row};
use super::sidecar::{Memory, Sidecar};
use super::{Bench, Column, PROVISIONER, REGISTRAR, Set};
use crate::deploy;
use crate::progress::Step;
use crate::sidecars::{ATTACHER, LIVENESS_PROBE, RESIZER, SNAPSHOT_CONTROLLER, SNAPSHOTTER};

/// Bytes of a MiB.
pub(super) const MIB: f64 = 1024.0 * 1024.0;
/// Starts that are timed; the median counts.
const STARTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
/// Something for every sidecar to do.
const CAPABILITIES: [ControllerCapability; 4] = [
    ControllerCapability::CreateDeleteVolume,
    ControllerCapability::PublishUnpublishVolume,
    ControllerCapability::ExpandVolume,
    ControllerCapability::CreateDeleteSnapshot,
];

/// What the provisioner says when its caches are filled, here and upstream.
pub(super) const PROVISIONER_READY: &[&str] = &["Started provisioner controller"];
/// What the registrar says when kubelet can find it, here and upstream.
const REGISTRAR_READY: &[&str] = &["Registration Server started"];

/// What the livenessprobe says when kubelet can ask it, here and upstream.
const LIVENESS_PROBE_READY: &[&str] = &["ServeMux listening"];

/// What is measured: the binary, the most idle memory it may take in MiB (the issues' goals), what it says when it is ready.
const MEASURED: [(&str, Option<f64>, &[&str]); 7] = [
    (PROVISIONER, Some(8.0), PROVISIONER_READY),
    (REGISTRAR, Some(4.0), REGISTRAR_READY),
    (ATTACHER.binary, None, super::ATTACHER_READY),
    (RESIZER.binary, None, super::RESIZER_READY),
    (SNAPSHOTTER.binary, None, super::SNAPSHOTTER_READY),
    (SNAPSHOT_CONTROLLER.binary, None, super::SNAPSHOT_CONTROLLER_READY),
    (LIVENESS_PROBE.binary, None, LIVENESS_PROBE_READY),
];

/// Measures size, start and idle memory of every sidecar.
pub(super) async fn measure(bench: &Bench<'_>, set: &Set, report: &mut Report) -> Result<()> {
    let column = set.column;
    for (name, ..) in MEASURED {
        let Some(file) = set.binary(name) else { continue };
        let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
        let row = Row::new(&format!("{name} binary, stripped"), "MiB");
        report.note(column, row.command(&format!("stat -c %s {name}")), float(size) / MIB);
    }
    deploy::definitions(bench.cluster).await?;
    let name = format!("idle-{}.bench.example", column.name());
    let (_driver, socket) = bench.driver(&name, &CAPABILITIES)?;
    for (name, goal, ready) in MEASURED {
        let Some(binary) = set.binary(name) else { continue };
        let (arguments, shown) = if name == REGISTRAR {
            (registrar_arguments(bench, column, &socket)?, "--csi-address=S --kubelet-registration-path=S")
        } else if name == LIVENESS_PROBE.binary {
            (vec![format!("--csi-address={}", socket.display())], "--csi-address=S")
        } else if name == SNAPSHOT_CONTROLLER.binary {
            (vec![bench.kubeconfig()], "--kubeconfig=K")
        } else {
            (bench.arguments(&socket), "--csi-address=S --kubeconfig=K")
        };
        let idle = run(bench, column, &binary, &arguments, ready).await?;
        rows(report, column, name, goal, &idle, &format!("{name} {shown}"));
    }
    Ok(())
}

fn registrar_arguments(bench: &Bench<'_>, column: Column, socket: &Path) -> Result<Vec<String>> {
    let plugins = bench.dir.join(format!("plugins-{}", column.name()));
    fs::create_dir_all(&plugins)?;
    Ok(vec![
        format!("--csi-address={}", socket.display()),
        format!("--kubelet-registration-path={}", socket.display()),
        format!("--plugin-registration-path={}", plugins.display()),
    ])
}

struct Idle {
    memory: Memory,
    ready: Duration,
}

async fn run(
    bench: &Bench<'_>,
    column: Column,
    binary: &Path,
    arguments: &[String],
    ready: &[&str],
) -> Result<Idle> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let step = Step::start(format!("{name} ({}) idle", column.name()));
    let log = bench.dir.join(format!("{name}-{}-idle.log", column.name()));
    let mut starts = Vec::new();
    let mut memory = None;
    for start in 1..=STARTS {
        step.note(format!("{name} ({}): start {start} of {STARTS}", column.name()));
        let mut sidecar = Sidecar::start(binary, arguments, &log)?;
        starts.push(sidecar.says(ready, LIMIT).await?);
        if start == STARTS {
            step.note(format!("{name} ({}): waiting for its memory to come to rest", column.name()));
            memory = Some(sidecar.settled(LIMIT).await?);
        }
        sidecar.stop().await?;
    }
    step.note(format!("{name} ({}): measured idle", column.name()));
    step.done();
    Ok(Idle { memory: memory.context("nothing was started")?, ready: median(starts) })
}

fn rows(report: &mut Report, column: Column, name: &str, goal: Option<f64>, idle: &Idle, command: &str) {
    let row = |what: &str, unit| Row::new(&format!("{name} {what}"), unit);
    let status = |key: &str| format!("{command} & grep {key} /proc/$!/status");
    let resident = row("idle memory", "MiB").goal(goal).command(&status("VmRSS"));
    report.note(column, resident, idle.memory.resident / MIB);
    let anonymous = row("idle memory, anonymous pages", "MiB").command(&status("RssAnon"));
    report.note(column, anonymous, idle.memory.anonymous / MIB);
    let ready =
        row("start to ready", "s").command(&format!("{command} (until its log says so, median of {STARTS})"));
    report.note(column, ready, idle.ready.as_secs_f64());
}

/// The middle one.
pub(super) fn median<T: PartialOrd + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A count as a number of the report; counts here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts of a report")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(super::median(vec![3, 1, 2]), 2);
        assert_eq!(super::median(Vec::<u8>::new()), 0);
    }
}
