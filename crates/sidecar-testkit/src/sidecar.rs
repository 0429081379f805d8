//! A sidecar from its command line to its end, as a task.

use std::time::Duration;

use csi_client::{Connection, ConnectionSettings};
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Builder, Context, DriverConnector};
use sidecar_core::exit::Exit;
use sidecar_core::metrics::Metrics;
use sidecar_core::random::Random;
use sidecar_core::shutdown::{Reason, Shutdown};
use testkit::api::ApiServer;
use testkit::driver::ScriptedDriver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::EPOCH;

/// What a process of this binary on this host shares; it acts as the user of the same name. Without a driver.
pub fn context(server: &ApiServer, binary: &str, hostname: &str) -> Builder {
    Context::builder()
        .clock(Clock::simulated(EPOCH.parse().unwrap()))
        .random(Random::seeded(1))
        .hostname(hostname)
        .api(ApiAccess::through(Connector::from_service(server.service_as(binary), binary)))
}

/// Connects to this driver, whatever the address.
pub fn connector(driver: &ScriptedDriver) -> DriverConnector {
    let driver = driver.clone();
    connects(move |settings| Connection::from_service(driver.service(), settings))
}

pub(crate) fn connects<F>(connect: F) -> DriverConnector
where
    F: Fn(ConnectionSettings) -> Connection + Send + Sync + 'static,
{
    DriverConnector::new(move |_, options| {
        let settings = ConnectionSettings { metrics: options.metrics, ..ConnectionSettings::default() };
        let connection = connect(settings);
        Box::pin(async move { Ok(connection) })
    })
}

/// These flags, the second ones on top of the first.
pub fn command_line(defaults: &[&str], arguments: &[&str]) -> Vec<String> {
    defaults.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
}

/// A running sidecar; dropping it kills it.
pub struct Sidecar {
    /// What it measures.
    pub metrics: Metrics,
    arguments: Vec<String>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Exit>>,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sidecar {
    /// Starts `whole`, which is what `main` does with a command line.
    pub fn start<F, R>(arguments: Vec<String>, context: Context, whole: F) -> Self
    where
        F: FnOnce(Vec<String>, Context) -> R,
        R: Future<Output = Result<(), Exit>> + Send + 'static,
    {
        let (metrics, shutdown) = (context.metrics.clone(), context.shutdown.clone());
        let task = tokio::spawn(whole(arguments.clone(), context));
        Self { metrics, arguments, shutdown, task }
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.shutdown.request(Reason::Terminate);
    }

    /// Waits for the end.
    pub async fn end(mut self) -> Result<(), Exit> {
        let limit = Duration::from_secs(3600);
        tokio::time::timeout(limit, &mut self.task)
            .await
            .expect("the sidecar ends")
            .expect("it does not panic")
    }

    /// Waits for the end, which comes in less than so many seconds, with this code; `None` is one without an error.
    pub async fn ends_within(self, seconds: u64, code: Option<u8>) {
        let start = Instant::now();
        let end = self.end().await;
        assert!(start.elapsed() < Duration::from_secs(seconds), "{:?}", start.elapsed());
        assert_eq!(end.err().map(|exit| exit.code), code);
    }

    /// Waits for the end, which has a reason: with this code, and this in its text (which may be empty for any).
    pub async fn ends_with(self, code: u8, text: &str) {
        let arguments = self.arguments.clone();
        let exit = self.end().await.expect_err("it ends for a reason");
        assert_eq!(exit.code, code, "{arguments:?}: {exit}");
        assert!(exit.to_string().contains(text), "{arguments:?}: {exit}");
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// The value of a series, written as it is printed; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}
