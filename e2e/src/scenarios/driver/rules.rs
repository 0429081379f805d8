//! The service account's rules: which can go, and what is said when one is missing that cannot.
//!
//! csi-provisioner runs as a plain process with the account's token here, so that each try starts within a second.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustix::process::Signal;
use serde_json::json;

use super::{CLASS, LIMIT, short_life};
use crate::cluster::Cluster;
use crate::component::Component;
use crate::deploy;
use crate::machine;
use crate::pki;
use crate::workload::{Claim, Mode, Workload};
use crate::{audit, control_plane};

const ACCOUNT: &str = "csi-provisioner";
const SET: &str = "csi-hostpath-provisioner";
const CLUSTER_ROLE: &str = "external-provisioner-runner";
const ROLE: &str = "external-provisioner-cfg";
const LEASE: &str = "hostpath-csi-k8s-io";
/// Resources without which this deployment does not work; every other rule is for features that it does not use.
const NEEDED: &[&str] =
    &["persistentvolumes", "persistentvolumeclaims", "storageclasses", "events", "leases"];

/// Where a rule stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Cluster,
    Namespace,
}

/// The account's rights, changed one at a time and put back.
struct Rights<'a> {
    cluster: &'a Cluster,
    roles: Api<Role>,
    cluster_roles: Api<ClusterRole>,
    kubeconfig: String,
    all: Vec<(Place, PolicyRule)>,
}

impl<'a> Rights<'a> {
    /// Stops the deployed provisioner and reads the rules.
    async fn take(cluster: &'a Cluster) -> Result<Self> {
        scale(cluster, 0).await?;
        let roles: Api<Role> = Api::namespaced(cluster.client.clone(), "default");
        let cluster_roles: Api<ClusterRole> = Api::all(cluster.client.clone());
        let mut all = Vec::new();
        all.extend(
            cluster_roles
                .get(CLUSTER_ROLE)
                .await?
                .rules
                .unwrap_or_default()
                .into_iter()
                .map(|rule| (Place::Cluster, rule)),
        );
        all.extend(
            roles.get(ROLE).await?.rules.unwrap_or_default().into_iter().map(|rule| (Place::Namespace, rule)),
        );
        Ok(Self { cluster, roles, cluster_roles, kubeconfig: kubeconfig(cluster).await?, all })
    }

    /// Leaves only the rules that `keep` accepts, and waits until the API server goes by them.
    async fn keep(&self, keep: impl Fn(&PolicyRule) -> bool) -> Result<()> {
        let rules = |place: Place| -> Vec<&PolicyRule> {
            self.all.iter().filter(|(at, rule)| *at == place && keep(rule)).map(|(_, rule)| rule).collect()
        };
        let (merge, parameters) = (|rules| Patch::Merge(json!({"rules": rules})), PatchParams::default());
        self.cluster_roles.patch(CLUSTER_ROLE, &parameters, &merge(rules(Place::Cluster))).await?;
        self.roles.patch(ROLE, &parameters, &merge(rules(Place::Namespace))).await?;
        for (_, rule) in &self.all {
            let allowed = self.all.iter().any(|(_, other)| keep(other) && other == rule);
            self.effective(rule, allowed).await?;
        }
        Ok(())
    }

    /// Waits until the API server answers a rule's first right with yes or no.
    async fn effective(&self, rule: &PolicyRule, allowed: bool) -> Result<()> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.cluster.client.clone());
        let review = json!({"spec": {
            "user": format!("system:serviceaccount:default:{ACCOUNT}"),
            "resourceAttributes": {
                "namespace": "default", "verb": rule.verbs.first(), "resource": resource(rule),
                "group": rule.api_groups.as_ref().and_then(|groups| groups.first()),
            },
        }});
        let review: SubjectAccessReview = serde_json::from_value(review)?;
        let what = format!("rights on {} to change", resource(rule));
        self.cluster
            .quietly_until(&what, LIMIT, async || {
                let answer =
                    reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
                Ok((answer.allowed == allowed).then_some(()))
            })
            .await
    }

    /// Puts every rule back and the deployed provisioner to work.
    async fn give_back(self) -> Result<()> {
        self.keep(|_| true).await?;
        scale(self.cluster, 1).await?;
        deploy::ready(self.cluster).await
    }

    /// Starts csi-provisioner with these rights.
    async fn start(&self, name: &'static str) -> Result<Component> {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), "default");
        // The one before did not give it up.
        if leases.get_opt(LEASE).await?.is_some() {
            leases.delete(LEASE, &DeleteParams::default()).await?;
        }
        let mut provisioner = Component::new(
            name,
            self.cluster.spec.binary("csi-provisioner")?,
            &self.cluster.spec.logs(),
            vec![
                format!("--kubeconfig={}", self.kubeconfig),
                format!("--csi-address={}/plugins/{}/csi.sock", machine::KUBELET_ROOT, deploy::DRIVER),
                "--leader-election".into(),
                "--leader-election-namespace=default".into(),
                "-v=5".into(),
            ],
        );
        provisioner.start()?;
        Ok(provisioner)
    }
}

fn resource(rule: &PolicyRule) -> &str {
    rule.resources.as_ref().and_then(|resources| resources.first()).map_or("", String::as_str)
}

fn is_needed(rule: &PolicyRule) -> bool {
    NEEDED.contains(&resource(rule))
}

/// A kubeconfig with a fresh token of the provisioner's account.
async fn kubeconfig(cluster: &Cluster) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "default");
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3600}}))?;
    let answer = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token).context("no token was made")?;
    let server = format!("https://{}:{}", machine::ADDRESS, pki::PORT);
    let authority = fs::read_to_string(cluster.pki.file("ca.crt"))?;
    let file = cluster.pki.kubeconfig("csi-provisioner");
    fs::write(&file, pki::kubeconfig(&server, &authority, ACCOUNT, &token)?)?;
    Ok(file)
}

async fn scale(cluster: &Cluster, replicas: i32) -> Result<()> {
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), "default");
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    sets.patch(SET, &PatchParams::default(), &patch).await?;
    cluster
        .quietly_until(&format!("{replicas} replicas of {SET}"), LIMIT, async || {
            let status = sets.get(SET).await?.status.unwrap_or_default();
            Ok((status.replicas == replicas).then_some(()))
        })
        .await
}

/// Takes each rule away that is not needed, then all of them: a volume lives and dies as before, nothing is refused.
pub(super) async fn unneeded(cluster: &Cluster) -> Result<()> {
    let rights = Rights::take(cluster).await?;
    let unneeded: Vec<PolicyRule> =
        rights.all.iter().map(|(_, rule)| rule).filter(|rule| !is_needed(rule)).cloned().collect();
    ensure!(!unneeded.is_empty(), "every rule is said to be needed");
    for rule in &unneeded {
        rights.keep(|other| other != rule).await?;
        lives_within(&rights).await.with_context(|| format!("without the rule for {}", resource(rule)))?;
    }
    rights.keep(is_needed).await?;
    lives_within(&rights).await.context("with the needed rules alone")?;
    rights.give_back().await
}

async fn lives_within(rights: &Rights<'_>) -> Result<()> {
    let log = control_plane::audit_log(&rights.cluster.spec);
    let mark = audit::mark(&log)?;
    let mut provisioner = rights.start("provisioner-with-fewer-rights").await?;
    let lived = short_life(rights.cluster, "few-rights").await;
    provisioner.stop(Signal::TERM)?;
    lived.with_context(|| format!("csi-provisioner's last words:\n{}", provisioner.tail()))?;
    let counts = audit::count(&log, mark, "csi-provisioner")?;
    let created = counts.keys().any(|call| call.verb == "create" && call.resource == "persistentvolumes");
    ensure!(created, "the audit log shows no volume made by this provisioner:\n{}", audit::table(&counts));
    let refused = counts.keys().any(|call| call.code == 403);
    ensure!(!refused, "something was refused:\n{}", audit::table(&counts));
    Ok(())
}

/// Takes each needed rule away: the log names the resource and says that it is forbidden.
pub(super) async fn needed(cluster: &Cluster) -> Result<()> {
    let rights = Rights::take(cluster).await?;
    let work = Workload::new(cluster, "default");
    let needed: Vec<PolicyRule> =
        rights.all.iter().map(|(_, rule)| rule).filter(|rule| is_needed(rule)).cloned().collect();
    for (number, rule) in needed.iter().enumerate() {
        rights.keep(|other| other != rule).await?;
        let mut provisioner = rights.start("provisioner-without-a-needed-rule").await?;
        let already = provisioner.output().len();
        let claim = format!("forbidden-{number}");
        work.create_claim(&Claim { name: &claim, class: CLASS, mode: Mode::Filesystem }).await?;
        let said = cluster
            .quietly_until(
                &format!("complaint about {}", resource(rule)),
                Duration::from_secs(30),
                async || {
                    let output = provisioner.output();
                    let new = output.get(already..).unwrap_or_default();
                    Ok(new.lines().find(|line| complains(line, resource(rule))).map(str::to_owned))
                },
            )
            .await;
        provisioner.stop(Signal::TERM)?;
        let said = said.with_context(|| format!("csi-provisioner's last words:\n{}", provisioner.tail()))?;
        println!("    without {}: {said}", resource(rule));
        work.delete_claim(&claim).await?;
    }
    rights.give_back().await
}

/// Whether a log line says which resource is forbidden.
fn complains(line: &str, resource: &str) -> bool {
    line.contains("forbidden")
        && line.contains(&format!("\"{resource}\"").replace('"', ""))
        && line.contains(ACCOUNT)
}
