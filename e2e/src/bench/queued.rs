//! 500 operations wanted at once: API calls of each, and how long a change of an object takes to become a call to the driver.
//!
//! Attachments and detachments for csi-attacher, expansions for csi-resizer, snapshots for csi-snapshotter and
//! snapshot-controller. Latencies are measured without client limits and with
//! limits that let something be seen of them: with upstream's default of 5 calls a second, 500 would take minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ScriptedDriver, Step as DriverStep};

use super::idle::float;
use super::report::{Report, Row};
use super::sidecar::Sidecar;
use super::{Bench, Column, Set, load};
use crate::audit::{self, Call, Counts};
use crate::control_plane;
use crate::progress::Step;

mod attachments;
mod expansions;
mod snapshots;

/// Operations that are wanted at once.
const QUEUED: usize = 500;
const LIMIT: Duration = Duration::from_secs(180);
const VOLUMES: &str = "/api/v1/persistentvolumes";
/// Without a call for so long, the last events are out.
const QUIET: Duration = Duration::from_secs(3);

/// Client limits under which latencies are measured: what rows say, arguments.
const LIMITS: [(&str, [&str; 2]); 2] = [
    ("no client limits", ["--kube-api-qps=-1", "--kube-api-burst=1000"]),
    ("50 calls/s, burst 100", ["--kube-api-qps=50", "--kube-api-burst=100"]),
];

/// Measures attachments and expansions with the binaries of a set.
pub(super) async fn measure(bench: &Bench<'_>, set: &Set, report: &mut Report) -> Result<()> {
    for (number, (limits, arguments)) in LIMITS.iter().enumerate() {
        let name = format!("queued-{}-{number}", set.column.name());
        let run = Run { bench, set, name, limits, arguments, count_calls: number == 0 };
        attachments::measure(&run, report).await.context("attachments")?;
        expansions::measure(&run, report).await.context("expansions")?;
        if run.count_calls {
            snapshots::measure(&run, report).await.context("snapshots")?;
        }
    }
    Ok(())
}

/// One pass with one binary.
struct Run<'a> {
    bench: &'a Bench<'a>,
    set: &'a Set,
    /// First part of the driver's name and of the objects' names.
    name: String,
    limits: &'static str,
    arguments: &'static [&'static str],
    /// Whether this is the pass whose calls are reported; limits do not change their number.
    count_calls: bool,
}

impl Run<'_> {
    /// Starts a sidecar and waits until it says that it works.
    async fn start(&self, binary: &Path, socket: &Path, ready: &[&str]) -> Result<Sidecar> {
        self.start_with(binary, self.bench.arguments(socket), ready).await
    }

    async fn start_with(&self, binary: &Path, mut arguments: Vec<String>, ready: &[&str]) -> Result<Sidecar> {
        arguments.extend(self.arguments.iter().map(|&argument| argument.to_owned()));
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let log = self.bench.dir.join(format!("{name}-{}.log", self.name));
        let mut sidecar = Sidecar::start(binary, &arguments, &log)?;
        sidecar.says(ready, LIMIT).await?;
        Ok(sidecar)
    }

    /// The same for a program that talks to no driver.
    async fn start_without_driver(&self, binary: &Path, ready: &[&str]) -> Result<Sidecar> {
        self.start_with(binary, vec![self.bench.kubeconfig()], ready).await
    }

    /// Notes median and 99th percentile of latencies.
    fn note_latencies(&self, report: &mut Report, what: &str, latencies: Vec<Duration>, command: &str) {
        let (median, late) = percentiles(latencies);
        for (which, value) in [("median", median), ("p99", late)] {
            let row = Row::new(&format!("{what}, {QUEUED} queued, {}: {which}", self.limits), "s");
            report.note(self.set.column, row.command(command), value.as_secs_f64());
        }
    }
}

/// Median and 99th percentile.
pub(super) fn percentiles(mut latencies: Vec<Duration>) -> (Duration, Duration) {
    latencies.sort_unstable();
    let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

/// When the driver first got a call for each volume.
struct Arrivals {
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Arrivals {
    /// Notes when calls of a method arrive from now on.
    fn of(driver: &ScriptedDriver, wanted: &'static str) -> Self {
        let times = Arc::new(Mutex::new(Vec::new()));
        let noted = times.clone();
        driver.plan(move |method, _| {
            if method == wanted {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            }
            DriverStep::Normal
        });
        Self { times }
    }

    /// How long after `since` each volume's call came; `called` are the volumes of all calls in their order.
    fn latencies(&self, since: &BTreeMap<String, Instant>, called: &[String]) -> Result<Vec<Duration>> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(called.len() == times.len(), "{} calls at {} times", called.len(), times.len());
        let mut first = BTreeMap::new();
        for (volume, time) in called.iter().zip(times.iter()) {
            first.entry(volume.as_str()).or_insert(*time);
        }
        since
            .iter()
            .map(|(volume, since)| {
                let called =
                    first.get(volume.as_str()).with_context(|| format!("no call for volume {volume}"))?;
                Ok(called.saturating_duration_since(*since))
            })
            .collect()
    }
}

/// Changes all objects at once; when the API server had confirmed each.
async fn all_at_once(
    what: &str,
    change: impl AsyncFn(usize) -> Result<String>,
) -> Result<BTreeMap<String, Instant>> {
    let confirmed = Mutex::new(BTreeMap::new());
    load::each(what, QUEUED, async |number| {
        let volume = change(number).await?;
        confirmed.lock().unwrap_or_else(PoisonError::into_inner).insert(volume, Instant::now());
        Ok(())
    })
    .await?;
    Ok(confirmed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until `done` says so; asks rarely, for whoever lists takes CPU from what is measured.
async fn until(
    what: &str,
    last_words: impl Fn() -> String,
    done: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let step = Step::start(format!("waiting for {what}"));
    let deadline = Instant::now() + LIMIT;
    while !done().await? {
        if Instant::now() > deadline {
            bail!("no {what} within {} s:\n{}", LIMIT.as_secs(), last_words());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    step.note(what);
    step.done();
    Ok(())
}

/// API calls of a binary from a moment on.
struct Count<'a> {
    bench: &'a Bench<'a>,
    binary: &'static str,
    mark: audit::Mark,
}

impl<'a> Count<'a> {
    fn of(bench: &'a Bench<'a>, binary: &'static str) -> Result<Self> {
        let mark = audit::mark(&control_plane::audit_log(&bench.cluster.spec))?;
        Ok(Self { bench, binary, mark })
    }

    fn read(&self) -> Result<Counts> {
        audit::count(&control_plane::audit_log(&self.bench.cluster.spec), self.mark, self.binary)
    }

    /// The calls once there are no more.
    async fn settled(&self) -> Result<Counts> {
        let (mut counts, mut since) = (self.read()?, Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.read()?;
            if now != counts {
                since = Instant::now();
            }
            counts = now;
        }
        Ok(counts)
    }
}

/// What is counted of the calls, with its budget.
struct Share {
    what: &'static str,
    goal: Option<f64>,
    wanted: fn(&Call) -> bool,
}

fn is_write(call: &Call) -> bool {
    call.resource != "events" && ["create", "update", "patch", "delete"].contains(&call.verb.as_str())
}

/// Notes how many calls of each kind an operation took. Leases and watches are not part of it.
fn note_calls(
    report: &mut Report,
    column: Column,
    operation: &str,
    counts: &Counts,
    shares: &[Share],
    command: &str,
) {
    for share in shares {
        let counted = |call: &Call| call.verb != "watch" && call.resource != "leases" && (share.wanted)(call);
        let calls: u64 = counts.iter().filter(|(call, _)| counted(call)).map(|(_, count)| count).sum();
        let row = Row::new(&format!("API calls per {operation}: {}", share.what), "calls").goal(share.goal);
        report.note(column, row.command(command), float(calls) / float(QUEUED as u64));
    }
}

/// 500 bound claims in a namespace of their own, and a class, both of this name.
struct Claims<'a> {
    client: &'a kube::Client,
    place: &'a str,
}

impl Claims<'_> {
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.place)
    }

    fn volume(&self, number: usize) -> String {
        format!("volume-{}-{number}", self.place)
    }

    /// Makes claims and volumes that name each other; the real controller manager binds them.
    async fn populate(&self, driver: &ScriptedDriver, driver_name: &str) -> Result<()> {
        let (client, place) = (self.client, self.place);
        load::namespace(client, place).await?;
        let class = json!({
            "metadata": {"name": place}, "provisioner": driver_name, "allowVolumeExpansion": true,
        });
        load::call(client, Method::POST, "/apis/storage.k8s.io/v1/storageclasses", &class).await?;
        load::each(&format!("{place}: making claims and volumes"), QUEUED, async |number| {
            let (claim, volume) = (format!("data-{number}"), self.volume(number));
            driver.add_volume(&volume, 1 << 30);
            let object = json!({
                "metadata": {"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": driver_name}},
                "spec": {
                    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": place,
                    "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": place, "name": claim},
                    "csi": {"driver": driver_name, "volumeHandle": volume, "fsType": "ext4"},
                },
            });
            load::call(client, Method::POST, VOLUMES, &object).await?;
            let object = json!({
                "metadata": {"name": claim},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                    "storageClassName": place, "volumeName": volume,
                },
            });
            load::call(client, Method::POST, &self.path(), &object).await.map(drop)
        })
        .await?;
        let bound = |it: &Value| it.pointer("/status/phase").is_some_and(|it| it == "Bound");
        until(
            "all claims to be bound",
            || String::from("the controller manager binds them"),
            async || Ok(count(client, &self.path(), bound).await? == QUEUED),
        )
        .await
    }
}

/// How many objects of a list are as wanted.
async fn count(client: &kube::Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<usize> {
    let list = load::call(client, Method::GET, path, &Value::Null).await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(items.iter().filter(|item| wanted(item)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted() {
        let latencies = (0..500).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(latencies), (Duration::from_millis(250), Duration::from_millis(495)));
        assert_eq!(percentiles(Vec::new()), (Duration::ZERO, Duration::ZERO));
    }
}
