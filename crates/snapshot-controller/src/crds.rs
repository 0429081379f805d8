//! Are the definitions there? (sheet 3, steps 5 and 6; 13.14)
//!
//! Upstream looks for those of groups after those of snapshots and before it serves or competes, so that a cluster without
//! groups waits half a minute at every start, and must restart the controller to get them. Here both are looked for at once, and
//! those of groups for as long as it takes.

use std::time::Duration;

use sidecar_core::api::explained;
use sidecar_core::context::Context;
use sidecar_core::objects::{
    GroupContent, GroupSnapshot, GroupSnapshotClass, Kind, Resource, Snapshot, SnapshotClass, SnapshotContent,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::DropGuard;
use tracing::{info, warn};

use crate::flags::Flags;

/// The kinds without which nothing works.
pub const SNAPSHOTS: [Resource; 3] = [Snapshot::RESOURCE, SnapshotClass::RESOURCE, SnapshotContent::RESOURCE];

/// The kinds that groups need.
pub const GROUPS: [Resource; 3] =
    [GroupSnapshot::RESOURCE, GroupSnapshotClass::RESOURCE, GroupContent::RESOURCE];

/// The first pause, and by how much each is longer than the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const GROWTH: f64 = 1.5;

/// The pause between later looks for the kinds of groups.
const LATER: Duration = Duration::from_secs(60);

/// Looks for `kinds` until they are all there, at most for `limit`; then says what was wrong last.
pub async fn wait_for(client: &kube::Client, kinds: &[Resource], limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(problem) = look(client, kinds).await else { return Ok(()) };
        warn!(err = problem, "Failed to watch: the definitions of some kinds cannot be seen yet");
        if Instant::now() + pause > deadline {
            sleep_until(deadline).await;
            return look(client, kinds).await.map_err(|_| problem);
        }
        sleep(pause).await;
        pause = pause.mul_f64(GROWTH);
    }
}

/// One object of each kind is asked for: whoever may list them will be able to watch them.
async fn look(client: &kube::Client, kinds: &[Resource]) -> Result<(), String> {
    for kind in kinds {
        let request = http::Request::get(format!("{}?limit=1", kind.path())).body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = client.request_text(request).await;
        answer.map_err(|error| format!("failed to list {}: {}", kind.plural, explained(&error)))?;
    }
    Ok(())
}

/// What is known about the kinds of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nobody has looked yet.
    Nothing,
    /// They are not there, or nobody wants them.
    Missing,
    /// They are there.
    Found,
}

/// Whether groups can be worked on. Dropping it ends the search.
#[derive(Debug)]
pub struct Groups {
    known: watch::Receiver<Known>,
    _search: Option<DropGuard>,
}

impl Groups {
    /// Begins to look for the kinds of groups, unless the gate is off.
    pub(crate) fn look_for(flags: &Flags, client: &kube::Client, context: &Context) -> Self {
        if !flags.groups {
            return Self { known: watch::channel(Known::Missing).1, _search: None };
        }
        let (sender, known) = watch::channel(Known::Nothing);
        let end = context.shutdown.token().child_token();
        let (client, limit, guard) = (client.clone(), flags.definitions_wait, end.clone().drop_guard());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = end.cancelled() => {}
                () = search(&client, limit, &sender) => {}
            }
        });
        Self { known, _search: Some(guard) }
    }

    /// Whether the kinds are there, as soon as somebody has looked.
    pub(crate) async fn are_there(&self) -> bool {
        let mut known = self.known.clone();
        match known.wait_for(|known| *known != Known::Nothing).await {
            Ok(known) => *known == Known::Found,
            Err(_) => false,
        }
    }

    /// Completes when the kinds are there; never, if the gate is off.
    pub(crate) async fn found(&self) {
        let mut known = self.known.clone();
        if known.wait_for(|known| *known == Known::Found).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn search(client: &kube::Client, limit: Duration, known: &watch::Sender<Known>) {
    if look(client, &GROUPS).await.is_err() {
        known.send_replace(Known::Missing);
        if let Err(problem) = wait_for(client, &GROUPS, limit).await {
            warn!(
                err = problem,
                "The definitions of volume group snapshots are not there: groups are not worked on until they are"
            );
            while look(client, &GROUPS).await.is_err() {
                sleep(LATER).await;
            }
            info!("The definitions of volume group snapshots have come");
        }
    }
    known.send_replace(Known::Found);
}
