//! 500 claims that want to be larger.

use anyhow::Result;
use csi_client::csi::ControllerExpandVolumeRequest;
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use super::{Arrivals, Claims, Count, QUEUED, Run, Share, all_at_once, is_write, note_calls, until};
use crate::audit;
use crate::bench::report::Report;
use crate::bench::{RESIZER_READY, load};
use crate::progress::say;
use crate::sidecars::RESIZER;

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
    let claims = Claims { client, place: &run.name };
    claims.populate(&driver, &driver_name).await?;
    let sidecar = run.start(&binary, &socket, RESIZER_READY).await?;

    let calls = Count::of(run.bench, RESIZER.binary)?;
    let arrivals = Arrivals::of(&driver, "ControllerExpandVolume");
    let path = claims.path();
    let since = all_at_once(&format!("{}: patching claims", run.name), async |number| {
        let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        load::call(client, Method::PATCH, &format!("{path}/data-{number}"), &larger).await?;
        Ok(claims.volume(number))
    })
    .await?;
    until(
        "all claims to have grown",
        || sidecar.tail(),
        async || {
            let grown = |it: &Value| it.pointer("/status/capacity/storage").is_some_and(|it| it == "2Gi");
            Ok(super::count(client, &path, grown).await? == QUEUED)
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
