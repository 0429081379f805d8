//! Two replicas of csi-provisioner: one leads, the other takes over, and no volume is made twice or lost.
//!
//! They are pods of a Deployment, so that a new one has a new name: the pod of a StatefulSet that comes back under its old
//! name is the old leader again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::containers::{self, Container};
use super::pods::Plan;
use super::rules::scale;
use super::{CLASS, LIMIT};
use crate::cluster::Cluster;
use crate::deploy;
use crate::sidecars::PROVISIONER;
use crate::workload::{Bound, Claim, Mode, Workload};

const NAME: &str = "two-provisioners";
/// A Lease that is not given up is free after so many seconds.
const LEASE: u64 = 5;
const ARGUMENTS: [&str; 3] = [
    "--leader-election-lease-duration=5s",
    "--leader-election-renew-deadline=3s",
    "--leader-election-retry-period=1s",
];
/// Claims that are made while nobody leads.
const CLAIMS: usize = 4;

/// The leader's pod is deleted, then the next leader is killed.
pub(super) async fn takes_over(cluster: &Cluster) -> Result<()> {
    scale(cluster, PROVISIONER, 0).await?;
    let replicas = Replicas::start(cluster).await?;
    let others = Workload::volumes_on_disk()?;
    let mut lives = Lives { work: Workload::new(cluster, "default"), claims: Vec::new(), others };
    let first = replicas.leader_other_than("").await?;
    lives.make("before").await?;
    lives.bound().await?;

    let second = replicas.succession(&mut lives, &first, "deleted").await?;
    let third = replicas.succession(&mut lives, &second, "killed").await?;
    ensure!(third != second && second != first, "{first}, {second}, {third} are not three leaders in turn");

    lives.each_has_one(cluster).await?;
    lives.end().await?;
    replicas.end().await?;
    scale(cluster, PROVISIONER, 1).await?;
    deploy::ready(cluster).await
}

struct Replicas<'a> {
    cluster: &'a Cluster,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
    leases: Api<Lease>,
    lease: &'static str,
}

impl<'a> Replicas<'a> {
    async fn start(cluster: &'a Cluster) -> Result<Self> {
        let client = || cluster.client.clone();
        let lease = PROVISIONER.account()?.lease;
        let replicas = Self {
            cluster,
            deployments: Api::namespaced(client(), "default"),
            pods: Api::namespaced(client(), "default"),
            leases: Api::namespaced(client(), "default"),
            lease,
        };
        // The one before had longer terms.
        if replicas.leases.get_opt(lease).await?.is_some() {
            replicas.leases.delete(lease, &DeleteParams::default()).await?;
        }
        let plan = Plan::like(cluster, PROVISIONER).await?.with(&ARGUMENTS.map(str::to_owned));
        let spec = plan.set("restartPolicy", json!("Always")).into_spec();
        let labels = json!({"app": NAME});
        let deployment = json!({
            "metadata": {"name": NAME},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        });
        replicas.deployments.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
        replicas.both_run().await?;
        Ok(replicas)
    }

    async fn both_run(&self) -> Result<()> {
        self.cluster
            .quietly_until("two replicas", LIMIT, async || {
                let status = self.deployments.get(NAME).await?.status.unwrap_or_default();
                Ok((status.ready_replicas == Some(2)).then_some(()))
            })
            .await
    }

    /// Waits until a pod that is not `before` holds the Lease.
    async fn leader_other_than(&self, before: &str) -> Result<String> {
        self.cluster
            .quietly_until(&format!("leader after {before:?}"), LIMIT, async || {
                let holder = self.leases.get(self.lease).await?.spec.and_then(|spec| spec.holder_identity);
                // The provisioner's identity begins with a time and the process' number, and ends with the host's name.
                let pods = self.pods.list(&ListParams::default().labels(&format!("app={NAME}"))).await?;
                let names = pods.into_iter().filter_map(|pod| pod.metadata.name);
                let holder = holder.unwrap_or_default();
                Ok(names.filter(|name| holder.contains(name.as_str())).find(|name| name != before))
            })
            .await
    }

    /// Ends the leader while claims are made; the other one leads within a Lease's duration and some, and serves them.
    async fn succession(&self, lives: &mut Lives<'_>, leader: &str, how: &str) -> Result<String> {
        let began = Instant::now();
        if how == "killed" {
            let container = Container { pod: leader.to_owned(), name: PROVISIONER.container };
            containers::signal(self.cluster, &container, "SIGKILL").await?;
            // Or kubelet starts it again under its name.
            self.pods.delete(leader, &DeleteParams::default().grace_period(0)).await?;
        } else {
            self.pods.delete(leader, &DeleteParams::default()).await?;
        }
        lives.make(how).await?;
        let next = self.leader_other_than(leader).await?;
        let leads = began.elapsed();
        lives.bound().await.with_context(|| format!("after {leader} was {how}"))?;
        let serves = began.elapsed();
        println!(
            "    leader {how}: the other leads after {:.1} s (a Lease lasts {LEASE} s), {CLAIMS} waiting claims are bound after {:.1} s",
            leads.as_secs_f64(),
            serves.as_secs_f64()
        );
        ensure!(leads < Duration::from_secs(LEASE * 3), "that took too long");
        self.both_run().await?;
        Ok(next)
    }

    async fn end(&self) -> Result<()> {
        self.deployments.delete(NAME, &DeleteParams::background()).await?;
        self.cluster
            .quietly_until("end of both replicas", LIMIT, async || {
                let pods = self.pods.list(&ListParams::default().labels(&format!("app={NAME}"))).await?;
                Ok(pods.items.is_empty().then_some(()))
            })
            .await?;
        self.leases.delete(self.lease, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// The claims and what they are bound to.
struct Lives<'a> {
    work: Workload<'a>,
    claims: Vec<String>,
    /// Volumes on the disk that are not theirs.
    others: usize,
}

impl Lives<'_> {
    async fn make(&mut self, when: &str) -> Result<()> {
        for number in 0..CLAIMS {
            let name = format!("{when}-{number}");
            self.work.create_claim(&Claim { name: &name, class: CLASS, mode: Mode::Filesystem }).await?;
            self.claims.push(name);
        }
        Ok(())
    }

    async fn bound(&self) -> Result<Vec<Bound>> {
        let mut all = Vec::new();
        for claim in &self.claims {
            all.push(self.work.bound(claim, LIMIT).await?);
        }
        Ok(all)
    }

    /// As many volumes as claims, in the API and on the disk.
    async fn each_has_one(&self, cluster: &Cluster) -> Result<()> {
        let bound = self.bound().await?;
        for Bound { handle, .. } in &bound {
            ensure!(!Workload::backing(handle).is_empty(), "volume {handle} is not on the disk");
        }
        let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
        let claimed = volumes.list(&ListParams::default()).await?.items.into_iter();
        let claimed = claimed.filter_map(|volume| volume.spec?.claim_ref?.name);
        let objects = claimed.filter(|name| self.claims.contains(name)).count();
        let stored = Workload::volumes_on_disk()? - self.others;
        ensure!(
            objects == self.claims.len() && stored == self.claims.len(),
            "{} claims, {objects} PersistentVolumes, {stored} volumes on the disk",
            self.claims.len()
        );
        Ok(())
    }

    async fn end(&self) -> Result<()> {
        let bound = self.bound().await?;
        for claim in &self.claims {
            self.work.delete_claim(claim).await?;
        }
        for Bound { name, .. } in &bound {
            self.work.volume_gone(name, LIMIT).await?;
        }
        Ok(())
    }
}
