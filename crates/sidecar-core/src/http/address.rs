//! Listen addresses as Go's `net.Listen("tcp", …)` takes them, with its error texts.
//!
//! An empty host, `0.0.0.0` and `::` all mean every address of both families; ports may have names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// Connections waiting to be accepted.
const BACKLOG: u32 = 128;

/// Why an address cannot be listened on, in Go's words: `listen tcp :80: bind: address already in use`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("listen tcp{0}")]
pub struct ListenError(String);

impl ListenError {
    /// The system refused.
    pub(super) fn bind(address: &str, error: &std::io::Error) -> Self {
        Self(format!(" {address}: bind: {}", errno_text(error)))
    }

    fn address(address: &str, reason: &str) -> Self {
        Self(format!(": address {address}: {reason}"))
    }
}

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// Every address of both families; the text is how it was written.
    Any(String),
    Ip(IpAddr),
    Name(String),
}

impl Address {
    /// Reads `host:port`, `:port`, `[v6]:port`.
    pub(super) fn parse(text: &str) -> Result<Self, ListenError> {
        let fault = |reason| ListenError::address(text, reason);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| fault("missing ']' in address"))?;
                (host, rest.strip_prefix(':').ok_or_else(|| fault("missing port in address"))?)
            }
            None => text.rsplit_once(':').ok_or_else(|| fault("missing port in address"))?,
        };
        if host.contains(':') && !text.starts_with('[') {
            return Err(fault("too many colons in address"));
        }
        Ok(Self { host: Host::parse(host), port: parse_port(port)? })
    }

    /// What makes two addresses the same; none if the system chooses the port.
    pub(super) fn key(&self) -> Option<String> {
        if self.port == 0 {
            return None;
        }
        let host = match &self.host {
            Host::Any(_) => String::new(),
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        };
        Some(format!("{host}:{}", self.port))
    }

    /// Opens the listener.
    pub(super) async fn bind(&self) -> Result<TcpListener, ListenError> {
        let (shown, targets) = match &self.host {
            Host::Any(written) => {
                let port = self.port;
                let every = [IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::UNSPECIFIED)];
                (format!("{written}:{port}"), every.map(|ip| SocketAddr::new(ip, port)).to_vec())
            }
            Host::Ip(ip) => {
                let target = SocketAddr::new(*ip, self.port);
                (target.to_string(), vec![target])
            }
            Host::Name(name) => {
                let target = self.resolve(name).await?;
                (target.to_string(), vec![target])
            }
        };
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for target in targets {
            match open(target) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
            if !is_family_missing(&last) {
                break;
            }
        }
        Err(ListenError::bind(&shown, &last))
    }

    async fn resolve(&self, name: &str) -> Result<SocketAddr, ListenError> {
        let lookup = tokio::net::lookup_host((name, self.port)).await;
        let missing = || ListenError(format!(": lookup {name}: no such host"));
        let found: Vec<SocketAddr> = lookup.map_err(|_| missing())?.collect();
        // Go prefers IPv4 where a name has both.
        found.iter().find(|found| found.is_ipv4()).or_else(|| found.first()).copied().ok_or_else(missing)
    }
}

impl Host {
    fn parse(text: &str) -> Self {
        match text.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => {
                Self::Any(if ip.is_ipv6() { format!("[{text}]") } else { text.to_owned() })
            }
            Ok(ip) => Self::Ip(ip),
            Err(_) if text.is_empty() => Self::Any(String::new()),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

fn parse_port(text: &str) -> Result<u16, ListenError> {
    if text.is_empty() {
        return Ok(0);
    }
    if let Ok(number) = text.parse::<i64>() {
        return u16::try_from(number).map_err(|_| ListenError::address(text, "invalid port"));
    }
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let listed = services.lines().find_map(|line| port_of_service(line, text));
    let known = BUILT_IN_SERVICES.iter().find(|(name, _)| *name == text).map(|(_, port)| *port);
    listed.or(known).ok_or_else(|| ListenError(format!(": lookup tcp/{text}: unknown port")))
}

/// The services that Go knows without a file.
const BUILT_IN_SERVICES: [(&str, u16); 9] = [
    ("domain", 53),
    ("ftp", 21),
    ("ftps", 990),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap2", 143),
    ("pop3", 110),
    ("smtp", 25),
];

/// Reads a line of `/etc/services`: `name port/protocol aliases`.
fn port_of_service(line: &str, wanted: &str) -> Option<u16> {
    let line = line.split('#').next()?;
    let mut words = line.split_whitespace();
    let (name, port) = (words.next()?, words.next()?);
    let port = port.strip_suffix("/tcp")?.parse().ok()?;
    (name == wanted || words.any(|alias| alias == wanted)).then_some(port)
}

fn open(target: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if target.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    if target.is_ipv6() && target.ip().is_unspecified() {
        set_ipv6_v6only(&socket, false)?;
    }
    socket.bind(target)?;
    socket.listen(BACKLOG)
}

/// Whether the machine has no such address family, so that the other one is worth a try.
fn is_family_missing(error: &std::io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// The system's text for an error, in Go's lower case and without Rust's number.
fn errno_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Address::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_gos() {
        for text in [":8080", "0.0.0.0:8080", "[::]:8080", "[0::0]:8080"] {
            assert_eq!(Address::parse(text).unwrap().key().as_deref(), Some(":8080"), "{text}");
        }
        assert_eq!(Address::parse("localhost:http").unwrap().key().as_deref(), Some("localhost:80"));
        assert_eq!(Address::parse("[::1]:9").unwrap().key().as_deref(), Some("::1:9"));
        assert_eq!(Address::parse(":").unwrap().key(), None);
        assert_eq!(fault("nonsense"), "listen tcp: address nonsense: missing port in address");
        assert_eq!(fault("a:b:1"), "listen tcp: address a:b:1: too many colons in address");
        assert_eq!(fault(":65536"), "listen tcp: address 65536: invalid port");
        assert_eq!(fault(":no-such-service"), "listen tcp: lookup tcp/no-such-service: unknown port");
    }

    #[tokio::test]
    async fn a_taken_port_is_reported_as_go_does() {
        let first = Address::parse("127.0.0.1:0").unwrap().bind().await.unwrap();
        let port = first.local_addr().unwrap().port();
        let text = format!("127.0.0.1:{port}");
        let error = Address::parse(&text).unwrap().bind().await.unwrap_err();
        assert_eq!(error.to_string(), format!("listen tcp {text}: bind: address already in use"));
        let error = Address::parse(&format!(":{port}")).unwrap().bind().await.unwrap_err();
        assert_eq!(error.to_string(), format!("listen tcp :{port}: bind: address already in use"));
    }

    #[tokio::test]
    async fn wildcards_take_both_families() {
        let listener = Address::parse("0.0.0.0:0").unwrap().bind().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            tokio::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        }
    }
}
