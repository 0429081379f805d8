//! Runs the conformance list on the cluster of `KUBECONFIG`: `cargo run -p testkit --example conformance [FILTER]`.
//! Works best without a kube-controller-manager, which would write to the same objects.

use anyhow::bail;
use serde_json::json;
use testkit::conformance::{ALL, Subject};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let client = kube::Client::try_default().await?;
    let mut failed = 0;
    for (number, (name, scenario)) in ALL.iter().enumerate().filter(|(_, (name, _))| name.contains(&filter)) {
        let namespace = format!("corner-{}-{number}", std::process::id());
        let subject = Subject { client: client.clone(), namespace: namespace.clone() };
        subject
            .create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
            .await?;
        match scenario(subject).await {
            Ok(()) => println!("ok     {name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} scenarios failed");
    }
    Ok(())
}
