//! Certificates in a folder, and the webhook on them.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sidecar_core::context::Context;
use sidecar_core::shutdown::Reason;
use snapshot_conversion_webhook::{Flags, Webhook};
use tokio::task::JoinHandle;

/// Authority, certificate and key, PEM.
pub(crate) struct Certificate {
    pub(crate) authority: String,
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A new authority and a certificate of it for this machine.
pub(crate) fn certificate() -> Certificate {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    Certificate { authority: authority.pem(), chain: certificate.pem(), key: key.serialize_pem() }
}

/// The folder of a mounted Secret, with `tls.crt` and `tls.key`.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new(content: &Certificate) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        folder.write(&content.chain, &content.key);
        folder
    }

    pub(crate) fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.certificate(), certificate).unwrap();
        std::fs::write(self.key(), key).unwrap();
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("tls.key")
    }
}

/// The webhook in this process.
pub(crate) struct Stand {
    pub(crate) port: u16,
    context: Context,
    served: JoinHandle<()>,
}

impl Stand {
    pub(crate) async fn start(folder: &Folder) -> Self {
        let flags = Flags { certificate: folder.certificate(), key: folder.key(), port: 0 };
        let webhook = Webhook::start(&flags).await.unwrap();
        let context = Context::builder().build();
        let port = webhook.local_address().port();
        let served = tokio::spawn({
            let context = context.clone();
            async move { webhook.serve(&context).await }
        });
        Self { port, context, served }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.context.shutdown.request(Reason::Terminate);
        tokio::time::timeout(std::time::Duration::from_secs(20), self.served).await.unwrap().unwrap();
    }
}
