//! containerd, kubelet and kube-proxy on the lab's one node, see `e2e/README.md` for the reasons.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::component::Component;
use crate::control_plane::PODS;
use crate::images::PAUSE;
use crate::machine::{ADDRESS, KUBELET_ROOT};
use crate::pki::Pki;
use crate::spec::{Archive, Spec};

/// The node's name in the API.
pub(crate) const NAME: &str = "lab";
/// Pod addresses of this node, the first block of the cluster's range.
const NODE_PODS: &str = "10.244.0.0/24";

/// containerd's socket.
pub(crate) fn socket(spec: &Spec) -> PathBuf {
    spec.dir.join("containerd.sock")
}

/// containerd with the CRI plugin, everything in the lab's folder.
pub(crate) fn containerd(spec: &Spec) -> Result<Component> {
    let network = spec.dir.join("cni");
    fs::create_dir_all(&network)?;
    fs::write(network.join("10-lab.conflist"), serde_json::to_vec_pretty(&network_config())?)?;
    let config = spec.dir.join("containerd.toml");
    fs::write(&config, containerd_config(&spec.dir, &socket(spec), &network))?;
    let program = spec.program("containerd")?;
    let component = Component::new(
        "containerd",
        program,
        &spec.logs(),
        vec!["--config".into(), config.display().to_string()],
    );
    // The shim is looked up in PATH.
    Ok(component.path_first(program.parent().unwrap_or(Path::new("/"))))
}

fn network_config() -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0", "name": "lab",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": NODE_PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }],
    })
}

fn containerd_config(dir: &Path, socket: &Path, network: &Path) -> String {
    let (dir, socket, network) = (dir.display(), socket.display(), network.display());
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox dies otherwise
    // ("can't get final child's PID from pipe: EOF").
    format!(
        r#"version = 3
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  enable_cdi = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{network}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
"#
    )
}

/// The kubelet; its cgroups are below the lab's own root.
pub(crate) fn kubelet(spec: &Spec, pki: &Pki) -> Result<Component> {
    let config = spec.dir.join("kubelet.json");
    fs::write(&config, serde_json::to_vec_pretty(&kubelet_config(spec, pki))?)?;
    Ok(Component::new(
        "kubelet",
        spec.program("kubelet")?,
        &spec.logs(),
        vec![
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", pki.kubeconfig("kubelet")),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={ADDRESS}"),
            format!("--root-dir={KUBELET_ROOT}"),
            "--v=2".into(),
        ],
    ))
}

fn kubelet_config(spec: &Spec, pki: &Pki) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", socket(spec).display()),
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.file("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}", spec.name), "failCgroupV1": false,
        "enforceNodeAllocatable": [], "failSwapOn": false, "localStorageCapacityIsolation": false,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "syncFrequency": "2s", "nodeStatusUpdateFrequency": "1s", "volumeStatsAggPeriod": "10s",
        "volumePluginDir": spec.dir.join("flexvolume").to_string_lossy(),
        "resolvConf": "/etc/resolv.conf", "registerNode": true, "maxPods": 200,
        "shutdownGracePeriod": "0s", "makeIPTablesUtilChains": false,
    })
}

/// kube-proxy, without which no pod reaches the API server at its Service address.
pub(crate) fn kube_proxy(spec: &Spec, pki: &Pki) -> Result<Component> {
    let config = spec.dir.join("kube-proxy.json");
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": pki.kubeconfig("kube-proxy")},
        "mode": "nftables", "clusterCIDR": PODS, "hostnameOverride": NAME,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
    });
    fs::write(&config, serde_json::to_vec_pretty(&settings)?)?;
    Ok(Component::new(
        "kube-proxy",
        spec.program("kube-proxy")?,
        &spec.logs(),
        vec![format!("--config={}", config.display())],
    ))
}

/// Imports an image archive into containerd under the name it carries.
pub(crate) fn import(spec: &Spec, image: &Archive) -> Result<()> {
    let output = Command::new(spec.program("ctr")?)
        .arg("--address")
        .arg(socket(spec))
        .args(["--namespace", "k8s.io", "images", "import", "--local"])
        .arg(&image.file)
        .stdin(Stdio::null())
        .output()
        .context("cannot run ctr")?;
    if !output.status.success() {
        bail!("cannot import {}: {}", image.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
