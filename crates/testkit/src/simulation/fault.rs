//! What can go wrong with a call, and how a seed chooses.

use std::time::Duration;

use tonic::Code;

use crate::api::Failure;
use crate::driver::Step;

/// How often things go wrong, in thousandths of the calls. A seed leaves out each kind of fault with even chance, so
/// that also combinations are tried in which one kind does not hide another.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// API calls that something happens to.
    pub api: u32,
    /// Driver calls that something happens to.
    pub driver: u32,
    /// Calls before or after which the process dies.
    pub crash: u32,
    /// Watches that end in a bad way.
    pub watch: u32,
    /// Calls that take a moment, in all phases.
    pub latency: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { api: 150, driver: 250, crash: 10, watch: 500, latency: 300 }
    }
}

impl Rates {
    /// Nothing goes wrong; calls still take their time.
    pub fn calm() -> Self {
        Self { api: 0, driver: 0, crash: 0, watch: 0, latency: 300 }
    }
}

/// What happens to an API call.
#[derive(Debug, Clone)]
pub(super) enum ApiFault {
    None,
    Late(Duration),
    /// Works, and the answer takes long.
    LateAnswer(Duration),
    /// Refused before anything happened; `None` is a broken connection.
    Before(Option<Failure>),
    /// Takes effect, then this is what the caller sees.
    After(Option<Failure>),
    Hang,
    HangAfter,
    /// Somebody else writes the object just before.
    Race,
    CrashBefore,
    CrashAfter,
}

/// What happens to a watch.
#[derive(Debug, Clone, Copy)]
pub(super) enum WatchFault {
    None,
    /// The stream ends as if its time were over.
    End(Duration),
    /// The connection breaks.
    Break(Duration),
    /// The server says 410.
    Expire(Duration),
    /// Nothing arrives for a while.
    Stall(Duration, Duration),
}

/// What happens to a driver call.
#[derive(Debug, Clone)]
pub(super) enum DriverFault {
    Step(Step),
    /// The call is lost on the way: the caller sees a broken connection.
    Lost,
    CrashBefore,
    CrashAfter,
}

const API_KINDS: usize = 11;
const DRIVER_KINDS: usize = 6;
const WATCH_KINDS: usize = 4;

/// The dice of a run.
#[derive(Debug)]
pub(super) struct Dice {
    random: fastrand::Rng,
    rates: Rates,
    api: [bool; API_KINDS],
    driver: [bool; DRIVER_KINDS],
    watch: [bool; WATCH_KINDS],
    crash: bool,
}

impl Dice {
    pub(super) fn new(seed: u64, rates: Rates) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let api = std::array::from_fn(|_| random.bool());
        let driver = std::array::from_fn(|_| random.bool());
        let watch = std::array::from_fn(|_| random.bool());
        let crash = random.bool();
        Self { random, rates, api, driver, watch, crash }
    }

    pub(super) fn seed(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// A duration between the two, to the millisecond.
    pub(super) fn between(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..=to))
    }

    fn hits(&mut self, per_mille: u32) -> bool {
        self.random.u32(0..1000) < per_mille
    }

    fn crashes(&mut self, trouble: bool) -> Option<bool> {
        let crash = self.hits(self.rates.crash) && trouble && self.crash;
        crash.then(|| self.random.bool())
    }

    /// The moment that any call may take.
    fn latency(&mut self) -> Option<Duration> {
        self.hits(self.rates.latency).then(|| self.between(1, 30))
    }

    pub(super) fn api(&mut self, trouble: bool, write: bool) -> ApiFault {
        match self.crashes(trouble) {
            Some(true) => return ApiFault::CrashBefore,
            Some(false) => return ApiFault::CrashAfter,
            None => {}
        }
        let kind = self.random.usize(0..API_KINDS);
        let enabled = self.api.get(kind).copied().unwrap_or_default();
        if !(trouble && self.hits(self.rates.api) && enabled) {
            return self.latency().map_or(ApiFault::None, ApiFault::Late);
        }
        match kind {
            0 => ApiFault::Late(self.between(30, 8_000)),
            1 => ApiFault::LateAnswer(self.between(30, 8_000)),
            2 => ApiFault::Before(None),
            3 => ApiFault::Before(Some(Failure::unavailable(
                "the server is currently unable to handle the request",
            ))),
            4 => ApiFault::Before(Some(Failure::internal("etcdserver: leader changed"))),
            5 => ApiFault::After(None),
            6 => ApiFault::After(Some(Failure::timeout("request did not complete within requested timeout"))),
            7 => ApiFault::Hang,
            8 => ApiFault::HangAfter,
            9 => ApiFault::Before(Some(Failure::too_many_requests(1))),
            _ if write => ApiFault::Race,
            _ => ApiFault::None,
        }
    }

    pub(super) fn watch(&mut self, trouble: bool) -> WatchFault {
        let kind = self.random.usize(0..WATCH_KINDS);
        let enabled = self.watch.get(kind).copied().unwrap_or_default();
        if !(trouble && self.hits(self.rates.watch) && enabled) {
            return WatchFault::None;
        }
        let after = self.between(0, 30_000);
        match kind {
            0 => WatchFault::End(after),
            1 => WatchFault::Break(after),
            2 => WatchFault::Expire(after),
            _ => WatchFault::Stall(after, self.between(100, 20_000)),
        }
    }

    pub(super) fn driver(&mut self, trouble: bool) -> DriverFault {
        match self.crashes(trouble) {
            Some(true) => return DriverFault::CrashBefore,
            Some(false) => return DriverFault::CrashAfter,
            None => {}
        }
        let kind = self.random.usize(0..DRIVER_KINDS);
        let enabled = self.driver.get(kind).copied().unwrap_or_default();
        if !(trouble && self.hits(self.rates.driver) && enabled) {
            let step = self.latency().map_or(Step::Normal, Step::late);
            return DriverFault::Step(step);
        }
        let late = self.random.bool().then(|| self.between(10, 20_000));
        let step = match kind {
            0 => Step::Normal,
            // Final answers: nothing was done and nothing goes on.
            1 => {
                self.refusal(&[Code::Internal, Code::ResourceExhausted, Code::InvalidArgument, Code::Unknown])
            }
            // Answers that leave it open; here nothing was done.
            2 => self.refusal(&[Code::Unavailable, Code::Aborted, Code::DeadlineExceeded, Code::Cancelled]),
            // The same, but the work is done.
            3 => match self.refusal(&[Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled]) {
                Step::Fail(code, text) => Step::FailAfter(code, text),
                other => other,
            },
            4 => {
                if self.random.bool() {
                    Step::Hang
                } else {
                    Step::HangAfter
                }
            }
            _ => return DriverFault::Lost,
        };
        DriverFault::Step(match late {
            Some(delay) => Step::Late(delay, Box::new(step)),
            None => step,
        })
    }

    fn refusal(&mut self, codes: &[Code]) -> Step {
        let code = self.random.choice(codes).copied().unwrap_or(Code::Unavailable);
        Step::fail(code, format!("simulated {code:?}"))
    }
}
