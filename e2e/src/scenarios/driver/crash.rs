//! The driver is killed at random moments while callers make, fill, use, snapshot and remove volumes on this node.
//!
//! Each caller knows what was acknowledged to it ([`caller`]). After each kill a new driver is started, every caller repeats
//! the one call that was cut off, as Kubernetes would, and then there must be exactly what was acknowledged ([`place`]):
//! volumes, snapshots, their data, mounts and loop devices, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use rustix::process::Signal;
use tokio::task::JoinSet;

use self::caller::{Caller, Kind};
use self::place::{Place, Session};
use crate::cluster::Cluster;
use crate::component::Component;
use crate::progress::Step;

mod caller;
mod place;

/// How often the driver is killed if the variable `KILLS` does not say.
const KILLS: u32 = 100;
/// The longest life under load.
const LIFE: Duration = Duration::from_millis(150);
/// Of those that are killed while they start: about one in eight.
const YOUNG: Duration = Duration::from_millis(30);
const START: Duration = Duration::from_secs(20);
/// Callers, each with volumes of its own.
const CALLERS: [Kind; 6] =
    [Kind::Directory, Kind::Directory, Kind::Block, Kind::Block, Kind::Filesystem, Kind::Filesystem];

/// What happened, for the report.
#[derive(Default)]
struct Tally {
    young: u32,
    acknowledged: u64,
    cut_off: u64,
    /// Volumes that were found mounted after a kill, and their data read through the mount.
    read: u64,
}

/// Kills the driver often, then looks at everything once more and takes it all back.
pub(super) async fn killed(cluster: &Cluster) -> Result<()> {
    let kills = match std::env::var("KILLS") {
        Ok(text) => text.parse().with_context(|| format!("KILLS={text} is not a number"))?,
        Err(_) => KILLS,
    };
    let began = Instant::now();
    let place = Arc::new(Place::new(&cluster.spec.dir.join("crash"))?);
    let program = cluster.spec.binary("hostpathplugin")?;
    let mut driver = Component::new("crash", program, &cluster.spec.logs(), place.arguments());
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut callers: Vec<Caller> =
        CALLERS.into_iter().enumerate().map(|(number, kind)| Caller::new(kind, number, seed)).collect();
    let mut tally = Tally::default();
    let step = Step::start("killing the driver at random moments");
    for kill in 1..=kills {
        step.note(format!("killing the driver: {kill} of {kills}"));
        let round = round(&place, &mut driver, &mut callers, &mut random, &mut tally).await;
        round.with_context(|| format!("kill {kill} of {kills}, seed {seed}"))?;
    }
    step.note(format!("the driver was killed {kills} times"));
    step.done();

    let session = start(&place, &mut driver).await?;
    settle(&session, &mut callers).await?;
    place.expect_exactly(&session, &callers).await?;
    let (volumes, snapshots) = (count(&callers, Caller::volumes), count(&callers, Caller::snapshots));
    let seconds = began.elapsed().as_secs_f64();
    for caller in &mut callers {
        caller.show_everything(&session).await?;
        caller.take_everything_back(&session).await?;
    }
    place.expect_exactly(&session, &callers).await.context("after everything was taken back")?;
    driver.stop(Signal::TERM)?;
    let Tally { young, acknowledged, cut_off, read } = tally;
    println!(
        "    {kills} kills in {seconds:.0} s, {young} of them during the start: {acknowledged} calls acknowledged, \
         {cut_off} cut off and finished by their retry; data read through {read} mounts after a kill"
    );
    println!(
        "    at the end {volumes} volumes and {snapshots} snapshots were there with their data, and nothing else"
    );
    Ok(())
}

fn count(callers: &[Caller], of: fn(&Caller) -> usize) -> usize {
    callers.iter().map(of).sum()
}

/// One life of the driver, from its start to its violent end.
async fn round(
    place: &Arc<Place>,
    driver: &mut Component,
    callers: &mut Vec<Caller>,
    random: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Result<()> {
    if random.u32(0..8) == 0 {
        driver.start()?;
        tokio::time::sleep(moment(random, YOUNG)).await;
        tally.young += 1;
        return driver.stop(Signal::KILL);
    }
    let session = start(place, driver).await?;
    settle(&session, callers).await?;
    place.expect_exactly(&session, callers).await?;
    for caller in callers.iter() {
        tally.read += caller.read_what_is_mounted(&session)?;
    }

    let killed = Arc::new(AtomicBool::new(false));
    let mut work = JoinSet::new();
    for mut caller in callers.drain(..) {
        let (session, killed) = (session.clone(), killed.clone());
        work.spawn(async move {
            let (done, end) = caller.work(&session).await;
            let violent = killed.load(Ordering::SeqCst);
            (caller, done, end, violent)
        });
    }
    tokio::time::sleep(moment(random, LIFE)).await;
    killed.store(true, Ordering::SeqCst);
    driver.stop(Signal::KILL)?;
    for (caller, done, end, violent) in work.join_all().await {
        tally.acknowledged += done;
        tally.cut_off += 1;
        ensure!(violent, "a call failed before the driver was killed: {end:#}");
        callers.push(caller);
    }
    Ok(())
}

fn moment(random: &mut fastrand::Rng, longest: Duration) -> Duration {
    longest.mul_f64(random.f64())
}

/// A new driver, as soon as it answers.
async fn start(place: &Arc<Place>, driver: &mut Component) -> Result<Session> {
    driver.start()?;
    let deadline = Instant::now() + START;
    while !place.is_open() {
        driver.check()?;
        if Instant::now() > deadline {
            bail!("the driver does not listen within {} s:\n{}", START.as_secs(), driver.tail());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Session::open(place).await
}

/// Every caller repeats what was cut off.
async fn settle(session: &Session, callers: &mut [Caller]) -> Result<()> {
    join_all(callers.iter_mut().map(|caller| caller.repeat(session))).await.into_iter().collect()
}
