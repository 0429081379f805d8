//! One Lease, two electors: ours and an independent one of client-go (`e2e/programs/elector`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};
use sidecar_core::clock::Clock;
use sidecar_core::election::{ElectionConfig, Elector, Timing};
use sidecar_core::random::Random;
use sidecar_core::shutdown::{Reason, Shutdown};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::{self, Cluster};

const LEASE: &str = "handed-over";
const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(4),
    renew_deadline: Duration::from_secs(3),
    retry_period: Duration::from_millis(500),
};
/// Longer than a lease that nobody gives up.
const LIMIT: Duration = Duration::from_secs(20);

/// Given up and taken, then abandoned and taken, in both directions.
pub(super) async fn back_and_forth(cluster: &Cluster) -> Result<()> {
    let mut ours = Ours::start(cluster).await?;
    ours.leads().await?;
    let mut theirs = Theirs::start(cluster)?;
    theirs.says("observed ours").await?;
    expect(cluster, "ours", 0).await?;

    ours.give_up().await?;
    theirs.says("leading").await?;
    expect(cluster, "theirs", 1).await?;

    let mut ours = Ours::start(cluster).await?;
    ours.sees("theirs").await?;
    theirs.end(Signal::TERM)?;
    ours.leads().await?;
    expect(cluster, "ours", 2).await?;

    let mut theirs = Theirs::start(cluster)?;
    theirs.says("observed ours").await?;
    ours.vanish().await;
    theirs.says("leading").await?;
    expect(cluster, "theirs", 3).await?;

    let mut ours = Ours::start(cluster).await?;
    ours.sees("theirs").await?;
    theirs.end(Signal::KILL)?;
    ours.leads().await?;
    expect(cluster, "ours", 4).await?;
    ours.give_up().await
}

/// Checks the record: who holds it, and how often it has changed hands.
async fn expect(cluster: &Cluster, holder: &str, transitions: i32) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "default");
    let spec = leases.get(LEASE).await?.spec.context("the Lease is empty")?;
    let found = (spec.holder_identity.as_deref(), spec.lease_transitions);
    ensure!(
        found == (Some(holder), Some(transitions)),
        "expected {holder} after {transitions} transitions, got {found:?}"
    );
    Ok(())
}

/// Our elector, in this process.
struct Ours {
    shutdown: Shutdown,
    leading: mpsc::UnboundedReceiver<()>,
    leader: tokio::sync::watch::Receiver<std::sync::Arc<str>>,
    task: JoinHandle<()>,
}

impl Ours {
    async fn start(cluster: &Cluster) -> Result<Self> {
        let mut config = ElectionConfig::new(LEASE, "default", "ours");
        config.timing = TIMING;
        config.release_on_exit = true;
        let client = cluster::client(&cluster.pki.kubeconfig("admin")).await?;
        let elector = Elector::new(config, client, Clock::system(), Random::system())?;
        let leader = elector.leader();
        let (tell, leading) = mpsc::unbounded_channel();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            let work = |token: tokio_util::sync::CancellationToken| async move {
                let _ = tell.send(());
                token.cancelled().await;
            };
            elector.run(&stop, work).await;
        });
        Ok(Self { shutdown, leading, leader, task })
    }

    async fn leads(&mut self) -> Result<()> {
        let told = tokio::time::timeout(LIMIT, self.leading.recv())
            .await
            .context("our elector does not become leader")?;
        told.context("our elector ended instead of leading")
    }

    async fn sees(&mut self, holder: &str) -> Result<()> {
        let seen = self.leader.wait_for(|leader| leader.as_ref() == holder);
        tokio::time::timeout(LIMIT, seen)
            .await
            .with_context(|| format!("our elector does not see {holder}"))??;
        ensure!(self.leading.is_empty(), "our elector leads beside {holder}");
        Ok(())
    }

    async fn give_up(self) -> Result<()> {
        self.shutdown.request(Reason::Terminate);
        tokio::time::timeout(LIMIT, self.task).await.context("our elector does not stop")??;
        Ok(())
    }

    /// As a crash would: nothing more is written.
    async fn vanish(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// client-go's elector, a process.
struct Theirs {
    process: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Theirs {
    fn start(cluster: &Cluster) -> Result<Self> {
        let seconds = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut process = Command::new(cluster.spec.program("elector")?)
            .arg(format!("--kubeconfig={}", cluster.pki.kubeconfig("admin")))
            .args(["--namespace=default", &format!("--lease={LEASE}"), "--identity=theirs", "--release"])
            .arg(format!("--lease-duration={}", seconds(TIMING.lease_duration)))
            .arg(format!("--renew-deadline={}", seconds(TIMING.renew_deadline)))
            .arg(format!("--retry-period={}", seconds(TIMING.retry_period)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the elector of client-go")?;
        let output = process.stdout.take().context("the elector has no output")?;
        let (tell, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Ok(Self { process, lines })
    }

    async fn says(&mut self, wanted: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut heard = Vec::new();
        loop {
            match tokio::time::timeout_at(deadline, self.lines.recv()).await {
                Ok(Some(line)) if line == wanted => return Ok(()),
                Ok(Some(line)) => heard.push(line),
                Ok(None) => bail!("client-go's elector ended without saying {wanted:?}; it said {heard:?}"),
                Err(_) => bail!("client-go's elector does not say {wanted:?}; it said {heard:?}"),
            }
        }
    }

    fn end(mut self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("impossible process id")?;
        kill_process(pid, signal)?;
        self.process.wait()?;
        Ok(())
    }
}
