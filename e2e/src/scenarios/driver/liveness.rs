//! The livenessprobe before a real kubelet: a driver that hangs is restarted, one that is slow is left alone.
//!
//! A pod of its own with a second instance of the driver; it hangs when its process 1 is stopped, and is slow when that is
//! stopped and continued in turn.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use super::LIMIT;
use crate::cluster::Cluster;
use crate::node;
use crate::workload::Workload;

const POD: &str = "liveness";
const DRIVER: &str = "driver";
const PROBE: &str = "liveness-probe";
const PORT: u16 = 9808;

/// How long the slow driver does nothing at a time; the probe's timeout is more than three times that.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Probes that the slow driver has to pass.
const SLOW_PROBES: u64 = 10;
/// Two probes that fail after 5 s, the grace period, the new start.
const RESTART: Duration = Duration::from_secs(90);

/// A hung driver's container is restarted by kubelet; a slow one's is not; the probe's own never is.
pub(super) async fn judged(cluster: &Cluster) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    pods.create(&PostParams::default(), &pod()?).await.context("cannot make the driver's pod")?;
    passed(cluster, 1).await.context("a driver that is well")?;

    let left_alone = slow_is_left_alone(cluster).await;
    let slow = complaints(cluster).await?;
    ensure!(slow.is_empty(), "kubelet complained of the slow driver: {}", slow.join("; "));
    left_alone?;

    let before = restarts(cluster, DRIVER).await?;
    signal(cluster, "SIGSTOP").await?;
    cluster
        .quietly_until("restart of the hung driver", RESTART, async || {
            Ok((restarts(cluster, DRIVER).await? > before).then_some(()))
        })
        .await?;
    let said = complaints(cluster).await?;
    let of_ours = said.iter().any(|message| message.contains("statuscode: 500"));
    ensure!(of_ours, "kubelet did not restart it for our answer, but: {}", said.join("; "));
    let well = count(cluster).await?;
    passed(cluster, well + 2).await.context("the driver after its restart")?;
    let own = restarts(cluster, PROBE).await?;
    ensure!(own == 0, "the livenessprobe itself was restarted {own} times");

    let work = Workload::new(cluster, "default");
    work.delete_pod(POD).await?;
    work.pod_gone(POD, LIMIT).await
}

/// Stops and continues the driver until enough probes were answered.
async fn slow_is_left_alone(cluster: &Cluster) -> Result<()> {
    let before = restarts(cluster, DRIVER).await?;
    let enough = count(cluster).await? + SLOW_PROBES;
    for _ in 0..4 * SLOW_PROBES {
        signal(cluster, "SIGSTOP").await?;
        tokio::time::sleep(PAUSE).await;
        signal(cluster, "SIGCONT").await?;
        if count(cluster).await? >= enough {
            break;
        }
    }
    passed(cluster, enough).await.context("the slow driver")?;
    let after = restarts(cluster, DRIVER).await?;
    ensure!(after == before, "the slow driver was restarted {} times", after - before);
    Ok(())
}

/// Kubelet asks every second and restarts the driver after two failures of up to 5 s.
fn pod() -> Result<Pod> {
    let asked = json!({"path": "/healthz", "port": PORT});
    let (state, socket) =
        (json!({"name": "state", "mountPath": "/state"}), json!({"name": "socket", "mountPath": "/csi"}));
    let pod = json!({
        "metadata": {"name": POD},
        "spec": {
            "terminationGracePeriodSeconds": 1, "dnsPolicy": "Default", "automountServiceAccountToken": false,
            "containers": [
                {
                    "name": DRIVER, "image": "csi-sidecars/hostpathplugin:dev", "imagePullPolicy": "IfNotPresent",
                    "args": [
                        "--drivername=liveness.example.com", "--endpoint=unix:///csi/csi.sock", "--nodeid=node",
                        "--statedir=/state", "--enable-topology=false",
                    ],
                    "securityContext": {"privileged": true},
                    "startupProbe": {"httpGet": asked, "periodSeconds": 1, "timeoutSeconds": 6, "failureThreshold": 60},
                    "livenessProbe": {"httpGet": asked, "periodSeconds": 1, "timeoutSeconds": 6, "failureThreshold": 2},
                    "volumeMounts": [socket, state],
                },
                {
                    "name": PROBE, "image": "csi-sidecars/livenessprobe:dev", "imagePullPolicy": "IfNotPresent",
                    "args": [
                        "--csi-address=/csi/csi.sock", format!("--http-endpoint=:{PORT}"), "--probe-timeout=5s", "-v=2",
                    ],
                    "volumeMounts": [socket],
                },
            ],
            "volumes": [{"name": "state", "emptyDir": {}}, {"name": "socket", "emptyDir": {}}],
        },
    });
    Ok(serde_json::from_value(pod)?)
}

async fn status(cluster: &Cluster, container: &str) -> Result<ContainerStatus> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let statuses = pods.get(POD).await?.status.and_then(|status| status.container_statuses);
    let status = statuses.unwrap_or_default().into_iter().find(|status| status.name == container);
    status.with_context(|| format!("pod {POD} has no container {container}"))
}

async fn restarts(cluster: &Cluster, container: &str) -> Result<i32> {
    Ok(status(cluster, container).await?.restart_count)
}

/// Sends a signal to the driver's process 1.
async fn signal(cluster: &Cluster, signal: &str) -> Result<()> {
    let id = status(cluster, DRIVER).await?.container_id.unwrap_or_default();
    let output = Command::new(cluster.spec.program("ctr")?)
        .arg("--address")
        .arg(node::socket(&cluster.spec))
        .args(["--namespace", "k8s.io", "tasks", "kill", "--signal", signal])
        .arg(id.trim_start_matches("containerd://"))
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot signal the driver: {error}");
    Ok(())
}

/// Waits until the driver has passed this many probes since the livenessprobe started.
async fn passed(cluster: &Cluster, probes: u64) -> Result<()> {
    cluster
        .quietly_until(&format!("{probes} probes with success"), LIMIT, async || {
            Ok((count(cluster).await? >= probes).then_some(()))
        })
        .await
}

/// How many probes the driver has passed, by the livenessprobe's own count.
async fn count(cluster: &Cluster) -> Result<u64> {
    let path = format!("/api/v1/namespaces/default/pods/{POD}:{PORT}/proxy/metrics");
    let text = cluster.client.request_text(http::Request::get(path).body(Vec::new())?).await?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("csi_livenessprobe_probes_total{result=\"ok\"} "));
    value.and_then(|value| value.parse().ok()).context("the livenessprobe does not count its probes")
}

/// What kubelet said of failed liveness probes of the driver.
async fn complaints(cluster: &Cluster) -> Result<Vec<String>> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let fields = format!("involvedObject.kind=Pod,involvedObject.name={POD},reason=Unhealthy");
    let events = events.list(&ListParams::default().fields(&fields)).await?.items;
    let messages = events.into_iter().filter_map(|event| event.message);
    Ok(messages.filter(|message| message.starts_with("Liveness")).collect())
}
