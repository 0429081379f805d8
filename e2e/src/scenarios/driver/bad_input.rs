//! What a container says and how it ends when its surroundings are wrong, and when a signal comes before it leads: as pods
//! beside the deployed ones, all at once, because most of them wait.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::pods::{Extra, Plan};
use crate::cluster::Cluster;
use crate::machine;
use crate::pki;
use crate::sidecars::{Shipped, controllers, sidecars};

/// Secret with the kubeconfigs of the rows.
const SECRET: &str = "wrong-kubeconfigs";
const NO_ELECTION: &str = "--leader-election";
const NO_SOCKET: &str = "--csi-address=/csi/nobody.sock";

/// Something wrong, and what is to be seen of it.
struct Row {
    name: &'static str,
    /// Makes it wrong.
    plan: fn(Plan) -> Plan,
    /// Words of one line of the log.
    says: &'static [&'static str],
    /// How the container ends; nothing if it goes on.
    code: Option<i32>,
    /// Whom it can happen to.
    whom: fn(&Shipped) -> bool,
}

/// Who has business with the API server.
fn of_the_server(shipped: &Shipped) -> bool {
    shipped.account.is_some()
}

fn arguments(list: &[&str]) -> Vec<String> {
    list.iter().map(|&argument| argument.to_owned()).collect()
}

/// Who fills its caches at once and goes on trying. snapshot-controller looks for the definitions of its kinds before.
fn of_the_caches(shipped: &Shipped) -> bool {
    of_the_server(shipped) && shipped.has_driver
}

const ROWS: &[Row] = &[
    Row {
        name: "no-socket",
        plan: |plan| plan.with(&arguments(&[NO_SOCKET])),
        says: &["check that its container runs and that --csi-address names its socket", "/csi/nobody.sock"],
        code: Some(1),
        // The registrar says it in other words, which its own tests know.
        whom: of_the_caches,
    },
    Row {
        name: "no-such-flag",
        plan: |plan| plan.with(&arguments(&["--no-such-flag"])),
        says: &["no-such-flag"],
        code: Some(2),
        whom: |_| true,
    },
    Row {
        name: "expired-token",
        plan: |plan| {
            plan.configured(SECRET).without(NO_ELECTION).with(&arguments(&["--kubeconfig=/config/expired"]))
        },
        says: &["Unauthorized"],
        code: None,
        whom: of_the_caches,
    },
    Row {
        name: "forbidden-token",
        plan: |plan| plan.of_account("default").without(NO_ELECTION),
        says: &["system:serviceaccount:default:default is not allowed to watch", "to a ClusterRole"],
        code: None,
        whom: of_the_caches,
    },
    Row {
        name: "no-definitions",
        plan: |plan| plan.of_account("default").without(NO_ELECTION),
        says: &["Exiting due to failure to ensure CRDs exist during startup", "cannot list resource"],
        code: Some(1),
        whom: |shipped| of_the_server(shipped) && !shipped.has_driver,
    },
    Row {
        name: "no-api-server",
        plan: |plan| {
            plan.configured(SECRET).without(NO_ELECTION).with(&arguments(&["--kubeconfig=/config/nobody"]))
        },
        says: &["Failed to watch", "Connection refused"],
        code: None,
        whom: of_the_caches,
    },
];

/// The table, for every sidecar.
pub(super) async fn rows(cluster: &Cluster) -> Result<()> {
    kubeconfigs(cluster).await?;
    let mut runs = Vec::new();
    for sidecar in sidecars() {
        let rows = ROWS.iter().filter(|row| (row.whom)(sidecar));
        runs.extend(rows.map(|row| run(cluster, sidecar, row)));
    }
    let lines = try_join_all(runs).await?;
    for line in lines {
        println!("    {line}");
    }
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "default");
    secrets.delete(SECRET, &DeleteParams::default()).await?;
    Ok(())
}

async fn run(cluster: &Cluster, sidecar: &Shipped, row: &Row) -> Result<String> {
    let name = format!("{}-{}", sidecar.binary, row.name);
    let plan = (row.plan)(Plan::like(cluster, sidecar).await?);
    let pod = plan.start(cluster, sidecar, &name).await?;
    let end = match row.code {
        Some(code) => {
            let end = pod.ended().await?;
            ensure!(end.exit_code == code, "{name} ended with {}:\n{}", end.exit_code, pod.log().await);
            format!("exit code {code}")
        }
        None => "goes on".to_owned(),
    };
    let said = pod.says(row.says).await?;
    ensure!(row.code.is_some() || pod.runs().await?, "{name} ended:\n{}", pod.log().await);
    pod.remove().await?;
    Ok(format!("{name}: {end}: {said}"))
}

/// A kubeconfig whose token the API server no longer takes, and one for a server that is not there.
async fn kubeconfigs(cluster: &Cluster) -> Result<()> {
    const GONE: &str = "gone";
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": GONE}}))?;
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}}))?;
    let answer = accounts.create_token_request(GONE, &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token).context("no token was made")?;
    accounts.delete(GONE, &DeleteParams::default()).await?;
    let authority = std::fs::read_to_string(cluster.pki.file("ca.crt"))?;
    let kubeconfig =
        |port| pki::kubeconfig(&format!("https://{}:{port}", machine::ADDRESS), &authority, GONE, &token);
    let secret = json!({
        "metadata": {"name": SECRET},
        "stringData": {"expired": kubeconfig(pki::PORT)?, "nobody": kubeconfig(1)?},
    });
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "default");
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    Ok(())
}

/// What a container is doing when the signal comes.
struct Phase {
    name: &'static str,
    plan: fn(Plan) -> Plan,
    /// Words by which it is known to have come that far.
    says: &'static [&'static str],
}

const CONNECTING: Phase =
    Phase { name: "connecting", plan: |plan| plan.with(&arguments(&[NO_SOCKET])), says: &["onnecting"] };

const STANDING_BY: Phase =
    Phase { name: "standing-by", plan: |plan| plan, says: &["Lease is held by and has not yet expired"] };

/// Both signals while a container looks for its driver, and while another replica has the Lease.
pub(super) async fn early_signals(cluster: &Cluster) -> Result<()> {
    let mut runs = Vec::new();
    for signal in ["SIGTERM", "SIGINT"] {
        let dialling = sidecars().filter(|sidecar| sidecar.has_driver);
        runs.extend(dialling.map(|sidecar| interrupt(cluster, sidecar, &CONNECTING, signal)));
        runs.extend(controllers().map(|sidecar| interrupt(cluster, sidecar, &STANDING_BY, signal)));
    }
    try_join_all(runs).await?;
    Ok(())
}

async fn interrupt(cluster: &Cluster, sidecar: &Shipped, phase: &Phase, signal: &str) -> Result<()> {
    let name = format!("{}-{}-{}", sidecar.binary, phase.name, signal.to_lowercase());
    let pod: Extra<'_> =
        (phase.plan)(Plan::like(cluster, sidecar).await?).start(cluster, sidecar, &name).await?;
    pod.says(phase.says).await?;
    let end = pod.signalled(signal).await.with_context(|| format!("pod {name} after {signal}"))?;
    ensure!(end.exit_code == 0, "{name} ended with {}:\n{}", end.exit_code, pod.log().await);
    pod.remove().await
}
