//! From flags to an election: what `run` of every sidecar with `--leader-election` has in common.

use tokio_util::sync::CancellationToken;

use super::{ElectionConfig, Elector, Outcome, Timing, names};
use crate::api::{Budget, Connector, Purpose};
use crate::context::Context;
use crate::events::EventSink;
use crate::exit::Exit;
use crate::flags::Parsed;
use crate::shutdown::Shutdown;

impl ElectionConfig {
    /// The election that the flags ask for. `release` is the gate `ReleaseLeaderElectionOnExit`.
    pub fn from_flags(parsed: &Parsed, context: &Context, lock_name: &str, release: bool) -> Self {
        let identity =
            Some(parsed.string("leader-election-identity")).filter(|identity| !identity.is_empty());
        let namespace = names::lease_namespace(
            parsed.string("leader-election-namespace"),
            context.variables.get("POD_NAMESPACE"),
            names::service_account_namespace().as_deref(),
        );
        Self {
            labels: parsed.labels("leader-election-labels"),
            timing: Timing {
                lease_duration: parsed.duration("leader-election-lease-duration"),
                renew_deadline: parsed.duration("leader-election-renew-deadline"),
                retry_period: parsed.duration("leader-election-retry-period"),
            },
            release_on_exit: release,
            ..Self::new(lock_name, &namespace, identity.unwrap_or(&context.hostname))
        }
    }
}

impl Elector {
    /// The elector that the flags ask for, with its own client, metrics, health check and events; `None` without
    /// `--leader-election`. Refuses periods that do not fit together with upstream's text and code 2.
    pub fn from_flags(
        parsed: &Parsed,
        context: &Context,
        connector: &Connector,
        events: &EventSink,
        config: ElectionConfig,
    ) -> Result<Option<Self>, Exit> {
        if !parsed.bool("leader-election") {
            return Ok(None);
        }
        let recorder = events.recorder(&config.event_component());
        config.validate().map_err(|error| Exit::usage(error.to_string()))?;
        let budget = Budget { qps: parsed.float("kube-api-qps"), burst: parsed.int("kube-api-burst") };
        let client = connector
            .client(budget, Purpose::Leases)
            .map_err(|error| Exit::failure(1, "Failed to create leaderelection client").because(error))?;
        let elector = Self::new(config, client, context.clock.clone(), context.random.fork())
            .map_err(|error| Exit::usage(error.to_string()))?
            .with_metrics(context.metrics.leader().clone())
            .with_events(recorder);
        let health = elector.health();
        context.http.health().check_leader(move || health.check().map_err(|error| error.to_string()));
        Ok(Some(elector))
    }
}

/// Runs `work` as leader, or at once where there is no election. In both cases its token is cancelled when a stop is
/// requested, and it is dropped when the grace period is over.
pub async fn lead<Work, Leading>(
    elector: Option<Elector>,
    shutdown: &Shutdown,
    work: Work,
) -> Outcome<Leading::Output>
where
    Work: FnOnce(CancellationToken) -> Leading,
    Leading: Future,
{
    if let Some(elector) = elector {
        return elector.run(shutdown, work).await;
    }
    let token = CancellationToken::new();
    let _cancels_what_outlives_the_work = token.clone().drop_guard();
    super::elector::accompany(std::future::pending(), shutdown, &token, work(token.clone())).await
}
