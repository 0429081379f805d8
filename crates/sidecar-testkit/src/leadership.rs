//! What every election is like, whoever competes: one leads, the other goes at once when it is told to, and who loses the
//! Lease ends.

use serde_json::json;
use testkit::api::ApiServer;

use crate::{Sidecar, pass, until};

/// Lets a sidecar compete.
pub const ELECT: &str = "--leader-election";
/// Lets it give the Lease away in the end.
pub const RELEASE: &str = "--feature-gates=ReleaseLeaderElectionOnExit=true";

/// A cluster in which sidecars compete.
pub trait Election {
    /// What they compete for, in the namespace `default`.
    const LEASE: &'static str;

    /// Where it is.
    fn server(&self) -> &ApiServer;

    /// Starts a sidecar on a host of this name.
    fn contender(&self, hostname: &str, arguments: &[&str]) -> Sidecar;
}

/// Who has the Lease, empty if nobody.
pub fn holder<E: Election>(cluster: &E) -> String {
    let lease = cluster.server().get("Lease", "default", E::LEASE).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Starts a sidecar on `host-1` and waits until it leads.
pub async fn leader<E: Election>(cluster: &E) -> Sidecar {
    let leader = cluster.contender("host-1", &[ELECT]);
    until("host-1 leads", 1, || holder(cluster) == "host-1", || holder(cluster)).await;
    leader
}

/// A leader on `host-1`, and one that waits on `host-2`.
pub async fn leader_and_standby<E: Election>(cluster: &E) -> (Sidecar, Sidecar) {
    let leader = leader(cluster).await;
    (leader, cluster.contender("host-2", &[ELECT]))
}

/// Upstream's standby swallows the first signal.
pub async fn a_standby_ends_at_once<E: Election>(cluster: &E) {
    let _leader = leader(cluster).await;
    for (gate, code) in [(None, None), (Some(RELEASE), Some(1))] {
        let arguments: Vec<&str> = [ELECT].into_iter().chain(gate).collect();
        let standby = cluster.contender("host-2", &arguments);
        pass(20).await;
        standby.terminate();
        standby.ends_within(1, code).await;
    }
    assert_eq!(holder(cluster), "host-1");
}

/// Somebody else takes the Lease, with which the leader ends. What has been called until then is forgotten.
pub async fn lose<E: Election>(cluster: &E, leader: Sidecar) {
    let other = json!({"spec": {"holderIdentity": "somebody", "renewTime": "2026-11-21T06:00:00.000000Z"}});
    cluster.server().patch("Lease", "default", E::LEASE, &other).unwrap();
    let exit = leader.end().await.expect_err("the lease is lost");
    assert_eq!(exit.code, 1);
    cluster.server().forget_calls();
}
