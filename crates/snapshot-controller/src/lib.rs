//! snapshot-controller: binds what users ask for to what drivers have.
//!
//! One per cluster, and of no driver: it makes a content for each snapshot, which the csi-snapshotter of the driver then
//! carries out, binds the two, copies what the driver says back into what the user sees, and deletes contents whose
//! snapshots are deleted. It does the same for groups, whose members it makes when they are cut. What it decides is in
//! [`policy`], what it does in `reconcile`, how it starts in `start` and [`crds`], and when it works in `lead`.
//!
//! A drop-in replacement for the snapshot-controller of kubernetes-csi/external-snapshotter: flags, objects, metrics, lease
//! and RBAC rules are the same. Where it is better than upstream is listed in section 13 of its sheet; what of that can be seen from
//! the outside: a snapshot's life takes eight writes instead of twelve, a group is never deleted before it is protected, and
//! what waits for a class, a claim or a node goes on when it comes.

pub mod crds;
pub mod events;
mod flags;
mod lead;
pub mod metrics;
pub mod policy;
mod reconcile;
mod start;

use sidecar_core::context::Context;
use sidecar_core::controller::{self, Controller, NoDriver, unless_stopped};
use sidecar_core::election::names;
use sidecar_core::exit::Exit;
use sidecar_core::http::serve_controller;

pub use flags::Flags;

/// Runs the controller until a stop is requested or it cannot go on.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let profile = start::profile();
    let (connector, client) = controller::api(&profile, &flags.common, &context).await?;
    // Before the definitions are there: a liveness probe must not kill a controller that waits for them.
    serve_controller(&flags.common.parsed, &context).await?;
    let ready = context.http.health().require("definitions");
    let groups = crds::Groups::look_for(&flags, &client, &context);
    let Some(()) = unless_stopped(&context, start::definitions(&flags, &client)).await? else {
        return Ok(());
    };
    ready.set_ready();

    let controller = Controller {
        profile,
        flags: flags.common.clone(),
        context,
        connector,
        connection: NoDriver,
        lock_name: names::snapshot_controller(),
    };
    // On the heap: most of a process's life is in there, and its state is large.
    Box::pin(lead::Leading { flags, controller, client, groups }.run()).await
}
