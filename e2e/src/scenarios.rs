//! Scenarios on the real control plane and node.

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::Cluster;

/// Runs them.
pub(crate) async fn run(_cluster: &Cluster, _filter: &str) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
