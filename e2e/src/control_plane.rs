//! etcd, API server, controller manager and scheduler, see `e2e/README.md` for the reasons.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::component::Component;
use crate::machine;
use crate::pki::{PORT, Pki};
use crate::spec::Spec;

/// The range of Service addresses.
const SERVICES: &str = "10.96.0.0/16";
/// The range of pod addresses.
pub(crate) const PODS: &str = "10.244.0.0/16";

fn arguments<const N: usize>(list: [String; N]) -> Vec<String> {
    list.into()
}

/// etcd without disk flushes: nothing in a lab outlives the machine.
pub(crate) fn etcd(spec: &Spec) -> Result<Component> {
    let data = spec.dir.join("etcd");
    let client = "http://127.0.0.1:2379";
    let peer = "http://127.0.0.1:2380";
    Ok(Component::new(
        "etcd",
        spec.program("etcd")?,
        &spec.logs(),
        arguments([
            format!("--data-dir={}", data.display()),
            "--unsafe-no-fsync".into(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--log-level=warn".into(),
        ]),
    ))
}

/// The API server; its audit log counts every call by user agent.
pub(crate) fn api_server(spec: &Spec, pki: &Pki) -> Result<Component> {
    let policy = spec.dir.join("audit-policy.json");
    let rules = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    });
    fs::write(&policy, serde_json::to_vec(&rules)?)?;
    Ok(Component::new(
        "kube-apiserver",
        spec.program("kube-apiserver")?,
        &spec.logs(),
        arguments([
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--secure-port={PORT}"),
            "--bind-address=0.0.0.0".into(),
            format!("--advertise-address={}", machine::ADDRESS),
            format!("--tls-cert-file={}", pki.file("apiserver.crt")),
            format!("--tls-private-key-file={}", pki.file("apiserver.key")),
            format!("--client-ca-file={}", pki.file("ca.crt")),
            format!("--kubelet-client-certificate={}", pki.file("kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki.file("kubelet-client.key")),
            "--kubelet-preferred-address-types=InternalIP".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={}", pki.file("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", pki.file("service-accounts.key")),
            format!("--token-auth-file={}", pki.file("tokens.csv")),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--allow-privileged=true".into(),
            format!("--service-cluster-ip-range={SERVICES}"),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", audit_log(spec).display()),
            "--audit-log-mode=blocking".into(),
            // In MiB. At the default of 100 it is begun anew, and calls get lost that somebody counts.
            "--audit-log-maxsize=1000000".into(),
        ]),
    ))
}

/// Where the API server writes down every call.
pub(crate) fn audit_log(spec: &Spec) -> std::path::PathBuf {
    spec.logs().join("audit.log")
}

/// The controller manager; its controllers use accounts of their own, as in most clusters.
pub(crate) fn controller_manager(spec: &Spec, pki: &Pki) -> Result<Component> {
    Ok(Component::new(
        "kube-controller-manager",
        spec.program("kube-controller-manager")?,
        &spec.logs(),
        arguments([
            format!("--kubeconfig={}", pki.kubeconfig("controller-manager")),
            "--leader-elect=false".into(),
            "--secure-port=10257".into(),
            "--bind-address=127.0.0.1".into(),
            "--use-service-account-credentials=true".into(),
            // With the default of 20 it takes five seconds until the default service account exists.
            "--kube-api-qps=200".into(),
            "--kube-api-burst=400".into(),
            format!("--service-account-private-key-file={}", pki.file("service-accounts.key")),
            format!("--root-ca-file={}", pki.file("ca.crt")),
            "--allocate-node-cidrs=true".into(),
            format!("--cluster-cidr={PODS}"),
        ]),
    ))
}

/// The scheduler.
pub(crate) fn scheduler(spec: &Spec, pki: &Pki) -> Result<Component> {
    Ok(Component::new(
        "kube-scheduler",
        spec.program("kube-scheduler")?,
        &spec.logs(),
        arguments([
            format!("--kubeconfig={}", pki.kubeconfig("scheduler")),
            "--leader-elect=false".into(),
            "--secure-port=10259".into(),
            "--bind-address=127.0.0.1".into(),
        ]),
    ))
}
