//! What the snapshotter does while it leads, put together.

use std::time::Duration;

use kube::Client;
use sidecar_core::api::explained;
use sidecar_core::context::Context;
use sidecar_core::controller::{Controller, fill_caches};
use sidecar_core::exit::Exit;
use sidecar_core::objects::{GroupContent, GroupSnapshotClass, Interest, Kind, SnapshotContent};
use snapshot_api::names::labels;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::driver::Driver;
use crate::events;
use crate::flags::Flags;
use crate::reconcile::{self, Parts, Stores};

/// The first pause before the API server is asked again for groups.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// A snapshotter that has everything it needs.
pub(crate) struct Snapshotting {
    pub(crate) flags: Flags,
    pub(crate) controller: Controller,
    pub(crate) client: Client,
    pub(crate) driver: Driver,
}

impl Snapshotting {
    /// Works until a stop is requested, or the driver or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        let sink = self.controller.start_events()?;
        let parts = Parts {
            recorder: sink.recorder(&events::component(&self.driver.name)),
            driver: self.driver,
            connection: self.controller.connection.clone(),
            client: self.client,
            context: self.controller.context.clone(),
            flags: self.flags,
        };
        // On the heap: the state of all reconciles is large.
        Box::pin(self.controller.run(&sink, |stop| Box::pin(snapshot(parts, stop)))).await
    }
}

/// The leader's work: fill the caches, then take and delete snapshots, one by one and in groups.
async fn snapshot(parts: Parts, stop: CancellationToken) {
    let interest = interest(&parts);
    let stores = Stores::<SnapshotContent> {
        contents: parts.context.caches.want(interest.clone()),
        classes: parts.context.caches.want(Interest::all()),
        interest,
    };
    if !fill_caches(&parts.context, &parts.client, &stop).await {
        return;
    }
    info!("Starting CSI snapshotter");
    let naming = parts.flags.naming.clone();
    tokio::join!(reconcile::run(parts.clone(), naming, stores, stop.clone()), groups(parts, stop));
    info!("Shutting CSI snapshotter");
}

/// What of contents is watched. Classes are never chosen by label: upstream's are, so that no class is found (13.9).
fn interest(parts: &Parts) -> Interest {
    let ours = Interest::of_drivers([&parts.driver.name]);
    match &parts.flags.node {
        Some(node) => ours.matching(&format!("{}={node}", labels::MANAGED_BY)),
        None => ours,
    }
}

/// The same for groups, as soon as the cluster has them. Upstream asks once, at its start (13.11).
async fn groups(parts: Parts, stop: CancellationToken) {
    if !parts.flags.groups {
        return;
    }
    if parts.flags.node.is_some() {
        info!(
            "Group snapshots need a snapshotter without --node-deployment: their contents belong to no node"
        );
    }
    let caches = parts.context.caches.clone();
    let prepare = async {
        until_there_are_groups(&parts.client, &parts.context, parts.flags.common.timeout).await;
        let interest = interest(&parts);
        let stores = Stores::<GroupContent> {
            contents: caches.want(interest.clone()),
            classes: caches.want(Interest::all()),
            interest,
        };
        caches.start(&parts.client);
        stores.contents.synced().await;
        stores.classes.synced().await;
        stores
    };
    let stores = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        stores = prepare => stores,
    };
    info!("Starting CSI group snapshotter");
    let naming = parts.flags.group_naming.clone();
    reconcile::run(parts, naming, stores, stop).await;
}

/// Asks for one object of both kinds until both can be had.
async fn until_there_are_groups(client: &Client, context: &Context, timeout: Duration) {
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = tokio::time::timeout(timeout, async {
            list_one::<GroupContent>(client).await?;
            list_one::<GroupSnapshotClass>(client).await
        });
        match asked.await {
            Ok(Ok(())) => return,
            // A group that no server knows is a page that no server has: there is no reason in it.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                if pause == FIRST_PAUSE {
                    info!(
                        "The API server has no group snapshots, will look for them again from time to time"
                    );
                }
            }
            Ok(Err(error)) => {
                warn!(err = explained(&error), "Cannot list group snapshot contents and classes");
            }
            Err(_) => warn!("Cannot list group snapshot contents and classes in time"),
        }
        tokio::time::sleep(pause.mul_f64(1.0 + 0.1 * context.random.f64())).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn list_one<T: Kind>(client: &Client) -> Result<(), kube::Error> {
    let request = http::Request::get(format!("{}?limit=1", T::RESOURCE.path()))
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request_text(request).await.map(|_| ())
}
