//! How much waits: gauges all the time, a log line when it is much (sheet 13.17).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tracing::info;

use super::{LANES, Shared};
use crate::policy::Operation;

/// How often the gauges are set.
const GAUGES: Duration = Duration::from_secs(5);
/// How often the line may be logged.
const LINE: Duration = Duration::from_secs(30);

/// Reports for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval_at(Instant::now() + GAUGES, GAUGES);
    let mut next_line = Instant::now();
    loop {
        let now = ticks.tick().await;
        for operation in LANES {
            shared.metrics.backlog(operation, shared.attachments.len_of(operation.lane()));
        }
        let waiting = shared.attachments.len();
        if waiting > shared.flags.workers && now >= next_line {
            next_line = now + LINE;
            let of = |operation: Operation| shared.attachments.len_of(operation.lane());
            let (attachments, detachments) = (of(Operation::Attach), of(Operation::Detach));
            info!(
                attachments,
                detachments,
                workers = shared.flags.workers,
                "VolumeAttachments wait for a worker"
            );
        }
    }
}
