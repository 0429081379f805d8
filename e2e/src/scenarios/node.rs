//! What needs a node, but none of our programs.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Scenario, scenario};
use crate::cluster::Cluster;
use crate::spec::Extent;
use crate::workload::Workload;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn all() -> Vec<Scenario> {
    vec![scenario("a_pod_runs_and_reaches_the_api_server_at_its_service_address", Extent::Node, |cluster| {
        Box::pin(pod_reaches_api_server(cluster))
    })]
}

/// In-cluster clients connect to this address; kube-proxy must have programmed it.
async fn pod_reaches_api_server(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    let script = "until nc -w 1 10.96.0.1 443 </dev/null; do sleep 0.2; done; echo reached";
    work.create_pod("reaches", &[], &[], script).await?;
    work.succeeded("reaches", LIMIT).await?;
    let log = work.log("reaches").await?;
    ensure!(log == "reached\n", "the pod printed {log:?}");
    work.delete_pod("reaches").await?;
    work.pod_gone("reaches", LIMIT).await
}
