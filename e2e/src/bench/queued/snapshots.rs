//! 500 snapshots, each of a volume of its own, made at once and deleted at once.

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use super::{Claims, Count, QUEUED, Run, Share, all_at_once, count, is_write, note_calls, until};
use crate::audit;
use crate::bench::report::Report;
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

/// Measures one pass; it needs both binaries.
pub(super) async fn measure(run: &Run<'_>, report: &mut Report) -> Result<()> {
    let (sidecar, controller) =
        (run.set.binary(SNAPSHOTTER.binary), run.set.binary(SNAPSHOT_CONTROLLER.binary));
    let (Some(sidecar), Some(controller)) = (sidecar, controller) else { return Ok(()) };
    let client = &run.bench.cluster.client;
    deploy::definitions(run.bench.cluster).await?;
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
    let sidecar = run.start(&sidecar, &socket, SNAPSHOTTER_READY).await?;
    let controller = run.start_without_driver(&controller, SNAPSHOT_CONTROLLER_READY).await?;
    let last_words = || format!("{}\n{}", sidecar.tail(), controller.tail());

    let calls =
        (Count::of(run.bench, SNAPSHOTTER.binary)?, Count::of(run.bench, SNAPSHOT_CONTROLLER.binary)?);
    let snapshots = format!("{GROUP}/namespaces/{place}/volumesnapshots");
    all_at_once(&format!("{}: making snapshots", run.name), async |number| {
        let name = format!("snapshot-{number}");
        let snapshot = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": name},
            "spec": {
                "volumeSnapshotClassName": place,
                "source": {"persistentVolumeClaimName": format!("data-{number}")},
            },
        });
        load::call(client, Method::POST, &snapshots, &snapshot).await?;
        Ok(name)
    })
    .await?;
    until("all snapshots to be ready", last_words, async || {
        let ready = |it: &Value| it.pointer("/status/readyToUse").is_some_and(|it| it == true);
        Ok(count(client, &snapshots, ready).await? == QUEUED)
    })
    .await?;
    all_at_once(&format!("{}: deleting snapshots", run.name), async |number| {
        let name = format!("snapshot-{number}");
        load::call(client, Method::DELETE, &format!("{snapshots}/{name}"), &Value::Null).await?;
        Ok(name)
    })
    .await?;
    until("all snapshots to be gone", last_words, async || {
        let contents = count(client, &format!("{GROUP}/volumesnapshotcontents"), |_| true).await?;
        Ok(contents == 0 && count(client, &snapshots, |_| true).await? == 0)
    })
    .await?;
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
