//! What a cached object costs in resident bytes, by kind.
//!
//! Realistic watch events go through the decoder into a store exactly as from a watch. Each kind is measured in a process
//! of its own, so that no kind profits from what another left in the allocator.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use sidecar_core::cache::{Decoder, Event, Json, Store};
use sidecar_core::objects::{
    Attachment, AttachmentIndex, Claim, ClaimIndex, Interest, Kind, Node, Pod, Volume,
};

use super::Column;
use super::report::{Report, Row};
use super::sidecar::memory;
use crate::progress::Step;

mod fixtures;

/// Whose objects they are.
const DRIVER: &str = "hostpath.csi.k8s.io";
/// How many objects are cached, as the issue asks.
const OBJECTS: usize = 50_000;
/// How many events exist at a time; a network buffer holds about as many.
const BATCH: usize = 64;
/// Most resident bytes of a cached volume (the goal).
const VOLUME_GOAL: f64 = 600.0;
/// Words of the command line, kind of the API, most bytes an object may take.
const KINDS: [(&str, &str, Option<f64>); 6] = [
    ("volume", "PersistentVolume", Some(VOLUME_GOAL)),
    // For nobody in particular: no sidecar asks for every section.
    ("volume --everything", "PersistentVolume, every section", None),
    ("claim", "PersistentVolumeClaim", None),
    ("attachment", "VolumeAttachment", None),
    ("pod", "Pod", None),
    ("node", "Node", None),
];

/// Measures every kind.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    let step = Step::start(format!("filling caches with {OBJECTS} objects of each kind"));
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    for (words, kind, goal) in KINDS {
        step.note(format!("filling a cache with {OBJECTS} objects of kind {kind}"));
        let command = format!("cache-memory {words} --objects={OBJECTS}");
        let output = Command::new(&program).args(command.split(' ')).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "lab {command}: {}", String::from_utf8_lossy(&output.stderr));
        let value = text.trim().parse().with_context(|| format!("lab {command} said {text:?}"))?;
        let row = Row::new(&format!("memory per cached {kind}"), "B").goal(goal);
        report.note(Column::Ours, row.command(&format!("lab {command}")), value);
    }
    step.note(format!("filled caches with {OBJECTS} objects of {} kinds", KINDS.len()));
    step.done();
    Ok(())
}

/// Fills a cache with objects of a kind and prints the resident bytes of each.
///
/// They are kept as a provisioner keeps its own driver's, or with everything that any sidecar may ever ask for.
pub(crate) fn fill(kind: &str, count: usize, everything: bool) -> Result<ExitCode> {
    ensure!(count > 0, "no object has no size: ask for at least one");
    let interest = if everything { Interest::everything() } else { Interest::of_drivers([DRIVER]) };
    let before = memory(std::process::id())?.resident;
    match kind {
        "volume" => cached::<Volume>(count, &interest, fixtures::volume, |_| {}),
        "claim" => cached::<Claim>(count, &interest, fixtures::claim, |store| {
            store.by(ClaimIndex::Uid, "");
        }),
        "attachment" => cached::<Attachment>(count, &interest, fixtures::attachment, |store| {
            store.by(AttachmentIndex::Volume, "");
        }),
        "pod" => cached::<Pod>(count, &interest, fixtures::pod, |_| {}),
        "node" => cached::<Node>(count, &interest, fixtures::node, |_| {}),
        _ => bail!("there is no kind {kind:?}: one of volume, claim, attachment, pod, node"),
    }?;
    let after = memory(std::process::id())?.resident;
    println!("{:.0}", (after - before) / f64::from(u32::try_from(count)?));
    Ok(ExitCode::SUCCESS)
}

/// Feeds `count` events into a store that lives until the process ends; indexes are made at their first use.
fn cached<T: Kind>(
    count: usize,
    interest: &Interest,
    make: fn(usize) -> String,
    use_indexes: fn(&Store<T>),
) -> Result<()> {
    let store = Store::<T>::of([]);
    use_indexes(&store);
    for batch in (0..count).step_by(BATCH) {
        let events: Vec<String> = (batch..count.min(batch + BATCH)).map(make).collect();
        for event in events {
            match Json.event(event.as_bytes(), interest) {
                Ok(Event::Applied(object)) => store.apply(object),
                _ => bail!("the decoder does not take {event}"),
            }
        }
    }
    ensure!(store.len() == count, "{} of {count} objects are in the cache", store.len());
    std::mem::forget(store);
    Ok(())
}
