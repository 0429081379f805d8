//! The command line (annex B). The logging flags are read and, as with upstream, have no effect.

use std::path::PathBuf;

use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;

/// What the operator asked for.
#[derive(Debug, Clone)]
pub struct Flags {
    /// `--tls-cert-file`: the certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// `--tls-private-key-file`: its key, PEM.
    pub key: PathBuf,
    /// `--port`: 0 has the system choose.
    pub port: u16,
}

impl Flags {
    /// Reads the values of a parsed command line.
    pub fn new(parsed: &Parsed) -> Result<Self, Exit> {
        let port = parsed.int("port");
        let port = u16::try_from(port)
            .map_err(|_| Exit::fatal(255, format!("--port={port}: a port is a number from 0 to 65535")))?;
        Ok(Self {
            certificate: required(parsed, "tls-cert-file")?,
            key: required(parsed, "tls-private-key-file")?,
            port,
        })
    }
}

fn required(parsed: &Parsed, name: &str) -> Result<PathBuf, Exit> {
    match parsed.string(name) {
        "" => Err(Exit::fatal(
            255,
            format!("--{name} must be given: the API server calls webhooks by HTTPS only"),
        )),
        path => Ok(path.into()),
    }
}
