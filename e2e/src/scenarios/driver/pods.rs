//! Pods beside the deployed ones: like those of a program's StatefulSet, with something changed.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::Api;
use kube::api::{DeleteParams, LogParams, PostParams};
use serde_json::{Value, json};

use super::containers::{self, Container};
use crate::cluster::Cluster;
use crate::programs::last_lines;
use crate::sidecars::Shipped;

/// Longer than a sidecar looks for its driver (30 s), and a start of many pods at once.
const PATIENCE: Duration = Duration::from_secs(75);
/// A container that needs longer would be killed by the kubelet.
const GRACE: Duration = Duration::from_secs(20);

/// What a pod's specification is and how its one container is found in it.
pub(super) struct Plan {
    spec: Value,
}

impl Plan {
    /// A pod with nothing but the program's container, not restarted, its liveness nobody's business.
    pub(super) async fn like(cluster: &Cluster, shipped: &Shipped) -> Result<Self> {
        let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), "default");
        let set = sets.get(shipped.set).await?.spec.context("a StatefulSet without specification")?;
        let mut spec = serde_json::to_value(set.template.spec.context("a StatefulSet without pods")?)?;
        let containers =
            spec.pointer_mut("/containers").and_then(Value::as_array_mut).context("no containers")?;
        containers.retain(|container| container["name"] == shipped.container);
        for container in containers {
            container.as_object_mut().context("not a container")?.remove("livenessProbe");
        }
        Ok(Self { spec }.set("restartPolicy", json!("Never")))
    }

    /// Sets a field of the specification.
    pub(super) fn set(mut self, field: &str, value: Value) -> Self {
        if let Some(spec) = self.spec.as_object_mut() {
            spec.insert(field.to_owned(), value);
        }
        self
    }

    /// Appends arguments; the last of a kind counts.
    pub(super) fn with(mut self, arguments: &[String]) -> Self {
        if let Some(list) = self.spec.pointer_mut("/containers/0/args").and_then(Value::as_array_mut) {
            list.extend(arguments.iter().map(|argument| json!(argument)));
        }
        self
    }

    /// Takes an argument away.
    pub(super) fn without(mut self, argument: &str) -> Self {
        if let Some(list) = self.spec.pointer_mut("/containers/0/args").and_then(Value::as_array_mut) {
            list.retain(|it| it != argument);
        }
        self
    }

    /// Mounts a Secret at `/config`.
    pub(super) fn configured(mut self, secret: &str) -> Self {
        let volume = json!({"name": "config", "secret": {"secretName": secret}});
        let mount = json!({"name": "config", "mountPath": "/config"});
        for (list, item) in [("/volumes", volume), ("/containers/0/volumeMounts", mount)] {
            if let Some(list) = self.spec.pointer_mut(list).and_then(Value::as_array_mut) {
                list.push(item);
            }
        }
        self
    }

    /// Runs it as another service account.
    pub(super) fn of_account(self, account: &str) -> Self {
        self.set("serviceAccountName", json!(account)).set("serviceAccount", json!(account))
    }

    /// The specification, for something that makes pods of it.
    pub(super) fn into_spec(self) -> Value {
        self.spec
    }

    /// Makes the pod.
    pub(super) async fn start<'a>(
        self,
        cluster: &'a Cluster,
        shipped: &Shipped,
        name: &str,
    ) -> Result<Extra<'a>> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
        let pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": self.spec}))?;
        pods.create(&PostParams::default(), &pod).await.with_context(|| format!("cannot make pod {name}"))?;
        let container = Container { pod: name.to_owned(), name: shipped.container };
        Ok(Extra { cluster, pods, container })
    }
}

/// A pod that was made from a plan.
pub(super) struct Extra<'a> {
    cluster: &'a Cluster,
    pods: Api<Pod>,
    container: Container,
}

impl Extra<'_> {
    /// What its container has printed so far.
    pub(super) async fn log(&self) -> String {
        let parameters =
            LogParams { container: Some(self.container.name.to_owned()), ..LogParams::default() };
        self.pods.logs(&self.container.pod, &parameters).await.unwrap_or_default()
    }

    /// Waits until a line contains all of `words`; gives the line.
    pub(super) async fn says(&self, words: &[&str]) -> Result<String> {
        let what = format!("word of pod {} about {words:?}", self.container.pod);
        let mut seen = String::new();
        let said = self
            .cluster
            .quietly_until(&what, PATIENCE, async || {
                seen = self.log().await;
                let mut lines = seen.lines().filter(|line| words.iter().all(|word| line.contains(word)));
                Ok(lines.next().map(str::to_owned))
            })
            .await;
        said.with_context(|| format!("it said:\n{}", last_lines(&seen, 12)))
    }

    /// Sends it a signal; how it ended.
    pub(super) async fn signalled(&self, signal: &str) -> Result<ContainerStateTerminated> {
        let id = containers::signal(self.cluster, &self.container, signal).await?;
        containers::ended(self.cluster, &self.container, &id, GRACE).await
    }

    /// Waits for its end; how it ended.
    pub(super) async fn ended(&self) -> Result<ContainerStateTerminated> {
        let pod = &self.container.pod;
        self.cluster
            .quietly_until(&format!("end of pod {pod}"), PATIENCE, async || {
                let status = self.pods.get(pod).await?.status.unwrap_or_default();
                let status = status.container_statuses.unwrap_or_default().into_iter().next();
                Ok(status.and_then(|status| status.state).and_then(|state| state.terminated))
            })
            .await
    }

    /// Whether its container has not ended. The API server may not even know yet that it was started.
    pub(super) async fn runs(&self) -> Result<bool> {
        let status = self.pods.get(&self.container.pod).await?.status.unwrap_or_default();
        let mut ends =
            status.container_statuses.unwrap_or_default().into_iter().filter_map(|it| it.state?.terminated);
        Ok(ends.next().is_none())
    }

    /// Removes it, without waiting for its container's grace.
    pub(super) async fn remove(self) -> Result<()> {
        self.pods.delete(&self.container.pod, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }
}
