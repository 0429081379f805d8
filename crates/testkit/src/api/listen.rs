//! The server behind real sockets, with a certificate of its own and a kubeconfig that fits.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::ApiServer;
use crate::net::Listening;

/// A listener; the server stops listening when it is dropped.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority that signed the server's certificate, PEM; empty without TLS.
    pub authority: String,
    _listening: Listening,
}

impl Served {
    /// The URL of the server.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// A kubeconfig for this server; an empty token makes the client anonymous, which may do everything.
    pub fn kubeconfig(&self, token: &str) -> String {
        use base64::Engine;
        let authority = base64::engine::general_purpose::STANDARD.encode(&self.authority);
        let cluster = if self.authority.is_empty() {
            json!({"server": self.url()})
        } else {
            json!({"server": self.url(), "certificate-authority-data": authority})
        };
        let user = if token.is_empty() { json!({}) } else { json!({"token": token}) };
        // YAML contains JSON.
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testkit",
            "clusters": [{"name": "testkit", "cluster": cluster}],
            "users": [{"name": "testkit", "user": user}],
            "contexts": [{"name": "testkit", "context": {"cluster": "testkit", "user": "testkit"}}],
        })
        .to_string()
    }
}

impl ApiServer {
    /// Serves plain HTTP/1 and HTTP/2 on a free port of the loopback address.
    pub async fn serve_http(&self) -> io::Result<Served> {
        let (listener, address) = bind().await?;
        let accept = move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.map(|(stream, _)| stream) }
        };
        let listening = Listening::start(accept, self.service());
        Ok(Served { address, authority: String::new(), _listening: listening })
    }

    /// Serves HTTPS on a free port of the loopback address.
    pub async fn serve_https(&self) -> io::Result<Served> {
        let (listener, address) = bind().await?;
        let (authority, config) = certificates().map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accept = move || {
            let (listener, acceptor) = (Arc::clone(&listener), acceptor.clone());
            async move { acceptor.accept(listener.accept().await?.0).await }
        };
        let listening = Listening::start(accept, self.service());
        Ok(Served { address, authority, _listening: listening })
    }
}

async fn bind() -> io::Result<(Arc<TcpListener>, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((Arc::new(listener), address))
}

/// A certificate authority and a server configuration signed by it.
fn certificates() -> Result<(String, rustls::ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((authority.pem(), config))
}
