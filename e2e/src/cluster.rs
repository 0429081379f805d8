//! The running cluster as the inside sees it: components, API clients, kubectl, waiting.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::component::Component;
use crate::pki::{self, Pki};
use crate::programs::last_lines;
use crate::progress::Step;
use crate::spec::{Extent, Spec};
use crate::{control_plane, node};

const POLL: Duration = Duration::from_millis(100);
/// Nothing that starts here takes longer on a machine that works.
const START: Duration = Duration::from_secs(90);

/// A started cluster.
pub(crate) struct Cluster {
    pub(crate) spec: Spec,
    pub(crate) pki: Pki,
    pub(crate) client: kube::Client,
    components: Mutex<Vec<Component>>,
}

impl Cluster {
    /// Starts what the spec asks for and waits until it is ready.
    pub(crate) async fn start(spec: Spec) -> Result<Self> {
        let pki = pki::make(&spec.dir.join("pki")).context("cannot make the lab's certificates")?;
        let client = client(&pki.kubeconfig("admin")).await?;
        let cluster = Self { client, components: Mutex::new(Vec::new()), pki, spec };
        cluster.launch(control_plane::etcd(&cluster.spec)?)?;
        if cluster.spec.extent >= Extent::Node {
            cluster.launch(node::containerd(&cluster.spec)?)?;
        }
        cluster.launch(control_plane::api_server(&cluster.spec, &cluster.pki)?)?;
        if cluster.spec.extent >= Extent::Node {
            cluster.import_images().await?;
        }
        cluster.api_ready().await?;
        cluster.launch(control_plane::controller_manager(&cluster.spec, &cluster.pki)?)?;
        cluster.launch(control_plane::scheduler(&cluster.spec, &cluster.pki)?)?;
        if cluster.spec.extent >= Extent::Node {
            cluster.launch(node::kubelet(&cluster.spec, &cluster.pki)?)?;
            cluster.launch(node::kube_proxy(&cluster.spec, &cluster.pki)?)?;
            cluster.node_ready().await?;
        }
        cluster.accounts_ready().await?;
        Ok(cluster)
    }

    fn launch(&self, mut component: Component) -> Result<()> {
        component.start()?;
        self.components.lock().unwrap_or_else(PoisonError::into_inner).push(component);
        Ok(())
    }

    /// Does something with a component, such as stopping it.
    pub(crate) fn with<T>(&self, name: &str, act: impl FnOnce(&mut Component) -> Result<T>) -> Result<T> {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let component = components.iter_mut().find(|component| component.name == name);
        act(component.with_context(|| format!("this lab has no {name}"))?)
    }

    /// Fails when a component has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.iter_mut().try_for_each(Component::check)
    }

    /// What the cluster says about the pods: their states, the last events, and what those printed that are not well.
    pub(crate) async fn report(&self) -> Result<String> {
        use k8s_openapi::api::core::v1::Pod;
        let run = |arguments: &[&str]| -> Result<String> {
            let output = self.kubectl()?.args(arguments).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let mut text = run(&[
            "get",
            "pods,persistentvolumeclaims,persistentvolumes",
            "--all-namespaces",
            "--output=wide",
        ])?;
        let events = run(&["get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"])?;
        text.push_str(&last_lines(&events, 15));
        let pods: kube::Api<Pod> = kube::Api::namespaced(self.client.clone(), "default");
        for pod in pods.list(&kube::api::ListParams::default()).await? {
            let name = pod.metadata.name.unwrap_or_default();
            for container in pod.status.and_then(|status| status.container_statuses).unwrap_or_default() {
                let previous = if container.ready || container.restart_count == 0 {
                    "--previous=false"
                } else {
                    "--previous"
                };
                let log = run(&["logs", &name, "--container", &container.name, "--tail=8", previous])?;
                let _ = write!(text, "\n--- {name} {}\n{log}", container.name);
            }
        }
        Ok(text)
    }

    /// Polls until `poll` gives something, shown as a step; an error of `poll` counts as "not yet".
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        poll: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let step = Step::start(format!("waiting for {what} (at most {} s)", limit.as_secs()));
        let value = self.quietly_until(what, limit, poll).await?;
        step.note(what);
        step.done();
        Ok(value)
    }

    /// [`Cluster::until`] without narration.
    pub(crate) async fn quietly_until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut poll: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut last = String::from("not yet");
        loop {
            self.check().with_context(|| format!("while waiting for {what}"))?;
            match tokio::time::timeout_at(deadline.into(), poll()).await {
                Ok(Ok(Some(value))) => return Ok(value),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(_) => bail!("no {what} within {} s: {last}", limit.as_secs()),
            }
            tokio::time::sleep(POLL).await;
            if Instant::now() > deadline {
                bail!("no {what} within {} s: {last}", limit.as_secs());
            }
        }
    }

    /// Waits until the API server says that it is ready.
    pub(crate) async fn api_ready(&self) -> Result<()> {
        self.until("kube-apiserver to be ready", START, async || {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            Ok((self.client.request_text(request).await? == "ok").then_some(()))
        })
        .await
    }

    async fn import_images(&self) -> Result<()> {
        let socket = node::socket(&self.spec);
        self.until("containerd to listen", START, async || {
            Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(()))
        })
        .await?;
        let step = Step::start("importing images");
        for image in &self.spec.images {
            step.note(format!("importing {}", image.name));
            node::import(&self.spec, image)?;
        }
        step.note(format!("imported {} images", self.spec.images.len()));
        step.done();
        Ok(())
    }

    async fn node_ready(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::Node;
        let nodes: kube::Api<Node> = kube::Api::all(self.client.clone());
        self.until("the node to be Ready", START, async || {
            let conditions =
                nodes.get(node::NAME).await?.status.and_then(|status| status.conditions).unwrap_or_default();
            Ok(conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True").then_some(()))
        })
        .await
    }

    /// A pod is refused until its namespace's default account exists.
    async fn accounts_ready(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::ServiceAccount;
        let accounts: kube::Api<ServiceAccount> = kube::Api::namespaced(self.client.clone(), "default");
        self.until("the default service account", START, async || Ok(accounts.get_opt("default").await?))
            .await?;
        Ok(())
    }

    /// A kubectl command as administrator.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        let mut command = Command::new(self.spec.program("kubectl")?);
        command.env("KUBECONFIG", self.pki.kubeconfig("admin"));
        Ok(command)
    }

    /// Applies the manifests in a file or folder.
    pub(crate) fn apply(&self, manifests: &Path) -> Result<()> {
        let output = self.kubectl()?.args(["apply", "--filename"]).arg(manifests).output()?;
        if !output.status.success() {
            bail!(
                "kubectl apply -f {}: {}",
                manifests.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// What the lab's own calls are called in the audit log.
pub(crate) const USER_AGENT: &str = "lab";

/// A client for one of the lab's kubeconfigs. No hidden retries: whoever waits says so.
pub(crate) async fn client(kubeconfig: &str) -> Result<kube::Client> {
    let text = std::fs::read_to_string(kubeconfig).with_context(|| format!("cannot read {kubeconfig}"))?;
    let parsed = Kubeconfig::from_yaml(&text)?;
    let mut config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    config.proxy_url = None;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(30));
    Ok(kube::Client::try_from(config)?)
}
