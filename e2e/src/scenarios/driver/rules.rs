//! The service accounts' rules: which can go, and what is said when one is missing that cannot.
//!
//! The sidecars run as plain processes with their account's token here, so that each try starts within a second.

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

use super::LIMIT;
use super::tasks::Task;
use crate::cluster::Cluster;
use crate::component::Component;
use crate::deploy;
use crate::machine;
use crate::pki;
use crate::sidecars::{Account, Shipped, controllers};
use crate::{audit, control_plane};

/// Where a rule stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Cluster,
    Namespace,
}

/// The account's rights, changed one at a time and put back.
struct Rights<'a> {
    cluster: &'a Cluster,
    shipped: &'static Shipped,
    account: &'static Account,
    roles: Api<Role>,
    cluster_roles: Api<ClusterRole>,
    kubeconfig: String,
    all: Vec<(Place, PolicyRule)>,
}

impl<'a> Rights<'a> {
    /// Stops the deployed sidecar and reads its rules.
    async fn take(cluster: &'a Cluster, shipped: &'static Shipped) -> Result<Self> {
        scale(cluster, shipped, 0).await?;
        let account = shipped.account()?;
        let roles: Api<Role> = Api::namespaced(cluster.client.clone(), "default");
        let cluster_roles: Api<ClusterRole> = Api::all(cluster.client.clone());
        let wide = cluster_roles.get(account.cluster_role).await?.rules.unwrap_or_default();
        let narrow = roles.get(account.role).await?.rules.unwrap_or_default();
        let all = (wide.into_iter().map(|rule| (Place::Cluster, rule)))
            .chain(narrow.into_iter().map(|rule| (Place::Namespace, rule)))
            .collect();
        let kubeconfig = kubeconfig(cluster, account).await?;
        Ok(Self { cluster, shipped, account, roles, cluster_roles, kubeconfig, all })
    }

    /// Leaves of each rule only the verbs that `keep` accepts, and waits until the API server goes by them.
    async fn keep(&self, keep: impl Fn(&PolicyRule, &str) -> bool) -> Result<()> {
        let narrowed = |rule: &PolicyRule| -> Option<PolicyRule> {
            let verbs: Vec<String> = rule.verbs.iter().filter(|verb| keep(rule, verb)).cloned().collect();
            (!verbs.is_empty()).then(|| PolicyRule { verbs, ..rule.clone() })
        };
        let rules = |place: Place| -> Vec<PolicyRule> {
            self.all.iter().filter(|(at, _)| *at == place).filter_map(|(_, rule)| narrowed(rule)).collect()
        };
        let (merge, parameters) = (|rules| Patch::Merge(json!({"rules": rules})), PatchParams::default());
        self.cluster_roles
            .patch(self.account.cluster_role, &parameters, &merge(rules(Place::Cluster)))
            .await?;
        self.roles.patch(self.account.role, &parameters, &merge(rules(Place::Namespace))).await?;
        for (_, rule) in &self.all {
            for verb in &rule.verbs {
                self.effective(rule, verb, keep(rule, verb)).await?;
            }
        }
        Ok(())
    }

    /// Waits until the API server allows or refuses a verb of a rule.
    async fn effective(&self, rule: &PolicyRule, verb: &str, allowed: bool) -> Result<()> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.cluster.client.clone());
        let (resource, subresource) = resource(rule).split_once('/').unwrap_or((resource(rule), ""));
        let review = json!({"spec": {
            "user": format!("system:serviceaccount:default:{}", self.account.name),
            "resourceAttributes": {
                "namespace": "default", "verb": verb, "resource": resource, "subresource": subresource,
                "group": rule.api_groups.as_ref().and_then(|groups| groups.first()),
            },
        }});
        let review: SubjectAccessReview = serde_json::from_value(review)?;
        self.cluster
            .quietly_until(&format!("right to {verb} {resource} to change"), LIMIT, async || {
                let answer =
                    reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
                Ok((answer.allowed == allowed).then_some(()))
            })
            .await
    }

    /// Puts every rule back and the deployed sidecar to work.
    async fn give_back(self) -> Result<()> {
        self.cluster.apply(&deploy::manifest(self.cluster, self.account.manifest))?;
        scale(self.cluster, self.shipped, 1).await?;
        deploy::ready(self.cluster).await
    }

    /// Starts the sidecar with these rights.
    async fn start(&self, name: &'static str) -> Result<Component> {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), "default");
        // The one before did not give it up.
        if leases.get_opt(self.account.lease).await?.is_some() {
            leases.delete(self.account.lease, &DeleteParams::default()).await?;
        }
        let mut arguments = vec![
            format!("--kubeconfig={}", self.kubeconfig),
            "--leader-election".into(),
            "--leader-election-namespace=default".into(),
            "-v=5".into(),
        ];
        if self.shipped.has_driver {
            let socket = format!("{}/plugins/{}/csi.sock", machine::KUBELET_ROOT, deploy::DRIVER);
            arguments.push(format!("--csi-address={socket}"));
        }
        let binary = self.cluster.spec.binary(self.shipped.binary)?;
        let mut sidecar = Component::new(name, binary, &self.cluster.spec.logs(), arguments);
        sidecar.start()?;
        Ok(sidecar)
    }

    /// Whether the deployment does not work without a verb of a rule.
    fn needs(&self, rule: &PolicyRule, verb: &str) -> bool {
        self.account.needed.iter().any(|(it, verbs)| *it == resource(rule) && verbs.contains(&verb))
    }

    /// The rules without which it does not work.
    fn needed(&self) -> impl Iterator<Item = &PolicyRule> {
        self.all
            .iter()
            .map(|(_, rule)| rule)
            .filter(|rule| rule.verbs.iter().any(|verb| self.needs(rule, verb)))
    }

    /// The rules without which it does.
    fn unneeded(&self) -> impl Iterator<Item = &PolicyRule> {
        self.all
            .iter()
            .map(|(_, rule)| rule)
            .filter(|rule| !rule.verbs.iter().any(|verb| self.needs(rule, verb)))
    }
}

fn resource(rule: &PolicyRule) -> &str {
    rule.resources.as_ref().and_then(|resources| resources.first()).map_or("", String::as_str)
}

/// A kubeconfig with a fresh token of an account.
pub(super) async fn kubeconfig(cluster: &Cluster, account: &Account) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "default");
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3600}}))?;
    let answer = accounts.create_token_request(account.name, &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token).context("no token was made")?;
    let server = format!("https://{}:{}", machine::ADDRESS, pki::PORT);
    let authority = fs::read_to_string(cluster.pki.file("ca.crt"))?;
    let file = cluster.pki.kubeconfig(account.name);
    fs::write(&file, pki::kubeconfig(&server, &authority, account.name, &token)?)?;
    Ok(file)
}

/// Has so many replicas of a deployed sidecar, and waits for that.
pub(super) async fn scale(cluster: &Cluster, shipped: &Shipped, replicas: i32) -> Result<()> {
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), "default");
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    sets.patch(shipped.set, &PatchParams::default(), &patch).await?;
    cluster
        .quietly_until(&format!("{replicas} replicas of {}", shipped.set), LIMIT, async || {
            let status = sets.get(shipped.set).await?.status.unwrap_or_default();
            Ok((status.replicas == replicas).then_some(()))
        })
        .await
}

/// Takes each rule away that is not needed, then every right that is not needed: the sidecar works as before, and nothing
/// is refused.
pub(super) async fn unneeded(cluster: &Cluster) -> Result<()> {
    for shipped in controllers() {
        let mut task = Task::of(cluster, shipped, &format!("few-rights-{}", shipped.set)).await?;
        let rights = Rights::take(cluster, shipped).await?;
        for rule in rights.unneeded() {
            rights.keep(|other, _| other != rule).await?;
            works_within(&rights, &mut task)
                .await
                .with_context(|| format!("{} without the rule for {}", shipped.binary, resource(rule)))?;
        }
        rights.keep(|rule, verb| rights.needs(rule, verb)).await?;
        works_within(&rights, &mut task)
            .await
            .with_context(|| format!("{} with the needed rights alone", shipped.binary))?;
        rights.give_back().await?;
        task.end().await?;
    }
    Ok(())
}

async fn works_within(rights: &Rights<'_>, task: &mut Task<'_>) -> Result<()> {
    let log = control_plane::audit_log(&rights.cluster.spec);
    let mark = audit::mark(&log)?;
    let binary = rights.shipped.binary;
    let mut sidecar = rights.start("sidecar-with-fewer-rights").await?;
    let worked = task.once().await;
    sidecar.stop(Signal::TERM)?;
    worked.with_context(|| format!("{binary}'s last words:\n{}", sidecar.tail()))?;
    let counts = audit::count(&log, mark, binary)?;
    let wrote =
        counts.keys().any(|call| ["create", "patch"].contains(&call.verb.as_str()) && call.code < 300);
    ensure!(wrote, "the audit log shows nothing done by this {binary}:\n{}", audit::table(&counts));
    let known = |call: &audit::Call| rights.account.refused.contains(&call.resource.as_str());
    let refused = counts.keys().any(|call| call.code == 403 && !known(call));
    ensure!(!refused, "something was refused:\n{}", audit::table(&counts));
    Ok(())
}

/// Takes each needed rule away: the log names the resource and says that it is forbidden.
pub(super) async fn needed(cluster: &Cluster) -> Result<()> {
    for shipped in controllers() {
        let mut task = Task::of(cluster, shipped, &format!("forbidden-{}", shipped.set)).await?;
        let rights = Rights::take(cluster, shipped).await?;
        for rule in rights.needed() {
            rights.keep(|other, _| other != rule).await?;
            complained(&rights, &mut task, resource(rule)).await?;
        }
        rights.give_back().await?;
        task.undone().await?;
        task.end().await?;
    }
    Ok(())
}

async fn complained(rights: &Rights<'_>, task: &mut Task<'_>, resource: &str) -> Result<()> {
    let mut sidecar = rights.start("sidecar-without-a-needed-rule").await?;
    let already = sidecar.output().len();
    task.begin().await?;
    let what = format!("complaint about {resource}");
    let said = rights
        .cluster
        .quietly_until(&what, Duration::from_secs(30), async || {
            let output = sidecar.output();
            let new = output.get(already..).unwrap_or_default();
            Ok(new.lines().find(|line| complains(line, resource, rights.account)).map(str::to_owned))
        })
        .await;
    sidecar.stop(Signal::TERM)?;
    let binary = rights.shipped.binary;
    let said = said.with_context(|| format!("{binary}'s last words:\n{}", sidecar.tail()))?;
    println!("    {binary} without {resource}: {said}");
    task.take_back().await
}

/// Whether a log line says which resource is forbidden.
fn complains(line: &str, resource: &str, account: &Account) -> bool {
    line.contains("forbidden") && line.contains(resource) && line.contains(account.name)
}
