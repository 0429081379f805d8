//! The certificate, and its successors.
//!
//! Certificates are renewed under the running process. Kubelet does so by swapping a directory behind symbolic links, of which
//! a watch on the file itself sees only the end; so the two files, a few kilobytes, are simply read every second.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::MissedTickBehavior;

/// How often the files are looked at.
const FRESHNESS: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("no certificate in {0}: {1}")]
    Certificate(PathBuf, String),
    #[error("no private key in {0}: {1}")]
    Key(PathBuf, String),
    #[error("certificate and private key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// What both files hold.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate of the moment.
pub(crate) struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    /// What was read last, usable or not.
    seen: Content,
    pair: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("chain_file", &self.chain_file).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a certificate and its key.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let seen = read(certificate, key)?;
        let pair = Arc::new(parse(certificate, key, &seen)?);
        let current = RwLock::new(Current { seen, pair });
        Ok(Self { chain_file: certificate.to_owned(), key_file: key.to_owned(), current })
    }

    /// Takes up what the files hold from time to time, for ever.
    pub(crate) async fn keep_fresh(&self) {
        let mut ticks = tokio::time::interval(FRESHNESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.reload() {
                Ok(true) => tracing::info!("Certificate is replaced"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(err = %error, "Failed to replace the certificate, keeping the old one");
                }
            }
        }
    }

    /// Whether there was something new. What could not be used is reported once.
    fn reload(&self) -> Result<bool, CertificateError> {
        // Files that are being swapped are absent for a moment.
        let Ok(found) = read(&self.chain_file, &self.key_file) else { return Ok(false) };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if found == current.seen {
            return Ok(false);
        }
        let pair = parse(&self.chain_file, &self.key_file, &found);
        current.seen = found;
        current.pair = Arc::new(pair?);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.pair))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Content, CertificateError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| CertificateError::Read(path.to_owned(), error));
    Ok(Content { certificate: read(certificate)?, key: read(key)? })
}

fn parse(certificate: &Path, key: &Path, content: &Content) -> Result<CertifiedKey, CertificateError> {
    let bad =
        |reason: &dyn fmt::Display| CertificateError::Certificate(certificate.to_owned(), reason.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&content.certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&error))?;
    if chain.is_empty() {
        return Err(bad(&"it holds no PEM block of this kind"));
    }
    let private = PrivateKeyDer::from_pem_slice(&content.key)
        .map_err(|error| CertificateError::Key(key.to_owned(), error.to_string()))?;
    CertifiedKey::from_der(chain, private, &default_provider()).map_err(CertificateError::Pair)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, certificate: &str, key: &str) {
            std::fs::write(self.path("crt"), certificate).unwrap();
            std::fs::write(self.path("key"), key).unwrap();
        }
    }

    fn shown(certificate: &Certificate) -> Arc<CertifiedKey> {
        Arc::clone(&certificate.current.read().unwrap().pair)
    }

    #[test]
    fn a_failed_reload_keeps_the_old_certificate() {
        let (first, second) = (pair(), pair());
        let files = Files(tempfile::tempdir().unwrap());
        files.write(&first.0, &first.1);
        let certificate = Certificate::load(&files.path("crt"), &files.path("key")).unwrap();
        assert!(!certificate.reload().unwrap(), "nothing has changed");
        let old = shown(&certificate);

        files.write(&second.0, &first.1);
        assert!(matches!(certificate.reload(), Err(CertificateError::Pair(_))), "half of a new pair");
        assert!(!certificate.reload().unwrap(), "said once");
        files.write("none", &first.1);
        assert!(matches!(certificate.reload(), Err(CertificateError::Certificate(..))));
        files.write(&second.0, "none");
        assert!(matches!(certificate.reload(), Err(CertificateError::Key(..))));
        std::fs::remove_file(files.path("key")).unwrap();
        assert!(!certificate.reload().unwrap(), "being swapped");
        assert!(Arc::ptr_eq(&old, &shown(&certificate)));

        files.write(&second.0, &second.1);
        assert!(certificate.reload().unwrap());
        assert!(!Arc::ptr_eq(&old, &shown(&certificate)));
    }
}
