//! 500 snapshots, each of a volume of its own, made at once and deleted at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use csi_client::csi::CreateSnapshotRequest;
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use super::{Claims, Count, QUEUED, Run, Share, all_at_once, count, is_write, note_calls, until};
use crate::audit;
use crate::bench::idle::float;
use crate::bench::report::{Report, Row};
use crate::bench::{SNAPSHOT_CONTROLLER_READY, SNAPSHOTTER_READY, load};
use crate::deploy;
use crate::progress::say;
use crate::sidecars::{SNAPSHOT_CONTROLLER, SNAPSHOTTER};

const GROUP: &str = "/apis/snapshot.storage.k8s.io/v1";
const COMMAND: &str =
    "csi-snapshotter and snapshot-controller, 500 VolumeSnapshots made at once and deleted at once";

fn is_read(call: &crate::audit::Call) -> bool {
    ["get", "list"].contains(&call.verb.as_str())
}

const REFUSED: Share = Share {
    what: "answered 404, 409 or 422",
    goal: Some(0.0),
    wanted: |call| [404, 409, 422].contains(&call.code),
};

/// Budgets of the issue.
const OF_SIDECAR: &[Share] = &[
    Share { what: "writes of csi-snapshotter", goal: Some(4.0), wanted: is_write },
    Share { what: "reads of csi-snapshotter", goal: Some(0.0), wanted: is_read },
    REFUSED,
];
const OF_CONTROLLER: &[Share] = &[
    Share { what: "writes of snapshot-controller", goal: Some(8.0), wanted: is_write },
    Share { what: "reads of snapshot-controller", goal: Some(0.0), wanted: is_read },
    Share {
        what: "events of snapshot-controller",
        goal: Some(3.0),
        wanted: |call| call.resource == "events",
    },
    REFUSED,
];

/// Snapshots that take their time, of the claims that are there already.
const SLOW: usize = 20;
/// How long the driver takes, with looks so close together that there are about as many as a snapshot of ten
/// minutes gets under the default flags (after 1, 2, 4 … 256 seconds).
const SLOW_TIME: Duration = Duration::from_secs(20);
const SLOW_LOOKS: [&str; 2] = ["--retry-interval-start=1s", "--retry-interval-max=2s"];
const SLOW_COMMAND: &str = "20 VolumeSnapshots that the driver calls ready after 20 s, looked at every 2 s; \
                            writes in the API server's audit log by CreateSnapshot calls after the first";

/// Measures one pass; it needs both binaries.
pub(super) async fn measure(run: &Run<'_>, report: &mut Report) -> Result<()> {
    let (sidecar, controller) =
        (run.set.binary(SNAPSHOTTER.binary), run.set.binary(SNAPSHOT_CONTROLLER.binary));
    let (Some(sidecar), Some(controller)) = (sidecar, controller) else { return Ok(()) };
    deploy::definitions(run.bench.cluster).await?;
    let scene = Scene::prepare(run).await?;
    scene.lives(&sidecar, &controller, report).await?;
    scene.slow(&sidecar, &controller, report).await
}

/// Bound claims of a driver, and a class for snapshots of them.
struct Scene<'a> {
    run: &'a Run<'a>,
    client: &'a kube::Client,
    driver: ScriptedDriver,
    socket: PathBuf,
    /// The namespace, the class of the claims and that of the snapshots.
    place: String,
}

impl<'a> Scene<'a> {
    async fn prepare(run: &'a Run<'a>) -> Result<Self> {
        let client = &run.bench.cluster.client;
        let driver_name = format!("snapshot-{}.bench.example", run.name);
        let driver = ScriptedDriver::new(DriverConfig {
            name: driver_name.clone(),
            controller: vec![
                ControllerCapability::CreateDeleteVolume,
                ControllerCapability::CreateDeleteSnapshot,
            ],
            ..DriverConfig::default()
        });
        let socket = run.bench.serve(&driver, &driver_name)?;
        // Not those whose claims have grown.
        let place = format!("{}-snapshots", run.name);
        Claims { client, place: &place }.populate(&driver, &driver_name).await?;
        let class = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {"name": place}, "driver": driver_name, "deletionPolicy": "Delete",
        });
        load::call(client, Method::POST, &format!("{GROUP}/volumesnapshotclasses"), &class).await?;
        Ok(Self { run, client, driver, socket, place })
    }

    fn snapshots(&self) -> String {
        format!("{GROUP}/namespaces/{}/volumesnapshots", self.place)
    }

    async fn make(&self, number: usize) -> Result<String> {
        let name = format!("snapshot-{number}");
        let snapshot = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": name},
            "spec": {
                "volumeSnapshotClassName": self.place,
                "source": {"persistentVolumeClaimName": format!("data-{number}")},
            },
        });
        load::call(self.client, Method::POST, &self.snapshots(), &snapshot).await?;
        Ok(name)
    }

    async fn delete(&self, number: usize) -> Result<String> {
        let name = format!("snapshot-{number}");
        let path = format!("{}/{name}", self.snapshots());
        load::call(self.client, Method::DELETE, &path, &Value::Null).await?;
        Ok(name)
    }

    async fn all_ready(&self, wanted: usize, last_words: impl Fn() -> String) -> Result<()> {
        until("all snapshots to be ready", last_words, async || {
            let ready = |it: &Value| it.pointer("/status/readyToUse").is_some_and(|it| it == true);
            Ok(count(self.client, &self.snapshots(), ready).await? == wanted)
        })
        .await
    }

    async fn all_gone(&self, last_words: impl Fn() -> String) -> Result<()> {
        until("all snapshots to be gone", last_words, async || {
            let contents = count(self.client, &format!("{GROUP}/volumesnapshotcontents"), |_| true).await?;
            Ok(contents == 0 && count(self.client, &self.snapshots(), |_| true).await? == 0)
        })
        .await
    }

    /// Calls per life.
    async fn lives(&self, sidecar: &Path, controller: &Path, report: &mut Report) -> Result<()> {
        let run = self.run;
        let sidecar = run.start(sidecar, &self.socket, SNAPSHOTTER_READY).await?;
        let controller = run.start_without_driver(controller, SNAPSHOT_CONTROLLER_READY).await?;
        let last_words = || format!("{}\n{}", sidecar.tail(), controller.tail());
        let calls =
            (Count::of(run.bench, SNAPSHOTTER.binary)?, Count::of(run.bench, SNAPSHOT_CONTROLLER.binary)?);
        all_at_once(&format!("{}: making snapshots", run.name), async |number| self.make(number).await)
            .await?;
        self.all_ready(QUEUED, last_words).await?;
        all_at_once(&format!("{}: deleting snapshots", run.name), async |number| self.delete(number).await)
            .await?;
        self.all_gone(last_words).await?;
        let counts = (calls.0.settled().await?, calls.1.settled().await?);
        sidecar.stop().await?;
        controller.stop().await?;

        let command = format!("{COMMAND}; the API server's audit log");
        let column = run.set.column;
        note_calls(report, column, "snapshot life", &counts.0, OF_SIDECAR, &command);
        note_calls(report, column, "snapshot life, controller", &counts.1, OF_CONTROLLER, &command);
        for (what, counts) in [(SNAPSHOTTER, counts.0), (SNAPSHOT_CONTROLLER, counts.1)] {
            let table = audit::table(&counts);
            say(&format!("calls of {} ({}) for {QUEUED} snapshots:\n{table}", what.binary, column.name()));
        }
        Ok(())
    }

    /// Writes per look at a snapshot that is not ready yet.
    async fn slow(&self, sidecar: &Path, controller: &Path, report: &mut Report) -> Result<()> {
        let run = self.run;
        self.driver.configure(|config| config.snapshot_time = SLOW_TIME);
        let arguments = run.bench.arguments(&self.socket).into_iter().chain(SLOW_LOOKS.map(str::to_owned));
        let sidecar = run.start_with(sidecar, arguments.collect(), SNAPSHOTTER_READY).await?;
        let controller = run.start_without_driver(controller, SNAPSHOT_CONTROLLER_READY).await?;
        let last_words = || format!("{}\n{}", sidecar.tail(), controller.tail());
        let calls = Count::of(run.bench, SNAPSHOTTER.binary)?;
        let before = self.driver.count::<CreateSnapshotRequest>();
        for number in 0..SLOW {
            self.make(number).await?;
        }
        self.all_ready(SLOW, last_words).await?;
        let counts = calls.settled().await?;
        let asked = self.driver.count::<CreateSnapshotRequest>() - before;
        ensure!(asked > 2 * SLOW, "the driver was asked only {asked} times for {SLOW} snapshots");
        for number in 0..SLOW {
            self.delete(number).await?;
        }
        self.all_gone(last_words).await?;
        sidecar.stop().await?;
        controller.stop().await?;

        let writes: u64 = counts.iter().filter(|(call, _)| is_write(call)).map(|(_, count)| count).sum();
        for (what, by) in [
            ("per look at a snapshot that is not ready", asked - SLOW),
            ("until a slow snapshot is ready", SLOW),
        ] {
            let row =
                Row::new(&format!("API writes of csi-snapshotter {what}"), "calls").command(SLOW_COMMAND);
            report.note(run.set.column, row, float(writes) / float(by as u64));
        }
        let column = run.set.column.name();
        say(&format!("{SLOW} slow snapshots ({column}): {} looks, {writes} writes", asked - SLOW));
        Ok(())
    }
}
