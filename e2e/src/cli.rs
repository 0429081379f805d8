//! The command line of `lab`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::outside::{self, Request};
use crate::programs::Release;
use crate::spec::{Extent, Task};
use crate::{bench, init, inside, leftovers, places, programs, progress};

const ABOUT: &str =
    "A real Kubernetes on this machine, in namespaces of its own, for as long as one command runs.

  lab -- kubectl get nodes      run a command with KUBECONFIG set, exit with its status
  lab shell                     look around
  lab demo                      the life of a volume, narrated
  lab test [FILTER]             the scenarios on the real control plane and node
  lab bench                     what the sidecars cost";

fn command() -> Command {
    let hidden = |name: &'static str| {
        Command::new(name).hide(true).arg(Arg::new("dir").required(true).value_parser(value_parser!(PathBuf)))
    };
    Command::new("lab")
        .about(ABOUT)
        .arg_required_else_help(true)
        .arg(
            Arg::new("control-plane-only")
                .long("control-plane-only")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("No node: etcd, API server, controller manager and scheduler"),
        )
        .arg(
            Arg::new("bare")
                .long("bare")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("A node, but neither our images nor the hostpath driver"),
        )
        .arg(
            Arg::new("no-driver")
                .long("no-driver")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("A node with our images, but nothing of ours deployed"),
        )
        .arg(
            Arg::new("oldest")
                .long("oldest")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("The oldest Kubernetes that can be built instead of the newest"),
        )
        .arg(
            Arg::new("command").num_args(1..).last(true).value_name("COMMAND").help("What to run in the lab"),
        )
        .subcommand(Command::new("shell").about("A shell in a lab of its own"))
        .subcommand(Command::new("demo").about("Show a volume's life, each step with object, actor and time"))
        .subcommand(
            Command::new("test")
                .about("Run the scenarios on the real control plane and node")
                .arg(Arg::new("filter").default_value("").help("Only scenarios whose name contains this")),
        )
        .subcommand(
            Command::new("bench")
                .about("Measure what the sidecars cost; BASELINE_BIN_DIR=DIR compares")
                .arg(
                    Arg::new("profile")
                        .long("profile")
                        .default_value("release")
                        .help("Cargo profile of the binaries that are measured (BENCH_BIN_DIR: ready ones)"),
                )
                .arg(
                    Arg::new("only")
                        .long("only")
                        .value_parser(bench::PARTS)
                        .help("One part alone, printed and not written to bench.json"),
                ),
        )
        .subcommand(
            Command::new("images")
                .about("Write the image archives of our binaries into a folder")
                .arg(Arg::new("folder").default_value("target/images").value_parser(value_parser!(PathBuf))),
        )
        .subcommand(Command::new("build").about("Only find or build what a lab is made of"))
        .subcommand(Command::new("clean").about("Remove what killed labs left behind"))
        .subcommand(
            Command::new("cache-memory")
                .about("Fill a cache with objects of one kind and print the resident bytes of each")
                .arg(Arg::new("kind").required(true).help("One of volume, claim, attachment, pod, node"))
                .arg(
                    Arg::new("objects")
                        .long("objects")
                        .default_value("50000")
                        .value_parser(value_parser!(usize)),
                )
                .arg(
                    Arg::new("everything")
                        .long("everything")
                        .action(ArgAction::SetTrue)
                        .help("Every section that any sidecar may want, not only a provisioner's"),
                ),
        )
        .subcommand(hidden("init"))
        .subcommand(hidden("inside"))
        .subcommand(hidden("janitor"))
}

/// Parses the command line and does what it asks.
pub(crate) fn run() -> Result<ExitCode> {
    let matches = command().get_matches();
    let extent = extent(&matches);
    let kubernetes = if matches.get_flag("oldest") { Release::Oldest } else { Release::Newest };
    let request = |task: Task, extent: Extent| outside::run(Request { task, extent, kubernetes });
    match matches.subcommand() {
        None => {
            let words: Vec<String> = matches.get_many("command").into_iter().flatten().cloned().collect();
            request(Task::Command(words), extent)
        }
        Some(("shell", _)) => {
            let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
            request(Task::Command(vec![shell]), extent)
        }
        Some(("demo", _)) => request(Task::Demo, Extent::Driver),
        Some(("test", arguments)) => {
            let filter = arguments.get_one::<String>("filter").cloned().unwrap_or_default();
            request(Task::Test { filter }, extent)
        }
        Some(("bench", arguments)) => {
            progress::started();
            let profile = arguments.get_one::<String>("profile").map_or("release", String::as_str);
            let binaries = bench::build::provide(&places::repository()?, profile)?;
            let only = arguments.get_one("only").cloned();
            request(Task::Bench { binaries, only }, Extent::ControlPlane)
        }
        Some(("cache-memory", arguments)) => {
            let kind = arguments.get_one::<String>("kind").map_or("", String::as_str);
            let objects = arguments.get_one("objects").copied().unwrap_or_default();
            bench::cache::fill(kind, objects, arguments.get_flag("everything"))
        }
        Some(("build", _)) => {
            let repository = places::repository()?;
            programs::provide(&repository, kubernetes)?;
            outside::binaries(&repository)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(("images", arguments)) => {
            let folder = arguments.get_one::<PathBuf>("folder").cloned().unwrap_or_default();
            outside::images(&folder)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(("clean", _)) => {
            leftovers::sweep(true)?;
            Ok(ExitCode::SUCCESS)
        }
        Some((name, arguments)) => {
            let dir = arguments.get_one::<PathBuf>("dir").cloned().unwrap_or_default();
            match name {
                "init" => init::run(&dir),
                "inside" => inside::run(&dir),
                _ => leftovers::janitor(&dir),
            }
        }
    }
}

fn extent(matches: &ArgMatches) -> Extent {
    if matches.get_flag("control-plane-only") {
        Extent::ControlPlane
    } else if matches.get_flag("bare") {
        Extent::Node
    } else if matches.get_flag("no-driver") {
        Extent::Images
    } else {
        Extent::Driver
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn words_after_two_dashes_are_the_command() {
        let matches =
            super::command().get_matches_from(["lab", "--bare", "--", "kubectl", "get", "--raw", "/"]);
        let words: Vec<&String> = matches.get_many("command").unwrap().collect();
        assert_eq!(words, ["kubectl", "get", "--raw", "/"]);
        assert!(matches.get_flag("bare"));
    }
}
