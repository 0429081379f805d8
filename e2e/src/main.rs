//! The lab: a real etcd, API server, controller manager, scheduler, kubelet and containerd on one
//! machine, for demonstrations, scenarios, benchmarks and any command that wants a cluster.
//!
//! Everything runs in namespaces of its own ([`outside`] enters them, [`init`] is their first process,
//! [`inside`] is what happens there), so that whatever ends the lab, nothing of it stays behind.

use std::process::ExitCode;

mod audit;
mod bench;
mod cli;
mod cluster;
mod component;
mod control_plane;
mod demo;
mod deploy;
mod images;
mod init;
mod inside;
mod leftovers;
mod machine;
mod node;
mod outside;
mod packages;
mod pki;
mod places;
mod programs;
mod progress;
mod scenarios;
mod sidecars;
mod spec;
mod tar;
mod workload;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            progress::trouble(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
