//! Runs the conformance lists on the cluster of `KUBECONFIG`: `cargo run -p testkit --example conformance [FILTER]`.
//! Works best without a kube-controller-manager, which would write to the same objects. What is about custom resources needs
//! `kubectl apply -f deploy/crds` before.

use anyhow::bail;
use serde_json::json;
use testkit::conformance::{ALL, CUSTOM, Subject, rules};

struct Run {
    client: kube::Client,
    filter: String,
    tried: usize,
    failed: usize,
}

impl Run {
    async fn corner(&mut self) -> anyhow::Result<Subject> {
        self.tried += 1;
        let namespace = format!("corner-{}-{}", std::process::id(), self.tried);
        let subject = Subject { client: self.client.clone(), namespace: namespace.clone() };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        subject.create(&object).await?.ok()?;
        Ok(subject)
    }

    fn note(&mut self, name: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => println!("ok     {name}"),
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut run = Run { client: kube::Client::try_default().await?, filter, tried: 0, failed: 0 };
    for (name, scenario) in ALL.iter().chain(CUSTOM) {
        if !run.wants(name) {
            continue;
        }
        let subject = run.corner().await?;
        run.note(name, scenario(subject).await);
    }
    for row in rules::rows() {
        if run.wants(row.name) {
            let subject = run.corner().await?;
            run.note(row.name, row.run(&subject).await);
        }
    }
    if run.failed > 0 {
        bail!("{} of {} scenarios failed", run.failed, run.tried);
    }
    println!("{} scenarios", run.tried);
    Ok(())
}
