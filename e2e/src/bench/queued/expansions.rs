//! 500 claims that want to be larger.

use anyhow::Result;
use csi_client::csi::ControllerExpandVolumeRequest;
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use super::{Arrivals, Count, QUEUED, Run, Share, all_at_once, is_write, note_calls, until};
use crate::audit;
use crate::bench::report::Report;
use crate::bench::{RESIZER_READY, load};
use crate::progress::say;
use crate::sidecars::RESIZER;

const VOLUMES: &str = "/api/v1/persistentvolumes";
const COMMAND: &str = "csi-resizer, 500 bound claims patched from 1Gi to 2Gi at once";

/// Budgets of the issue.
const EXPAND: &[Share] = &[
    Share { what: "writes", goal: Some(3.0), wanted: is_write },
    Share { what: "events", goal: Some(2.0), wanted: |call| call.resource == "events" },
    Share { what: "all", goal: Some(5.0), wanted: |_| true },
    Share {
        what: "answered 404, 409 or 422",
        goal: Some(0.0),
        wanted: |call| [404, 409, 422].contains(&call.code),
    },
];

/// Measures one pass.
pub(super) async fn measure(run: &Run<'_>, report: &mut Report) -> Result<()> {
    let Some(binary) = run.set.binary(RESIZER.binary) else { return Ok(()) };
    let client = &run.bench.cluster.client;
    let driver_name = format!("expand-{}.bench.example", run.name);
    let driver = ScriptedDriver::new(DriverConfig {
        name: driver_name.clone(),
        controller: vec![ControllerCapability::CreateDeleteVolume, ControllerCapability::ExpandVolume],
        ..DriverConfig::default()
    });
    let socket = run.bench.serve(&driver, &driver_name)?;
    populate(run, &driver, &driver_name).await?;
    let sidecar = run.start(&binary, &socket, RESIZER_READY).await?;

    let calls = Count::of(run.bench, RESIZER.binary)?;
    let arrivals = Arrivals::of(&driver, "ControllerExpandVolume");
    let claims = claims(run);
    let since = all_at_once(&format!("{}: patching claims", run.name), async |number| {
        let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        load::call(client, Method::PATCH, &format!("{claims}/data-{number}"), &larger).await?;
        Ok(volume(run, number))
    })
    .await?;
    until(
        "all claims to have grown",
        || sidecar.tail(),
        async || {
            let grown = |it: &Value| it.pointer("/status/capacity/storage").is_some_and(|it| it == "2Gi");
            Ok(self::count(client, &claims, grown).await? == QUEUED)
        },
    )
    .await?;
    let called: Vec<String> =
        driver.requests::<ControllerExpandVolumeRequest>().into_iter().map(|it| it.volume_id).collect();
    let latencies = arrivals.latencies(&since, &called)?;
    let counts = calls.settled().await?;
    sidecar.stop().await?;
    run.note_latencies(report, "patched claim to ControllerExpandVolume", latencies, COMMAND);
    if run.count_calls {
        let command = format!("{COMMAND}; the API server's audit log");
        note_calls(report, run.set.column, "expansion", &counts, EXPAND, &command);
        say(&format!("calls of {} to expand {QUEUED} volumes:\n{}", binary.display(), audit::table(&counts)));
    }
    Ok(())
}

fn claims(run: &Run<'_>) -> String {
    format!("/api/v1/namespaces/{}/persistentvolumeclaims", run.name)
}

fn volume(run: &Run<'_>, number: usize) -> String {
    format!("grown-{}-{number}", run.name)
}

/// Claims and volumes that name each other; the real controller manager binds them.
async fn populate(run: &Run<'_>, driver: &ScriptedDriver, driver_name: &str) -> Result<()> {
    let client = &run.bench.cluster.client;
    load::namespace(client, &run.name).await?;
    let class = json!({
        "metadata": {"name": run.name}, "provisioner": driver_name, "allowVolumeExpansion": true,
    });
    load::call(client, Method::POST, "/apis/storage.k8s.io/v1/storageclasses", &class).await?;
    let claims = claims(run);
    load::each(&format!("{}: making claims and volumes", run.name), QUEUED, async |number| {
        let (claim, volume) = (format!("data-{number}"), volume(run, number));
        driver.add_volume(&volume, 1 << 30);
        let object = json!({
            "metadata": {"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": driver_name}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": run.name,
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": run.name, "name": claim},
                "csi": {"driver": driver_name, "volumeHandle": volume, "fsType": "ext4"},
            },
        });
        load::call(client, Method::POST, VOLUMES, &object).await?;
        let object = json!({
            "metadata": {"name": claim},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": run.name, "volumeName": volume,
            },
        });
        load::call(client, Method::POST, &claims, &object).await.map(drop)
    })
    .await?;
    until(
        "all claims to be bound",
        || String::from("the controller manager binds them"),
        async || {
            Ok(count(client, &claims, |it| it.pointer("/status/phase").is_some_and(|it| it == "Bound"))
                .await?
                == QUEUED)
        },
    )
    .await
}

/// How many objects of a list are as wanted.
async fn count(client: &kube::Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<usize> {
    let list = load::call(client, Method::GET, path, &Value::Null).await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(items.iter().filter(|item| wanted(item)).count())
}
