//! What every controller sidecar does around its own work: API server, driver, events, election, end.
//!
//! Provisioner, attacher, resizer and snapshotter start and end alike; what differs is listed in a [`Profile`]: texts and
//! exit codes (sheet `common-library`, 3.1), a deadline here and there. A sidecar's `run` then reads
//!
//! 1. [`api`]: clients, each with a budget of its own, so that events and leases never wait behind work,
//! 2. [`serve_controller`](crate::http::serve_controller): diagnostics, before the driver is there,
//! 3. [`unless_stopped`] around [`driver`]: dial, wait until it is ready, ask for its name, compare it with the
//!    expected one,
//! 4. [`Controller::run`]: work while it is this replica's turn, until a stop is requested, or the driver or the Lease is
//!    lost. [`fill_caches`] is how that work begins.
//!
//! A controller that belongs to no driver leaves out step 3, has [`Profile::without_driver`], and [`NoDriver`] for a connection.

mod discovery;
mod driver;
mod flags;
mod lead;

use std::time::Duration;

use crate::api::{Connector, Purpose};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::Binary;

pub use discovery::has_attributes_classes;
pub use driver::{Link, driver};
pub use flags::CommonFlags;
pub use lead::{Controller, Lifeline, NoDriver, fill_caches};

/// How one sidecar differs from the next in what they all do. An [`Exit`] in it is a template, which gets the error that
/// made it necessary.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The sidecar; its name goes into the user agent.
    pub binary: Binary,
    /// There is no usable configuration for the API server.
    pub no_config: Exit,
    /// No client could be made of it.
    pub no_client: Exit,
    /// The driver does not answer.
    pub no_connection: Exit,
    /// The driver says that it will not become ready.
    pub not_ready: Exit,
    /// The driver does not tell its name.
    pub no_name: Exit,
    /// Deadline of the question for the name, where it is not `--timeout`.
    pub name_timeout: Option<Duration>,
    /// Whether a driver of this name replaces an in-tree plugin. Its calls are then counted with the label `migrated`, and
    /// it is probed once more, as upstream does.
    pub is_migrated: fn(&str) -> bool,
}

impl Profile {
    /// Of a controller that talks to no driver: what is about one is never used.
    pub fn without_driver(binary: Binary, no_config: Exit, no_client: Exit) -> Self {
        let unused = Exit::failure(1, "There is no CSI driver here");
        Self {
            binary,
            no_config,
            no_client,
            no_connection: unused.clone(),
            not_ready: unused.clone(),
            no_name: unused,
            name_timeout: None,
            is_migrated: |_| false,
        }
    }
}

/// The way to the API server, and a client for the controllers' own work. Nothing is sent yet.
pub async fn api(
    profile: &Profile,
    flags: &CommonFlags,
    context: &Context,
) -> Result<(Connector, kube::Client), Exit> {
    let connector = context
        .api
        .connector(&flags.api, &context.variables, profile.binary.name())
        .await
        .map_err(|error| profile.no_config.clone().because(error))?;
    let client = client(profile, flags, &connector, Purpose::Work)?;
    Ok((connector, client))
}

fn client(
    profile: &Profile,
    flags: &CommonFlags,
    connector: &Connector,
    purpose: Purpose,
) -> Result<kube::Client, Exit> {
    connector.client(flags.budget, purpose).map_err(|error| profile.no_client.clone().because(error))
}

/// What `prepare` returns; `None` if a stop is requested before it is finished.
pub async fn unless_stopped<T>(
    context: &Context,
    prepare: impl Future<Output = Result<T, Exit>>,
) -> Result<Option<T>, Exit> {
    tokio::select! {
        biased;
        () = context.shutdown.requested() => Ok(None),
        prepared = prepare => prepared.map(Some),
    }
}
