//! Where a driver listens, in the form that drivers have always taken (hostpath-driver 3.2).

use std::fmt;
use std::path::PathBuf;

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket: `unix:///csi/csi.sock` is absolute, `unix://tmp/csi.sock` relative.
    Unix(PathBuf),
    /// Host and port: `tcp://localhost:7654`, `tcp://:9000`.
    Tcp(String),
}

/// The text names no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid endpoint: {0}")]
pub struct InvalidEndpoint(pub String);

impl std::str::FromStr for Endpoint {
    type Err = InvalidEndpoint;

    /// A scheme `unix` or `tcp` in any case, or else a path as it stands.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let known = |scheme: &str| scheme.eq_ignore_ascii_case("unix") || scheme.eq_ignore_ascii_case("tcp");
        let Some((scheme, address)) = text.split_once("://").filter(|(scheme, _)| known(scheme)) else {
            return if text.is_empty() {
                Err(InvalidEndpoint(text.to_owned()))
            } else {
                Ok(Self::Unix(text.into()))
            };
        };
        if address.is_empty() {
            return Err(InvalidEndpoint(text.to_owned()));
        }
        Ok(if scheme.eq_ignore_ascii_case("unix") {
            Self::Unix(address.into())
        } else {
            Self::Tcp(address.to_owned())
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_parsing() {
        let unix = |path: &str| Ok(Endpoint::Unix(path.into()));
        for (text, expected) in [
            ("unix:///csi/csi.sock", unix("/csi/csi.sock")),
            ("unix://tmp/csi.sock", unix("tmp/csi.sock")),
            ("UNIX:///csi/csi.sock", unix("/csi/csi.sock")),
            ("tcp://localhost:7654", Ok(Endpoint::Tcp("localhost:7654".into()))),
            ("Tcp://:9000", Ok(Endpoint::Tcp(":9000".into()))),
            ("/csi/csi.sock", unix("/csi/csi.sock")),
            ("http://x", unix("http://x")),
            ("unix:/csi.sock", unix("unix:/csi.sock")),
            ("unix://", Err(InvalidEndpoint("unix://".into()))),
            ("tcp://", Err(InvalidEndpoint("tcp://".into()))),
            ("", Err(InvalidEndpoint(String::new()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
