//! csi-attacher: carries out VolumeAttachments.
//!
//! Kubernetes' controller manager writes a VolumeAttachment when a volume is needed on a node and deletes it when it no longer
//! is. The attacher asks its driver to attach and to detach, writes the outcome into the status, and guards attachments and
//! volumes with finalizers, so that what a detachment needs to know is not lost. What it decides is in [`policy`], what it
//! says to the driver in [`driver`], what it does in `reconcile`, how it starts in `start`, and when it works in `lead`.
//!
//! A drop-in replacement for the external-attacher of kubernetes-csi: flags, objects, metrics, lease and RBAC rules are the
//! same. Where it is better than upstream is listed in section 13 of its sheet; what of that can be seen from the outside:
//! an attachment takes three writes at most and a detachment one, attaching and detaching have workers of their own, nothing
//! is tried again because of our own writes, and errors reach the user whatever their length.

pub mod driver;
mod flags;
mod lead;
pub mod metrics;
pub mod policy;
mod reconcile;
mod start;

use sidecar_core::context::Context;
use sidecar_core::controller::{self, Controller, unless_stopped};
use sidecar_core::election::names;
use sidecar_core::exit::Exit;
use sidecar_core::http::serve_controller;

pub use flags::Flags;

/// Runs the attacher until a stop is requested or it cannot go on.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let profile = start::profile();
    let (connector, client) = controller::api(&profile, &flags.common, &context).await?;
    // Before the driver is there: a liveness probe must not kill a sidecar that waits for its driver.
    serve_controller(&flags.common.parsed, &context).await?;
    let ready = context.http.health().require("driver");
    let Some((connection, driver)) = unless_stopped(&context, start::driver(&flags, &context)).await? else {
        return Ok(());
    };
    ready.set_ready();

    let lock_name = names::attacher(&driver.name);
    let common = flags.common.clone();
    let controller = Controller { profile, flags: common, context, connector, connection, lock_name };
    // On the heap: most of a process's life is in there, and its state is large.
    Box::pin(lead::Attaching { flags, controller, client, driver }.run()).await
}
