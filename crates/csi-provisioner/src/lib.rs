//! csi-provisioner: makes volumes for PersistentVolumeClaims and deletes them when nobody claims them any more.
//!
//! It watches claims and volumes. For a claim that is handed to its driver it asks the driver for a volume and saves
//! a PersistentVolume that is bound to the claim; for a released volume it does the reverse. What it decides is in
//! [`policy`], what it says to the driver in [`driver`], what it does in `reconcile`, how it starts in `start`, and
//! when it works in `lead`.
//!
//! A drop-in replacement for the external-provisioner of kubernetes-csi: flags, objects, events, metrics, lease and RBAC
//! rules are the same. Not here yet, and refused with an event or at start: topology, storage capacity, node deployment.

mod driver;
mod events;
mod flags;
mod lead;
mod metrics;
mod policy;
mod reconcile;
mod start;

use sidecar_core::context::Context;
use sidecar_core::controller::{self, Controller, has_attributes_classes, unless_stopped};
use sidecar_core::election::names;
use sidecar_core::exit::Exit;
use sidecar_core::http::serve_controller;
use sidecar_core::metrics::{ProcessMetrics, ProcessSeries};

pub use flags::Flags;

/// Runs the provisioner until a stop is requested or it cannot go on.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let profile = start::profile();
    let (connector, client) = controller::api(&profile, &flags.common, &context).await?;
    context.metrics.register(ProcessMetrics::new(ProcessSeries::All));
    // Before the driver is there: a liveness probe must not kill a sidecar that waits for its driver.
    serve_controller(&flags.common.parsed, &context).await?;
    let ready = context.http.health().require("driver");

    let prepare = async {
        let attributes_class = has_attributes_classes(&flags.common, &client).await;
        let (connection, driver) = start::driver(&flags, &context).await?;
        Ok((attributes_class, connection, driver))
    };
    let Some((attributes_class, connection, driver)) = unless_stopped(&context, prepare).await? else {
        return Ok(());
    };
    ready.set_ready();

    let settings = start::settings(&flags, &context, &driver, attributes_class);
    let lock_name = names::provisioner(driver.names.name());
    let common = flags.common.clone();
    let controller = Controller { profile, flags: common, context, connector, connection, lock_name };
    // On the heap: most of a process's life is in there, and its state is large.
    Box::pin(lead::Provisioning { flags, controller, client, driver, settings }.run()).await
}
