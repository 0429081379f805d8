//! The loop: acquire, lead while renewing, give up or let go.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::{ElectionConfig, InvalidElection, JITTER_FACTOR};
use super::lock::{Lock, LockError};
use super::observed::Health;
use super::record::Record;
use crate::api::ErrorKind;
use crate::clock::Clock;
use crate::events::{EventKind, Recorder};
use crate::metrics::LeaderMetrics;
use crate::random::Random;
use crate::shutdown::Shutdown;

/// Reason of the events on the Lease.
const EVENT_REASON: &str = "LeaderElection";

/// Writes of unknown fate to remember: far more than fit between a renewal and the end of its term.
const REMEMBERED: usize = 32;

/// How an election ended. All but [`Outcome::Finished`] leave the exit code to the sidecar's sheet.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The leading work came to an end by itself.
    Finished(T),
    /// A stop was requested while leading; `None` if the work did not end within the grace period.
    Stopped(Option<T>),
    /// A stop was requested while standing by.
    StoodBy,
    /// The Lease could not be kept. The work has been dropped; whatever it left running must not go on.
    Lost,
}

/// Competes for one Lease.
pub struct Elector {
    config: ElectionConfig,
    holder: String,
    lock: Lock,
    clock: Clock,
    random: Random,
    events: Option<Recorder>,
    metrics: Option<LeaderMetrics>,
    health: Health,
    leader: watch::Sender<Arc<str>>,
    /// When the last successful write of our own record was *sent*.
    renewed: Option<Instant>,
    /// What this process has written: the record that was confirmed last, and those sent since whose fate is unknown. A
    /// record with our name that is none of these is somebody else's who has the same name.
    own: Vec<Record>,
    /// Set between [`Elector::run`]'s becoming leader and its end.
    leading: bool,
    /// Whether a write is under way whose outcome nobody may learn if it is dropped.
    writing: bool,
}

impl Elector {
    /// An elector that uses `client`, which should have a budget of its own so that nothing else delays a renewal.
    pub fn new(
        config: ElectionConfig,
        client: kube::Client,
        clock: Clock,
        random: Random,
    ) -> Result<Self, InvalidElection> {
        config.validate()?;
        let holder = config.holder();
        Ok(Self {
            lock: Lock::new(client, &config.namespace, &config.lease_name(), config.labels.clone()),
            health: Health::new(&holder, config.timing.lease_duration, clock.clone()),
            leader: watch::channel("".into()).0,
            holder,
            config,
            clock,
            random,
            events: None,
            metrics: None,
            renewed: None,
            own: Vec::new(),
            leading: false,
            writing: false,
        })
    }

    /// Reports changes as events on the Lease; the recorder's component should be [`ElectionConfig::event_component`].
    #[must_use]
    pub fn with_events(mut self, events: Recorder) -> Self {
        self.events = Some(events);
        self
    }

    /// Keeps the metrics up to date, from now on.
    #[must_use]
    pub fn with_metrics(mut self, metrics: LeaderMetrics) -> Self {
        metrics.set_leading(&self.config.lease_name(), false);
        self.metrics = Some(metrics);
        self
    }

    /// State for `/healthz/leader-election`.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The holder last seen, empty if none; changes as others come and go.
    pub fn leader(&self) -> watch::Receiver<Arc<str>> {
        self.leader.subscribe()
    }

    /// Waits for the Lease, runs `work` while holding it, and returns when either ends or `shutdown` is requested.
    ///
    /// `work` gets a token that is cancelled when it should come to an end. After a requested stop it has three quarters
    /// of the grace period for that, while the Lease is still being renewed; after a loss it is dropped at once.
    pub async fn run<Work, Leading>(mut self, shutdown: &Shutdown, work: Work) -> Outcome<Leading::Output>
    where
        Work: FnOnce(CancellationToken) -> Leading,
        Leading: Future,
    {
        if !self.acquire(shutdown).await {
            self.let_go_of_unseen_success().await;
            self.log_end(false);
            return Outcome::StoodBy;
        }
        tracing::info!(v = 2, "became leader, starting");
        let outcome = self.lead(shutdown, work).await;
        self.leading = false;
        self.set_leading_metric(false);
        self.event("stopped leading");
        let orderly = matches!(outcome, Outcome::Finished(_) | Outcome::Stopped(Some(_)));
        if self.config.release_on_exit && orderly {
            self.release(self.config.timing.renew_deadline).await;
        }
        self.log_end(matches!(outcome, Outcome::Lost));
        outcome
    }

    /// Tries until the Lease is ours (true) or a stop is requested (false).
    async fn acquire(&mut self, shutdown: &Shutdown) -> bool {
        tracing::info!(lock = %self.lock, "Attempting to acquire leader lease...");
        loop {
            let limit = self.clock.monotonic() + self.config.timing.renew_deadline;
            let acquired = tokio::select! {
                biased;
                () = shutdown.requested() => return false,
                acquired = self.attempt(limit) => acquired,
            };
            self.report_leader();
            if acquired {
                break;
            }
            tracing::info!(v = 4, lock = %self.lock, "Failed to acquire lease");
            let period = self.config.timing.retry_period;
            let pause = period + period.mul_f64(JITTER_FACTOR * self.random.f64());
            tokio::select! {
                biased;
                () = shutdown.requested() => return false,
                () = sleep(pause) => {}
            }
        }
        self.leading = true;
        self.event("became leader");
        self.set_leading_metric(true);
        tracing::info!(lock = %self.lock, "Successfully acquired lease");
        true
    }

    /// Runs the work beside the renewals.
    async fn lead<Work, Leading>(&mut self, shutdown: &Shutdown, work: Work) -> Outcome<Leading::Output>
    where
        Work: FnOnce(CancellationToken) -> Leading,
        Leading: Future,
    {
        let token = CancellationToken::new();
        let _cancels_what_outlives_the_work = token.clone().drop_guard();
        let work = work(token.clone());
        accompany(self.keep(), shutdown, &token, work).await
    }

    /// Renews until that is no longer possible.
    async fn keep(&mut self) {
        while self.renew().await {
            tracing::info!(v = 5, lock = %self.lock, "Successfully renewed lease");
            sleep(self.config.timing.renewal_pause()).await;
        }
        tracing::info!(lock = %self.lock, "Failed to renew lease");
    }

    /// One renewal, tried again every retry period until the deadline (true if it worked).
    async fn renew(&mut self) -> bool {
        let timing = self.config.timing;
        let trusted = self.renewed.map_or_else(|| self.clock.monotonic(), |sent| sent + timing.trust());
        let limit = trusted.min(self.clock.monotonic() + timing.renew_deadline);
        loop {
            let renewed = self.attempt(limit).await;
            self.report_leader();
            if renewed {
                return true;
            }
            let next = self.clock.monotonic() + timing.renewal_pause();
            if self.other_holder() || self.clock.monotonic() >= limit {
                return false;
            }
            if next >= limit {
                sleep_until(limit).await;
                return false;
            }
            sleep_until(next).await;
        }
    }

    /// One try to get or renew the Lease. Each call may take half of the time left, so that one that hangs leaves room
    /// for another.
    async fn attempt(&mut self, limit: Instant) -> bool {
        match self.try_acquire_or_renew(limit).await {
            Ok(done) => done,
            Err((text, error)) => {
                tracing::error!(err = %error, lock = %self.lock, "{text}");
                false
            }
        }
    }

    async fn try_acquire_or_renew(&mut self, limit: Instant) -> Result<bool, (&'static str, LockError)> {
        if self.is_holder() && self.health.observed().is_valid(self.clock.monotonic()) {
            match self.write(self.own_record(), limit).await {
                Ok(()) => return Ok(true),
                Err(error) => tracing::info!(
                    v = 2, lock = %self.lock, err = %error,
                    "Failed to update lease optimistically, falling back to slow path"
                ),
            }
        }
        let Some(found) = self
            .lock
            .get(self.half_until(limit))
            .await
            .map_err(|error| ("Error retrieving lease lock", error))?
        else {
            let record = Record { transitions: 0, ..self.new_record() };
            self.create(record, limit)
                .await
                .map_err(|error| ("Error initially creating lease lock", error))?;
            return Ok(true);
        };
        if found != self.health.observed().record || self.health.observed().since.is_none() {
            self.health.observe(found, self.clock.monotonic());
        }
        if self.is_usurped() {
            tracing::error!(
                lock = %self.lock, holder = self.holder,
                "Lease carries our name, but another process wrote it: do two replicas share a hostname?"
            );
            return Ok(false);
        }
        if !self.may_take() {
            tracing::info!(
                v = 4, lock = %self.lock, holder = self.health.observed().record.holder,
                "Lease is held by and has not yet expired"
            );
            return Ok(false);
        }
        if self.is_holder()
            && let Some(metrics) = &self.metrics
        {
            metrics.count_slow_path();
        }
        self.write(self.own_record(), limit).await.map_err(|error| ("Failed to update lease", error))?;
        Ok(true)
    }

    /// A free or expired record may be taken, our own renewed. A leader takes over from nobody: whoever was in between
    /// has led.
    fn may_take(&self) -> bool {
        let observed = self.health.observed();
        observed.record.holder.is_empty()
            || (self.is_holder() && !self.is_usurped())
            || (!self.leading && !observed.is_valid(self.clock.monotonic()))
    }

    fn is_holder(&self) -> bool {
        self.health.observed().record.holder == self.holder
    }

    fn other_holder(&self) -> bool {
        self.is_usurped() || (!self.is_holder() && !self.health.observed().record.holder.is_empty())
    }

    /// Whether we lead and the Lease has our name in a record that we did not write. Who stands by takes such a record
    /// over as client-go does: it is that of the process before us.
    fn is_usurped(&self) -> bool {
        self.leading && self.is_holder() && !self.has_written(&self.health.observed().record)
    }

    /// Whether this process wrote `found`: no two write the same term at the same microsecond.
    fn has_written(&self, found: &Record) -> bool {
        let key = |record: &Record| (record.acquired, record.renewed, record.transitions);
        self.own.iter().any(|own| key(own) == key(found))
    }

    /// The record to write over the one observed: a renewal if that is ours, else a new term.
    fn own_record(&self) -> Record {
        let Record { holder, acquired, transitions, .. } = self.health.observed().record;
        let record = self.new_record();
        if holder == self.holder {
            Record { acquired, transitions, ..record }
        } else {
            Record { transitions: transitions.saturating_add(1), ..record }
        }
    }

    fn new_record(&self) -> Record {
        let now = Some(self.now());
        Record {
            holder: self.holder.clone(),
            duration_seconds: self.config.timing.seconds(),
            acquired: now,
            renewed: now,
            transitions: 0,
        }
    }

    async fn write(&mut self, record: Record, limit: Instant) -> Result<(), LockError> {
        let (sent, timeout) = (self.clock.monotonic(), self.half_until(limit));
        self.writing = true;
        self.remember(&record);
        let written = self.lock.update(&record, timeout).await;
        self.wrote(written, sent)
    }

    async fn create(&mut self, record: Record, limit: Instant) -> Result<(), LockError> {
        let (sent, timeout) = (self.clock.monotonic(), self.half_until(limit));
        self.writing = true;
        self.remember(&record);
        let written = self.lock.create(&record, timeout).await;
        self.wrote(written, sent)
    }

    fn remember(&mut self, record: &Record) {
        if self.own.len() >= REMEMBERED {
            self.own.remove(0);
        }
        self.own.push(record.clone());
    }

    /// A record counts from when it was sent: it cannot have been seen by anybody before.
    fn wrote(&mut self, written: Result<Record, LockError>, sent: Instant) -> Result<(), LockError> {
        // A call without an answer may have been obeyed.
        self.writing = matches!(written, Err(LockError::Timeout(_)));
        let written = written?;
        // Every write before this one was of an older version, so none of them can take effect any more.
        self.own = vec![written.clone()];
        self.health.observe(written, sent);
        self.renewed = Some(sent);
        Ok(())
    }

    /// Where a stop interrupted a write that may have made us holder: frees the Lease rather than let others wait.
    async fn let_go_of_unseen_success(&mut self) {
        if self.config.release_on_exit && self.writing {
            self.release(self.config.timing.renew_deadline.min(Duration::from_secs(2))).await;
        }
    }

    /// Empties the record, if it is still ours, so that the next candidate need not wait for its expiry.
    async fn release(&mut self, within: Duration) {
        let limit = self.clock.monotonic() + within;
        // A renewal that the stop has cut off may still take effect, between our read and our write.
        while self.release_once(limit).await && self.clock.monotonic() < limit {}
    }

    /// One try; whether somebody else was faster, and another one makes sense.
    async fn release_once(&mut self, limit: Instant) -> bool {
        let record = match self.lock.get(self.half_until(limit)).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                tracing::info!(lock = %self.lock, "lease lock not found");
                return false;
            }
            Err(error) => {
                tracing::error!(err = %error, lock = %self.lock, "error retrieving resource lock");
                return false;
            }
        };
        self.health.observe(record.clone(), self.clock.monotonic());
        if record.holder != self.holder || !self.has_written(&record) {
            return false;
        }
        let now = Some(self.now());
        let empty =
            Record { holder: String::new(), duration_seconds: 1, acquired: now, renewed: now, ..record };
        match self.lock.update(&empty, self.half_until(limit)).await {
            Ok(record) => {
                self.health.observe(record, self.clock.monotonic());
                false
            }
            Err(LockError::Api(error)) if ErrorKind::of(&error) == ErrorKind::Conflict => true,
            Err(error) => {
                tracing::error!(err = %error, lock = %self.lock, "Failed to release lease");
                false
            }
        }
    }

    fn half_until(&self, limit: Instant) -> Duration {
        limit.saturating_duration_since(self.clock.monotonic()) / 2
    }

    /// Wall-clock time in the precision of the API.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn report_leader(&self) {
        let holder = self.health.observed().record.holder;
        let changed = self.leader.send_if_modified(|known| {
            let changed = **known != *holder;
            if changed {
                *known = holder.as_str().into();
            }
            changed
        });
        if changed {
            tracing::info!(v = 3, leader = holder, "New leader detected");
        }
    }

    fn set_leading_metric(&self, leading: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.set_leading(&self.config.lease_name(), leading);
        }
    }

    fn event(&self, what: &str) {
        if let Some(events) = &self.events {
            let message = format!("{} {what}", self.holder);
            events.event(&self.lock.reference(), EventKind::Normal, EVENT_REASON, &message);
        }
    }

    /// Upstream's last words, an error where it matters or where upstream's is one (gate on).
    fn log_end(&self, lost: bool) {
        if lost || self.config.release_on_exit {
            tracing::error!("Stopped leading");
        } else {
            tracing::info!("Stopped leading");
        }
    }
}

/// Runs `work` until it ends, `loss` happens, or a stop is requested; then `token` is cancelled and the work has
/// [`work_grace`] to come to an end.
pub(super) async fn accompany<T>(
    loss: impl Future<Output = ()>,
    shutdown: &Shutdown,
    token: &CancellationToken,
    work: impl Future<Output = T>,
) -> Outcome<T> {
    let (mut loss, mut work) = (pin!(loss), pin!(work));
    tokio::select! {
        biased;
        () = &mut loss => return Outcome::Lost,
        () = shutdown.requested() => {}
        output = &mut work => return Outcome::Finished(output),
    }
    token.cancel();
    tokio::select! {
        biased;
        () = &mut loss => Outcome::Lost,
        output = &mut work => Outcome::Stopped(Some(output)),
        () = sleep(work_grace(shutdown)) => Outcome::Stopped(None),
    }
}

/// The work's part of the grace period; the rest is for releasing the Lease and writing the last events.
fn work_grace(shutdown: &Shutdown) -> Duration {
    shutdown.grace() * 3 / 4
}
