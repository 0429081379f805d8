//! The forms of `--csi-address` (common-library sheet, section 5.1).

use std::fmt;
use std::path::PathBuf;

/// Where a driver listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    target: Target,
    shown: String,
    authority: String,
}

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A socket file.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// An address that nothing can listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `unix://relative`.
    #[error("failed to exit idle mode: failed to start resolver: invalid (non-empty) authority: {0}")]
    RelativeUnix(String),
    /// Nothing to dial.
    #[error(
        "no address given: expected the path of the CSI driver's socket, for example unix:///run/csi/socket"
    )]
    Empty,
}

impl Address {
    /// Reads an address: an absolute path, a `unix://` URL, or one of gRPC's own forms.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let shown = if text.starts_with('/') { format!("unix://{text}") } else { text.to_owned() };
        if let Some(path) = shown.strip_prefix("unix://") {
            if !path.starts_with('/') {
                let authority = path.split('/').next().unwrap_or_default().to_owned();
                return Err(if authority.is_empty() {
                    AddressError::Empty
                } else {
                    AddressError::RelativeUnix(authority)
                });
            }
            return Ok(Self::unix(path.into(), shown));
        }
        if let Some(path) = shown.strip_prefix("unix:") {
            return Ok(Self::unix(path.into(), shown));
        }
        let endpoint = ["passthrough:///", "dns:///", "passthrough:", "dns:", "ipv4:", "ipv6:"]
            .iter()
            .find_map(|scheme| shown.strip_prefix(scheme))
            .unwrap_or(&shown);
        if endpoint.is_empty() {
            return Err(AddressError::Empty);
        }
        let endpoint = endpoint.to_owned();
        Ok(Self { target: Target::Tcp(endpoint.clone()), shown, authority: endpoint })
    }

    fn unix(path: PathBuf, shown: String) -> Self {
        // A path is no valid authority, and servers refuse calls that carry one.
        Self { target: Target::Unix(path), shown, authority: "localhost".to_owned() }
    }

    /// Whether the form is one for which the loss of the connection can be acted upon.
    #[must_use]
    pub fn is_unix_url(&self) -> bool {
        self.shown.starts_with("unix://")
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Address::parse(text).unwrap().target
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(target("/run/csi/socket"), Target::Unix("/run/csi/socket".into()));
        assert_eq!(target("unix:///a"), Target::Unix("/a".into()));
        assert_eq!(target("unix:////a").clone(), Target::Unix("//a".into()));
        assert_eq!(target("unix:/a"), Target::Unix("/a".into()));
        assert_eq!(target("dns:///host:1"), Target::Tcp("host:1".into()));
        assert_eq!(target("host:1"), Target::Tcp("host:1".into()));
        assert_eq!(target("passthrough:///host:1"), Target::Tcp("host:1".into()));
    }

    #[test]
    fn only_unix_urls_allow_a_loss_policy() {
        for (text, allowed) in [("/a", true), ("unix:///a", true), ("unix:/a", false), ("host:1", false)] {
            assert_eq!(Address::parse(text).unwrap().is_unix_url(), allowed, "{text}");
        }
    }

    #[test]
    fn a_relative_unix_url_fails_at_once() {
        assert_eq!(
            Address::parse("unix://relative").unwrap_err().to_string(),
            "failed to exit idle mode: failed to start resolver: invalid (non-empty) authority: relative"
        );
        assert_eq!(Address::parse("unix://"), Err(AddressError::Empty));
    }
}
