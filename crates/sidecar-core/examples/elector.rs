//! Our elector with the command line and the output of `e2e/programs/elector`, for tests that hand one Lease back and
//! forth between the two.
//!
//! It prints one line per change: `leading`, `observed <holder>` and `stopped`. SIGTERM and SIGINT end it; with
//! `--release` the Lease is given up on the way out.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use kube::config::{KubeConfigOptions, Kubeconfig};
use sidecar_core::api::{Budget, Connector, Purpose};
use sidecar_core::clock::Clock;
use sidecar_core::election::{ElectionConfig, Elector, Outcome, Timing};
use sidecar_core::random::Random;
use sidecar_core::shutdown::{Reason, Shutdown};
use tokio::signal::unix::{SignalKind, signal};

fn command() -> Command {
    let flag = |name: &'static str, default: &'static str| Arg::new(name).long(name).default_value(default);
    Command::new("elector")
        .arg(Arg::new("kubeconfig").long("kubeconfig").required(true))
        .arg(flag("namespace", "default"))
        .arg(Arg::new("lease").long("lease").required(true))
        .arg(Arg::new("identity").long("identity").required(true))
        .arg(flag("lease-duration", "15s"))
        .arg(flag("renew-deadline", "10s"))
        .arg(flag("retry-period", "5s"))
        .arg(Arg::new("release").long("release").action(ArgAction::SetTrue))
}

fn text<'a>(flags: &'a ArgMatches, name: &str) -> &'a str {
    flags.get_one::<String>(name).map_or("", String::as_str)
}

fn duration(flags: &ArgMatches, name: &str) -> Result<Duration, Box<dyn std::error::Error>> {
    Ok(Duration::try_from(sidecar_core::duration::parse(text(flags, name))?)?)
}

fn config(flags: &ArgMatches) -> Result<ElectionConfig, Box<dyn std::error::Error>> {
    Ok(ElectionConfig {
        timing: Timing {
            lease_duration: duration(flags, "lease-duration")?,
            renew_deadline: duration(flags, "renew-deadline")?,
            retry_period: duration(flags, "retry-period")?,
        },
        release_on_exit: flags.get_flag("release"),
        ..ElectionConfig::new(text(flags, "lease"), text(flags, "namespace"), text(flags, "identity"))
    })
}

async fn client(flags: &ArgMatches) -> Result<kube::Client, Box<dyn std::error::Error>> {
    let file = Kubeconfig::read_from(text(flags, "kubeconfig"))?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let connector = Connector::from_config(config, "elector");
    Ok(connector.client(Budget { qps: 5.0, burst: 10 }, Purpose::Leases)?)
}

fn stop_on_signals(shutdown: &Shutdown) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, shutdown) = (signal(kind)?, shutdown.clone());
        tokio::spawn(async move {
            signals.recv().await;
            shutdown.request(Reason::Terminate);
        });
    }
    Ok(())
}

fn print_holders(elector: &Elector) {
    let mut leader = elector.leader();
    tokio::spawn(async move {
        while leader.changed().await.is_ok() {
            println!("observed {}", &*leader.borrow_and_update());
        }
    });
}

async fn run(flags: &ArgMatches) -> Result<Outcome<()>, Box<dyn std::error::Error>> {
    let elector = Elector::new(config(flags)?, client(flags).await?, Clock::system(), Random::system())?;
    let shutdown = Shutdown::default();
    stop_on_signals(&shutdown)?;
    print_holders(&elector);
    let outcome = elector
        .run(&shutdown, async |token| {
            println!("leading");
            token.cancelled().await;
        })
        .await;
    println!("stopped");
    Ok(outcome)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&command().get_matches()).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
