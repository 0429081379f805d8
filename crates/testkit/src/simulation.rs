//! Deterministic simulation: whole sidecars, the API server, the controllers around it and the driver on one thread
//! and paused time, while every call can be delayed, refused, lost, left hanging, or be the last one before a crash.
//!
//! One `u64` decides everything. A run that fails panics with its seed, the end of its trace and the command that
//! replays it exactly:
//!
//! ```no_run
//! use testkit::simulation::{Options, World, run};
//!
//! async fn scenario(world: World) -> anyhow::Result<()> {
//!     world.start("sidecar", |incarnation| async move {
//!         let _client = incarnation.client();
//!         incarnation.dead().cancelled().await;
//!     });
//!     world.converge("nothing to do", || Ok(())).await
//! }
//!
//! run(&Options::new("cargo test -p csi-provisioner simulation"), 2000, scenario);
//! ```

mod api_layer;
mod driver_layer;
mod fault;
mod incarnation;
pub mod invariants;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use api_layer::FaultyApi;
pub use driver_layer::FaultyDriver;
pub use fault::Rates;
pub use incarnation::Incarnation;
pub use world::World;

use crate::driver::DriverConfig;
use crate::kcm::KubeOptions;

/// What a simulation is like, apart from the seed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command that runs this simulation; with `SIM_SEED=…` in front it replays one seed.
    pub command: String,
    /// How often what goes wrong.
    pub rates: Rates,
    /// How long things go wrong.
    pub trouble: Duration,
    /// How long after that everything must be as it should.
    pub settle: Duration,
    /// How many calls are too many: something runs in circles.
    pub call_limit: usize,
    /// What the driver is like.
    pub driver: DriverConfig,
    /// The controllers around, `None` for none.
    pub kube: Option<KubeOptions>,
}

impl Options {
    /// The usual trouble for two minutes, then ten minutes to settle.
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            rates: Rates::default(),
            trouble: Duration::from_secs(2 * 60),
            settle: Duration::from_secs(10 * 60),
            call_limit: 50_000,
            driver: DriverConfig::default(),
            kube: Some(KubeOptions { latency: Duration::from_millis(50), ..KubeOptions::default() }),
        }
    }
}

/// How one seed went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash over the whole trace: the same for every run of the same code with this seed.
    pub hash: u64,
    /// Calls made by the sidecars.
    pub calls: usize,
    /// Crashes and exits of sidecars.
    pub restarts: usize,
    /// Simulated time.
    pub elapsed: Duration,
    /// The trace, one line per call and event.
    pub trace: Vec<String>,
}

/// A seed that failed.
#[derive(Debug, Clone)]
pub struct Broken {
    /// What was wrong.
    pub why: String,
    /// How it came to it.
    pub report: Report,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 100;
        let Report { seed, trace, .. } = &self.report;
        let hidden = trace.len().saturating_sub(SHOWN);
        writeln!(formatter, "seed {seed}: {}", self.why)?;
        writeln!(formatter, "--- the last {} of {} steps ---", trace.len() - hidden, trace.len())?;
        trace.iter().skip(hidden).try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

/// Runs one seed.
pub fn simulate<F, Fut>(seed: u64, options: &Options, scenario: F) -> Result<Report, Box<Broken>>
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let broken = |why: String| Box::new(Broken { why, report: Report::empty(seed) });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| broken(format!("no runtime: {error}")))?;
    // Entered for the whole run: clocks and tasks are made before the first await.
    let context = runtime.enter();
    let world = World::new(seed, options.clone());
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(world.play(scenario))));
    let report = world.report();
    drop(context);
    drop(runtime);
    match outcome {
        Ok(Ok(())) => Ok(report),
        Ok(Err(error)) => Err(Box::new(Broken { why: format!("{error:#}"), report })),
        Err(panic) => Err(Box::new(Broken { why: panic_text(panic.as_ref()), report })),
    }
}

impl Report {
    fn empty(seed: u64) -> Self {
        Self { seed, hash: 0, calls: 0, restarts: 0, elapsed: Duration::ZERO, trace: Vec::new() }
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

/// Runs many seeds on all cores and panics at the first one that fails.
///
/// `SIM_SEEDS` overrides how many, `SIM_FIRST` where to start; `SIM_SEED` runs just that one, `SIM_TRACE=1` prints
/// its trace.
pub fn run<F, Fut>(options: &Options, seeds: u64, scenario: F)
where
    F: Fn(World) -> Fut + Sync,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let (first, count) = match number("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(seeds)),
    };
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let found: Mutex<Option<Box<Broken>>> = Mutex::new(None);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let offset = next.fetch_add(1, Ordering::Relaxed);
            if offset >= count {
                return;
            }
            match simulate(first.wrapping_add(offset), options, &scenario) {
                Ok(report) => print_trace(&report),
                Err(broken) => {
                    print_trace(&broken.report);
                    stop.store(true, Ordering::Relaxed);
                    found.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(broken);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(broken) = found {
        fail(&broken, options);
    }
}

/// Runs a few seeds twice: whatever a run depends on is decided by its seed.
#[expect(clippy::expect_used, reason = "a failing seed fails the test that runs it")]
pub fn replays_exactly<F, Fut>(options: &Options, scenario: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    for seed in [3, 4] {
        let first = simulate(seed, options, &scenario).expect("a good run");
        let again = simulate(seed, options, &scenario).expect("a good run");
        for (one, two) in first.trace.iter().zip(&again.trace) {
            assert_eq!(one, two, "the runs of seed {seed} part here");
        }
        assert_eq!(first.hash, again.hash);
    }
}

#[expect(clippy::panic, reason = "a failing seed fails the test that runs it")]
fn fail(broken: &Broken, options: &Options) -> ! {
    panic!("{broken}--- replay with ---\nSIM_SEED={} {}", broken.report.seed, options.command);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn print_trace(report: &Report) {
    if std::env::var_os("SIM_TRACE").is_some() && number("SIM_SEED").is_some() {
        for line in &report.trace {
            eprintln!("{line}");
        }
        eprintln!("hash {:016x}, {} calls, {} restarts", report.hash, report.calls, report.restarts);
    }
}
