//! csi-resizer: makes the volumes of PersistentVolumeClaims larger, and gives them other attributes.
//!
//! It watches claims. One that asks for more than its status promises has its volume expanded by the driver, or, where
//! only nodes can do that, is handed over to kubelet; one that asks for another VolumeAttributesClass has its volume
//! modified. Every step is written into the claim before it is done, so that a size that cannot be had can be taken back
//! and a class is never applied without its quota. What is decided is in [`policy`], what is said to the driver in
//! [`driver`], what is done in `reconcile`, how it starts in `start`, and when it works in `lead`.
//!
//! A drop-in replacement for the external-resizer of kubernetes-csi: flags, objects, events, conditions, metrics, lease and
//! RBAC rules are the same. Where releases differ it follows upstream's master: the gate `AnnotateFsResize` is on
//! unless it is switched off (in the images v2.2.0 and v2.2.1 it is off).

pub mod driver;
pub mod events;
mod flags;
mod lead;
pub mod metrics;
pub mod policy;
mod reconcile;
mod start;

use sidecar_core::context::Context;
use sidecar_core::controller::{self, Controller, has_attributes_classes, unless_stopped};
use sidecar_core::election::names;
use sidecar_core::exit::Exit;
use sidecar_core::http::serve_controller;
use sidecar_core::metrics::{ProcessMetrics, ProcessSeries};

pub use flags::Flags;

/// Runs the resizer until a stop is requested or it cannot go on.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let profile = start::profile();
    let (connector, client) = controller::api(&profile, &flags.common, &context).await?;
    context.metrics.register(ProcessMetrics::new(ProcessSeries::All));
    // Before the driver is there: a liveness probe must not kill a sidecar that waits for its driver.
    serve_controller(&flags.common.parsed, &context).await?;
    let ready = context.http.health().require("driver");

    let prepare = async {
        let attributes_classes = has_attributes_classes(&flags.common, &client).await;
        let (connection, driver) = start::driver(&flags, &context).await?;
        Ok((attributes_classes, connection, driver))
    };
    let Some((attributes_classes, connection, driver)) = unless_stopped(&context, prepare).await? else {
        return Ok(());
    };
    ready.set_ready();

    let lock_name = names::resizer(&driver.name);
    let common = flags.common.clone();
    let controller = Controller { profile, flags: common, context, connector, connection, lock_name };
    lead::Resizing { flags, controller, client, driver, attributes_classes }.run().await
}
