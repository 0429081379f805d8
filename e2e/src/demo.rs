//! `lab demo`: the life of a volume, each step with the object, the actor and the time.

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::Cluster;

/// Shows it.
pub(crate) async fn run(_cluster: &Cluster) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
