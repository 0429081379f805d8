//! 500 volumes to be attached to one node, and detached again.

use anyhow::Result;
use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use super::{Arrivals, Count, QUEUED, Run, Share, all_at_once, is_write, note_calls, until};
use crate::audit;
use crate::bench::report::Report;
use crate::bench::{ATTACHER_READY, load};
use crate::progress::say;
use crate::sidecars::ATTACHER;

const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const COMMAND: &str = "csi-attacher, 500 VolumeAttachments made at once and deleted at once";

/// Budgets of the issue.
const ATTACH: &[Share] = &[
    Share { what: "writes", goal: Some(3.0), wanted: is_write },
    Share { what: "all", goal: Some(3.0), wanted: |_| true },
    Share {
        what: "answered 404, 409 or 422",
        goal: Some(0.0),
        wanted: |call| [404, 409, 422].contains(&call.code),
    },
];
const DETACH: &[Share] = &[
    Share { what: "writes", goal: Some(1.0), wanted: is_write },
    Share { what: "all", goal: Some(1.0), wanted: |_| true },
    Share {
        what: "answered 404, 409 or 422",
        goal: Some(0.0),
        wanted: |call| [404, 409, 422].contains(&call.code),
    },
];

/// Measures one pass.
pub(super) async fn measure(run: &Run<'_>, report: &mut Report) -> Result<()> {
    let Some(binary) = run.set.binary(ATTACHER.binary) else { return Ok(()) };
    let client = &run.bench.cluster.client;
    let driver_name = format!("attach-{}.bench.example", run.name);
    let driver = ScriptedDriver::new(DriverConfig {
        name: driver_name.clone(),
        controller: vec![
            ControllerCapability::CreateDeleteVolume,
            ControllerCapability::PublishUnpublishVolume,
        ],
        ..DriverConfig::default()
    });
    let socket = run.bench.serve(&driver, &driver_name)?;
    let node = format!("node-{}", run.name);
    populate(run, &driver, &driver_name, &node).await?;
    let sidecar = run.start(&binary, &socket, ATTACHER_READY).await?;

    let count = Count::of(run.bench, ATTACHER.binary)?;
    let arrivals = Arrivals::of(&driver, "ControllerPublishVolume");
    let since = all_at_once(&format!("{}: making attachments", run.name), async |number| {
        let volume = format!("{}-{number}", run.name);
        let attachment = json!({
            "metadata": {"name": format!("csi-{volume}")},
            "spec": {
                "attacher": driver_name, "nodeName": node, "source": {"persistentVolumeName": volume},
            },
        });
        load::call(client, Method::POST, ATTACHMENTS, &attachment).await?;
        Ok(volume)
    })
    .await?;
    until(
        "all attachments to be attached",
        || sidecar.tail(),
        async || {
            let attached = |it: &Value| it.pointer("/status/attached").is_some_and(|it| it == true);
            Ok(mine(run).await?.iter().filter(|it| attached(it)).count() == QUEUED)
        },
    )
    .await?;
    let called: Vec<String> =
        driver.requests::<ControllerPublishVolumeRequest>().into_iter().map(|it| it.volume_id).collect();
    let latencies = arrivals.latencies(&since, &called)?;
    let attaching = count.settled().await?;
    run.note_latencies(report, "VolumeAttachment to ControllerPublishVolume", latencies, COMMAND);

    let count = Count::of(run.bench, ATTACHER.binary)?;
    let arrivals = Arrivals::of(&driver, "ControllerUnpublishVolume");
    let since = all_at_once(&format!("{}: deleting attachments", run.name), async |number| {
        let volume = format!("{}-{number}", run.name);
        load::call(client, Method::DELETE, &format!("{ATTACHMENTS}/csi-{volume}"), &Value::Null).await?;
        Ok(volume)
    })
    .await?;
    until("all attachments to be gone", || sidecar.tail(), async || Ok(mine(run).await?.is_empty())).await?;
    let called: Vec<String> =
        driver.requests::<ControllerUnpublishVolumeRequest>().into_iter().map(|it| it.volume_id).collect();
    let latencies = arrivals.latencies(&since, &called)?;
    let detaching = count.settled().await?;
    run.note_latencies(report, "deleted VolumeAttachment to ControllerUnpublishVolume", latencies, COMMAND);
    sidecar.stop().await?;

    if run.count_calls {
        let command = format!("{COMMAND}; the API server's audit log");
        note_calls(report, run.set.column, "attachment", &attaching, ATTACH, &command);
        note_calls(report, run.set.column, "detachment", &detaching, DETACH, &command);
        for (what, counts) in [("attach", attaching), ("detach", detaching)] {
            say(&format!(
                "calls of {} to {what} {QUEUED} volumes:\n{}",
                binary.display(),
                audit::table(&counts)
            ));
        }
    }
    Ok(())
}

/// The attachments of this pass.
async fn mine(run: &Run<'_>) -> Result<Vec<Value>> {
    let list = load::call(&run.bench.cluster.client, Method::GET, ATTACHMENTS, &Value::Null).await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let start = format!("csi-{}-", run.name);
    let is_mine = |item: &Value| {
        item.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| name.starts_with(&start))
    };
    Ok(items.into_iter().filter(is_mine).collect())
}

/// Volumes that nobody claims, and what kubelet would say about the node.
async fn populate(run: &Run<'_>, driver: &ScriptedDriver, driver_name: &str, node: &str) -> Result<()> {
    let client = &run.bench.cluster.client;
    let csi_node = json!({
        "metadata": {"name": node},
        "spec": {"drivers": [{"name": driver_name, "nodeID": node, "topologyKeys": []}]},
    });
    load::call(client, Method::POST, "/apis/storage.k8s.io/v1/csinodes", &csi_node).await?;
    load::each(&format!("{}: making volumes", run.name), QUEUED, async |number| {
        let name = format!("{}-{number}", run.name);
        driver.add_volume(&name, 1 << 30);
        let volume = json!({
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": run.name,
                "csi": {"driver": driver_name, "volumeHandle": name, "fsType": "ext4"},
            },
        });
        load::call(client, Method::POST, VOLUMES, &volume).await.map(drop)
    })
    .await
}
