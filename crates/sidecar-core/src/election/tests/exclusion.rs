//! What it is all for: under any faults there is never more than one leader, and there is one again afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};

use super::super::Timing;
use super::server::{Fault, LeaseServer};
use super::{ElectionConfig, Elector, Outcome, seconds, start};
use crate::clock::Clock;
use crate::random::Random;
use crate::shutdown::{Reason, Shutdown};

/// How many seeds are tried; the variable `ELECTION_SEEDS` sets another number.
const SEEDS: u64 = 80;
/// How long calls may fail, and how long all is well thereafter.
const FAULTY: Duration = Duration::from_secs(180);
const CALM: Duration = Duration::from_secs(60);

/// Who leads at the moment, and how often somebody began to.
#[derive(Default)]
struct Leaders {
    current: BTreeMap<String, usize>,
    terms: usize,
}

/// Counts as leading while it lives.
struct Term(Arc<Mutex<Leaders>>, String);

impl Term {
    fn begin(leaders: &Arc<Mutex<Leaders>>, who: &str, seed: u64) -> Self {
        let mut state = leaders.lock().unwrap();
        *state.current.entry(who.to_owned()).or_default() += 1;
        state.terms += 1;
        assert_eq!(state.current.len(), 1, "seed {seed}: {:?} lead at the same time", state.current);
        Self(leaders.clone(), who.to_owned())
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.0.lock().unwrap().current.remove(&self.1);
    }
}

fn fault(random: &Random, trouble: u64) -> Fault {
    if random.below(100) >= trouble {
        return Fault::Slow(Duration::from_millis(random.below(50)), Duration::from_millis(random.below(50)));
    }
    let pause = |random: &Random| Duration::from_millis(random.below(9000));
    match random.below(7) {
        0 => Fault::Refuse(500),
        1 => Fault::Refuse(409),
        2 => Fault::BreakBefore,
        3 => Fault::BreakAfter,
        4 => Fault::Hang,
        5 => Fault::HangAfter(pause(random)),
        _ => Fault::Slow(pause(random), pause(random)),
    }
}

/// Any periods that fit together, eager ones included.
fn timing(random: &Random) -> Timing {
    let retry = 1 + random.below(5);
    let renew = retry * 2 + random.below(5);
    Timing {
        lease_duration: seconds(renew + 1 + random.below(5)),
        renew_deadline: seconds(renew),
        retry_period: seconds(retry),
    }
}

/// A sidecar that is started again whenever it ends, as kubelet would, with a clock that is wrong.
async fn replica(number: u64, server: LeaseServer, leaders: Arc<Mutex<Leaders>>, seed: u64) {
    let random = Random::seeded(seed ^ (number << 32));
    let (name, end) = (format!("pod-{number}"), Instant::now() + FAULTY);
    let skew = jiff::SignedDuration::from_secs(i64::try_from(random.below(7200)).unwrap() - 3600);
    loop {
        // Now and then a replica is cut off altogether: it must stop before the others may go on.
        let (faults, trouble) = (random.fork(), [0, 20, 60, 98][usize::try_from(random.below(4)).unwrap()]);
        let client =
            server.client_with(move |_| fault(&faults, if Instant::now() < end { trouble } else { 0 }));
        let mut config = ElectionConfig::new("driver", "default", &name);
        config.release_on_exit = random.below(2) == 0;
        config.timing = timing(&random);
        let clock = Clock::simulated(start() + skew);
        let elector = Elector::new(config, client, clock, random.fork()).unwrap();
        let shutdown = Shutdown::new(seconds(3));
        let life = random.below(120);
        let stop = async {
            sleep(seconds(life)).await;
            if Instant::now() < end {
                shutdown.request(Reason::Terminate);
            }
            std::future::pending::<()>().await;
        };
        let lead = async |token: tokio_util::sync::CancellationToken| {
            let _term = Term::begin(&leaders, &name, seed);
            token.cancelled().await;
            sleep(Duration::from_millis(random.below(5000))).await;
        };
        let outcome = tokio::select! {
            biased;
            outcome = elector.run(&shutdown, lead) => outcome,
            () = stop => Outcome::StoodBy,
        };
        sleep(Duration::from_millis(random.below(2000) + u64::from(outcome == Outcome::Lost))).await;
    }
}

async fn compete(seed: u64) -> usize {
    let server = LeaseServer::new();
    let leaders = Arc::new(Mutex::new(Leaders::default()));
    let mut replicas = tokio::task::JoinSet::new();
    for number in 0..3 {
        replicas.spawn(replica(number, server.clone(), leaders.clone(), seed));
    }
    tokio::select! {
        biased;
        ended = replicas.join_next() => panic!("seed {seed}: a replica ended: {ended:?}"),
        () = sleep(FAULTY + CALM) => {}
    }
    let state = leaders.lock().unwrap();
    assert_eq!(state.current.len(), 1, "seed {seed}: somebody leads once the faults have ended");
    assert!(state.current.contains_key(&server.holder()), "seed {seed}: and that is the holder");
    let verbs = server.calls().into_iter().map(|call| call.method);
    assert!(
        verbs.into_iter().all(|verb| [Method::GET, Method::POST, Method::PUT].contains(&verb)),
        "seed {seed}"
    );
    state.terms
}

#[test]
fn two_electors_never_both_lead_under_random_delays_and_failures() {
    let seeds = std::env::var("ELECTION_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let mut terms = 0;
    for seed in 0..seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        terms += runtime.block_on(compete(seed));
    }
    assert!(terms as u64 > seeds * 2, "leadership changes hands: {terms} terms in {seeds} runs");
}
