//! The registrar's decisions, as pure functions.

use std::time::Duration;

use crate::flags::Flags;

/// What to do after the flags were read (sheet node-driver-registrar, section 3, steps 4 to 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Print the version and end.
    Version,
    /// The exec probe of old manifests: end with success.
    Probe,
    /// Register; the listen address of the health server, if any.
    Register(Option<String>),
    /// The flags contradict each other.
    Refuse(&'static str),
}

/// The checks that come before anything is said: version, required path, probe mode.
pub(crate) fn start(flags: &Flags) -> Start {
    if flags.version {
        return Start::Version;
    }
    if flags.kubelet_registration_path.is_empty() {
        return Start::Refuse("kubelet-registration-path is a required parameter");
    }
    if flags.is_probe() {
        return Start::Probe;
    }
    Start::Register(listen_address(flags))
}

/// Whether both forms of the health address were given, which is refused after the first log lines.
pub(crate) fn addresses_conflict(flags: &Flags) -> bool {
    flags.health_port > 0 && !flags.http_endpoint.is_empty()
}

fn listen_address(flags: &Flags) -> Option<String> {
    if flags.health_port > 0 {
        return Some(format!(":{}", flags.health_port));
    }
    Some(flags.http_endpoint.clone()).filter(|address| !address.is_empty())
}

/// The pauses between questions to a driver that does not answer them: half a second, doubling up to ten.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    let doubled = |pause: &Duration| Some((*pause * 2).min(Duration::from_secs(10)));
    std::iter::successors(Some(Duration::from_millis(500)), doubled)
}

/// What lies at the registration path while we serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AtPath {
    /// Our own socket.
    Ours,
    /// Nothing.
    Nothing,
    /// A socket that nobody serves.
    DeadSocket,
    /// A socket that somebody else serves.
    LivePeer,
    /// No socket, or not to be looked at.
    Unusable(String),
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mend {
    /// All is well.
    Nothing,
    /// Bind the path again.
    BindAgain,
    /// Leave it and say why.
    Report(String),
}

/// A socket that vanished or died is replaced. A living one is not: two registrars of one driver (an old pod beside
/// its successor) would otherwise take it from each other for ever. A file that is no socket is never removed.
pub(crate) fn mend(found: &AtPath) -> Mend {
    match found {
        AtPath::Ours => Mend::Nothing,
        AtPath::Nothing | AtPath::DeadSocket => Mend::BindAgain,
        AtPath::LivePeer => {
            Mend::Report("another process serves it; is a second pod of this driver running?".to_owned())
        }
        AtPath::Unusable(error) => Mend::Report(error.clone()),
    }
}

/// What `/healthz` answers: status and body (sheet section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// HTTP status.
    pub status: u16,
    /// Body, plain text.
    pub body: String,
}

/// Judges the registration socket: `exists` is whether a socket lies at the path (or why that cannot be said),
/// `check` the outcome of the self-check through it.
pub(crate) fn health(exists: Result<bool, String>, check: Option<Result<(), String>>) -> Health {
    match (exists, check) {
        (Err(error), _) | (Ok(true), Some(Err(error))) => Health { status: 500, body: error },
        (Ok(false), _) => Health { status: 404, body: "registration socket does not exist".to_owned() },
        (Ok(true), _) => Health { status: 200, body: "ok".to_owned() },
    }
}

/// The self-check's verdict on the name that answered at the registration socket.
pub(crate) fn check_name(expected: &str, answered: &str) -> Result<(), String> {
    if expected == answered { Ok(()) } else { Err(format!("invalid driver name {answered}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        let millis: Vec<_> = pauses().take(8).map(|pause| pause.as_millis()).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn only_a_socket_nobody_serves_is_replaced() {
        assert_eq!(mend(&AtPath::Ours), Mend::Nothing);
        assert_eq!(mend(&AtPath::Nothing), Mend::BindAgain);
        assert_eq!(mend(&AtPath::DeadSocket), Mend::BindAgain);
        assert!(matches!(mend(&AtPath::LivePeer), Mend::Report(_)));
        assert_eq!(mend(&AtPath::Unusable("why".to_owned())), Mend::Report("why".to_owned()));
    }

    #[test]
    fn health_tells_absent_from_broken() {
        assert_eq!(health(Ok(true), Some(Ok(()))).status, 200);
        assert_eq!(health(Ok(false), None).status, 404);
        assert_eq!(
            health(Err("file exists".to_owned()), None),
            Health { status: 500, body: "file exists".to_owned() }
        );
        assert_eq!(health(Ok(true), Some(Err("late".to_owned()))).status, 500);
    }
}
