//! From flags to an election: what `run` of every sidecar with `--leader-election` has in common.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::elector::accompany;
use super::{ElectionConfig, Elector, InvalidElection, Outcome, Timing, names};
use crate::context::Context;
use crate::events::EventSink;
use crate::exit::Exit;
use crate::flags::Parsed;
use crate::shutdown::Shutdown;

/// The flags of leader election.
#[derive(Debug, Clone)]
pub struct ElectionFlags {
    /// Namespace as given, maybe empty.
    pub namespace: String,
    /// Identity as given, maybe empty.
    pub identity: String,
    /// Labels of the Lease.
    pub labels: BTreeMap<String, String>,
    /// Periods that fit together.
    pub timing: Timing,
}

impl ElectionFlags {
    /// Reads them; `None` without `--leader-election`. Periods that do not fit together are refused with upstream's text
    /// and code, but before anything starts.
    pub fn read(parsed: &Parsed) -> Result<Option<Self>, Exit> {
        if !parsed.bool("leader-election") {
            return Ok(None);
        }
        let timing = Timing {
            lease_duration: parsed.duration("leader-election-lease-duration"),
            renew_deadline: parsed.duration("leader-election-renew-deadline"),
            retry_period: parsed.duration("leader-election-retry-period"),
        };
        timing.validate().map_err(|error| refusal(&error))?;
        Ok(Some(Self {
            namespace: parsed.string("leader-election-namespace").to_owned(),
            identity: parsed.string("leader-election-identity").to_owned(),
            labels: parsed.labels("leader-election-labels"),
            timing,
        }))
    }

    /// The election that they ask for. `release` is the gate `ReleaseLeaderElectionOnExit`.
    pub fn config(&self, context: &Context, lock_name: &str, release: bool) -> ElectionConfig {
        let namespace = names::lease_namespace(
            &self.namespace,
            context.variables.get("POD_NAMESPACE"),
            context.account_namespace.as_deref(),
        );
        let identity = if self.identity.is_empty() { &*context.hostname } else { &self.identity };
        ElectionConfig {
            labels: self.labels.clone(),
            timing: self.timing,
            release_on_exit: release,
            ..ElectionConfig::new(lock_name, &namespace, identity)
        }
    }
}

impl Elector {
    /// An elector with the process's metrics, health check and events. `client` should serve nothing else.
    pub fn of_process(
        config: ElectionConfig,
        client: kube::Client,
        context: &Context,
        events: &EventSink,
    ) -> Result<Self, Exit> {
        let recorder = events.recorder(&config.event_component());
        let elector = Self::new(config, client, context.clock.clone(), context.random.fork())
            .map_err(|error| refusal(&error))?
            .with_metrics(context.metrics.leader().clone())
            .with_events(recorder);
        let health = elector.health();
        context.http.health().check_leader(move || health.check().map_err(|error| error.to_string()));
        Ok(elector)
    }
}

fn refusal(error: &InvalidElection) -> Exit {
    Exit::usage(format!("panic: {error}"))
}

/// Runs `work` as leader, or at once where there is no election. In both cases its token is cancelled when a stop is
/// requested, and it is dropped when its part of the grace period is over.
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
    accompany(std::future::pending(), shutdown, &token, work(token.clone())).await
}
