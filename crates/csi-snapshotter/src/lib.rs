//! csi-snapshotter: carries out VolumeSnapshotContents and VolumeGroupSnapshotContents.
//!
//! The snapshot controller writes a content when a snapshot is wanted and marks it when it no longer is. The snapshotter has its
//! driver take the snapshot, follows it until it is ready, writes what it learns into the content's status, has the driver
//! delete the snapshot, and then lets the content go. It never looks at the users' objects, and never creates or deletes any.
//!
//! One snapshot and a group of them are carried out alike: what differs is in [`content`] (the objects) and [`driver`] (the
//! calls); what is decided is in [`policy`], what is done in `reconcile`, how it starts in `start`, and when it works in
//! `lead`.
//!
//! A drop-in replacement for the csi-snapshotter of kubernetes-csi's external-snapshotter: flags, objects, events, metrics,
//! lease and RBAC rules are the same. Where it is better than upstream is listed in section 13 of its sheet; what of that
//! can be seen from the outside: a snapshot's life takes four writes and no read, a snapshot that is not ready costs no
//! write per look, and it is looked at on a schedule of its own; class, parameters and secrets are checked before a content
//! is marked; errors of deletions are in the status too.

pub mod content;
pub mod driver;
pub mod events;
mod flags;
mod lead;
pub mod policy;
mod reconcile;
mod start;

use sidecar_core::context::Context;
use sidecar_core::controller::{self, Controller, unless_stopped};
use sidecar_core::election::names;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::http::serve_controller;

pub use flags::{Flags, Naming};

/// Runs the snapshotter until a stop is requested or it cannot go on.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let profile = start::profile();
    let (connector, client) = controller::api(&profile, &flags.common, &context).await?;
    entry::refuse_two_addresses(&flags.common.parsed)?;
    // Before the driver is there: a liveness probe must not kill a sidecar that waits for its driver.
    serve_controller(&flags.common.parsed, &context).await?;
    let ready = context.http.health().require("driver");
    let Some((connection, driver)) = unless_stopped(&context, start::driver(&flags, &context)).await? else {
        return Ok(());
    };
    ready.set_ready();

    let lock_name = names::snapshotter(&driver.name);
    let common = flags.common.clone();
    let controller = Controller { profile, flags: common, context, connector, connection, lock_name };
    // On the heap: most of a process's life is in there, and its state is large.
    Box::pin(lead::Snapshotting { flags, controller, client, driver }.run()).await
}
