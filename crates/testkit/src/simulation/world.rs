//! The world of a run: what there is, what has happened, and how the test waits for what should be.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::{ApiFault, Dice, DriverFault, WatchFault};
use super::trace::Trace;
use super::{Incarnation, Options, Report, panic_text};
use crate::api::{ApiServer, Clock};
use crate::driver::ScriptedDriver;
use crate::kcm::{KubeControllers, KubeOptions};

/// How often a condition is looked at while nothing is written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a process may come back within one run.
const RESTART_LIMIT: usize = 500;

type Invariant = Arc<dyn Fn(&World) -> Result<(), String> + Send + Sync>;

struct Shared {
    seed: u64,
    options: Options,
    api: ApiServer,
    driver: ScriptedDriver,
    clock: Clock,
    start: Instant,
    failed: CancellationToken,
    _kube: Option<KubeControllers>,
    changing: Mutex<Changing>,
}

struct Changing {
    dice: Dice,
    trace: Trace,
    calls: usize,
    restarts: usize,
    invariants: Vec<Invariant>,
    /// Version of the API server and length of the driver's history at the last check.
    checked: (u64, usize),
    failure: Option<String>,
}

/// The world of a run; clones are handles to the same one.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "World(seed {})", self.shared.seed)
    }
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut dice = Dice::new(seed, options.rates);
        let clock = Clock::starting_at(jiff::Timestamp::constant(1_800_000_000, 0));
        let api = ApiServer::with(clock.clone(), dice.seed());
        let driver = ScriptedDriver::new(options.driver.clone());
        let kube = options
            .kube
            .clone()
            .map(|kube| KubeControllers::start(&api, KubeOptions { seed: dice.seed(), ..kube }));
        let changing = Changing {
            dice,
            trace: Trace::default(),
            calls: 0,
            restarts: 0,
            invariants: Vec::new(),
            checked: (0, 0),
            failure: None,
        };
        let shared = Shared {
            seed,
            options,
            api,
            driver,
            clock,
            start: Instant::now(),
            failed: CancellationToken::new(),
            _kube: kube,
            changing: Mutex::new(changing),
        };
        Self { shared: Arc::new(shared) }
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API server itself, where nothing goes wrong: for what users and the test do.
    pub fn api(&self) -> &ApiServer {
        &self.shared.api
    }

    /// The driver itself.
    pub fn driver(&self) -> &ScriptedDriver {
        &self.shared.driver
    }

    /// The wall clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// A number that only the seed decides, for choices of the scenario.
    pub fn seed(&self) -> u64 {
        self.lock().dice.seed()
    }

    /// A duration that only the seed decides.
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.lock().dice.between(millis(from), millis(to))
    }

    /// Writes a line into the trace.
    pub fn note(&self, text: &str) {
        let at = self.elapsed();
        self.lock().trace.add(at, text);
    }

    /// The run has failed; the first reason counts.
    pub fn fail(&self, why: impl Into<String>) {
        self.lock().failure.get_or_insert(why.into());
        self.shared.failed.cancel();
    }

    /// Adds a check that is made after every call that changed something.
    pub fn invariant(&self, check: impl Fn(&World) -> Result<(), String> + Send + Sync + 'static) {
        self.lock().invariants.push(Arc::new(check));
    }

    // ---- processes ----

    /// Starts a sidecar and starts it again, with empty memory, whenever it dies or ends. What the future returns is
    /// written into the trace.
    pub fn start<F, Fut>(&self, name: &str, start: F)
    where
        F: Fn(Incarnation) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: std::fmt::Debug,
    {
        let (world, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            for number in 1..=RESTART_LIMIT {
                let seed = world.seed();
                let incarnation = Incarnation::new(world.clone(), &name, number, seed);
                world.note(&format!("{} starts", incarnation.name()));
                let life = AssertUnwindSafe(start(incarnation.clone())).catch_unwind();
                tokio::select! {
                    biased;
                    () = incarnation.dead().cancelled() => {}
                    ended = life => match ended {
                        Ok(ended) => world.note(&format!("{} ends: {ended:?}", incarnation.name())),
                        Err(panic) => {
                            let text = panic_text(panic.as_ref());
                            world.fail(format!("{} panicked: {text}", incarnation.name()));
                            return;
                        }
                    },
                }
                incarnation.dead().cancel();
                world.lock().restarts += 1;
                let pause = world.between(Duration::from_millis(100), Duration::from_secs(5));
                tokio::time::sleep(pause).await;
            }
            world.fail(format!("{name} was started {RESTART_LIMIT} times"));
        });
    }

    // ---- waiting ----

    /// Waits until things stop going wrong.
    pub async fn calm(&self) {
        tokio::time::sleep_until(self.shared.start + self.shared.options.trouble).await;
        self.note("things stop going wrong");
    }

    /// Waits until `check` is content; the error is its last complaint.
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        mut check: impl FnMut() -> Result<(), String>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let written = self.shared.api.written();
        loop {
            // Made before the look, so that nothing written after it is missed.
            let change = written.notified();
            let Err(complaint) = check() else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!("not within {} s: {what}: {complaint}", within.as_secs());
            }
            tokio::select! {
                biased;
                () = change => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Waits until things stop going wrong, and then for `check`, which must come true within the time to settle.
    pub async fn converge(
        &self,
        what: &str,
        check: impl FnMut() -> Result<(), String>,
    ) -> anyhow::Result<()> {
        self.calm().await;
        self.until(what, self.shared.options.settle, check).await
    }

    // ---- for the layers ----

    fn trouble(&self) -> bool {
        self.elapsed() < self.shared.options.trouble
    }

    pub(super) fn choose_api(&self, write: bool) -> ApiFault {
        let trouble = self.trouble();
        self.lock().dice.api(trouble, write)
    }

    pub(super) fn choose_watch(&self) -> WatchFault {
        let trouble = self.trouble();
        self.lock().dice.watch(trouble)
    }

    pub(super) fn choose_driver(&self) -> DriverFault {
        let trouble = self.trouble();
        self.lock().dice.driver(trouble)
    }

    /// A call is over: it is written down and the invariants are checked if anything has changed.
    pub(super) fn after_call(&self, text: &str) {
        self.note(text);
        let calls = {
            let mut changing = self.lock();
            changing.calls += 1;
            changing.calls
        };
        if calls > self.shared.options.call_limit {
            self.fail(format!("more than {calls} calls: something runs in circles"));
            return;
        }
        self.check();
    }

    fn check(&self) {
        let now = (self.shared.api.version(), self.shared.driver.history_len());
        let invariants = {
            let mut changing = self.lock();
            if changing.checked == now {
                return;
            }
            changing.checked = now;
            changing.invariants.clone()
        };
        if let Some(complaint) = invariants.iter().find_map(|check| check(self).err()) {
            self.fail(format!("invariant broken: {complaint}"));
        }
    }

    // ---- the run ----

    pub(super) async fn play<F, Fut>(&self, scenario: F) -> anyhow::Result<()>
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let failed = self.shared.failed.clone();
        tokio::select! {
            biased;
            () = failed.cancelled() => {}
            outcome = scenario(self.clone()) => outcome?,
        }
        self.check();
        match self.lock().failure.take() {
            Some(failure) => Err(anyhow!(failure)),
            None => Ok(()),
        }
    }

    pub(super) fn report(&self) -> Report {
        let changing = self.lock();
        Report {
            seed: self.shared.seed,
            hash: changing.trace.hash(),
            calls: changing.calls,
            restarts: changing.restarts,
            elapsed: self.shared.start.elapsed(),
            trace: changing.trace.lines(),
        }
    }
}
