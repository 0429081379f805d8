//! The lab's certificate authority, certificates, tokens and kubeconfigs.
//!
//! A proper authority rather than the API server's self-made certificate, so that the `ca.crt` which pods
//! get is what a real cluster gives them.

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

use crate::{images, machine};

/// The Service address of the API server, first of the cluster's range.
pub(crate) const SERVICE_ADDRESS: &str = "10.96.0.1";
/// Port of the API server.
pub(crate) const PORT: u16 = 6443;

/// Who may talk to the API server by token: file stem, user, groups.
const USERS: &[(&str, &str, &str)] = &[
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:lab", "system:nodes"),
    ("kube-proxy", "system:kube-proxy", ""),
];

/// The folder with everything, made by [`make`].
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    /// The kubeconfig of one of the users.
    pub(crate) fn kubeconfig(&self, user: &str) -> String {
        self.file(&format!("{user}.kubeconfig"))
    }
}

/// Makes authority, certificates, service account keys, tokens and kubeconfigs in `dir`.
pub(crate) fn make(dir: &Path) -> Result<Pki> {
    fs::create_dir_all(dir)?;
    let pki = Pki { dir: dir.to_path_buf() };
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "lab");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = authority.self_signed(&key)?;
    fs::write(pki.file("ca.crt"), certificate.pem())?;
    let issuer = Issuer::new(authority, key);

    let mut server = leaf("kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth)?;
    server.subject_alt_names = server_names()?;
    sign(&pki, "apiserver", &server, &issuer)?;
    let client =
        leaf("kube-apiserver-kubelet-client", Some("system:masters"), ExtendedKeyUsagePurpose::ClientAuth)?;
    sign(&pki, "kubelet-client", &client, &issuer)?;

    let accounts = KeyPair::generate()?;
    fs::write(pki.file("service-accounts.key"), accounts.serialize_pem())?;
    fs::write(pki.file("service-accounts.pub"), accounts.public_key_pem())?;
    tokens(&pki, &certificate.pem())?;
    Ok(pki)
}

fn leaf(name: &str, organization: Option<&str>, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![usage];
    Ok(params)
}

fn server_names() -> Result<Vec<SanType>> {
    let mut names = Vec::new();
    for name in [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ] {
        names.push(SanType::DnsName(name.try_into().context("not a DNS name")?));
    }
    for address in ["127.0.0.1", machine::ADDRESS, SERVICE_ADDRESS] {
        names.push(SanType::IpAddress(address.parse::<IpAddr>()?));
    }
    Ok(names)
}

fn sign(pki: &Pki, name: &str, params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    fs::write(pki.file(&format!("{name}.crt")), certificate.pem())?;
    fs::write(pki.file(&format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}

fn tokens(pki: &Pki, authority: &str) -> Result<()> {
    let mut table = String::new();
    for (file, user, groups) in USERS {
        let token = token()?;
        writeln!(table, "{token},{user},{file},\"{groups}\"")?;
        let server = format!("https://{}:{PORT}", machine::ADDRESS);
        fs::write(pki.kubeconfig(file), kubeconfig(&server, authority, file, &token)?)?;
    }
    fs::write(pki.file("tokens.csv"), table)?;
    Ok(())
}

fn token() -> Result<String> {
    let bytes = fs::File::open("/dev/urandom").and_then(|mut random| {
        let mut bytes = [0_u8; 16];
        std::io::Read::read_exact(&mut random, &mut bytes)?;
        Ok(bytes)
    })?;
    Ok(images::hex(&bytes))
}

/// A kubeconfig with one user; JSON is YAML.
pub(crate) fn kubeconfig(server: &str, authority: &str, user: &str, token: &str) -> Result<String> {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": base64(authority.as_bytes())}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
