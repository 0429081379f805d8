//! Rows about flags and environment variables.

use std::net::TcpListener;

use super::{Expected, Row, Subject};

/// A command line that is refused with this code and text.
pub const fn refused<C>(
    name: &'static str,
    flags: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
) -> Row<C> {
    Row { name, flags, says, end: Expected::Refuses(code), ..Row::BLANK }
}

/// A command line that is taken, although there is something to say about it.
pub const fn accepted<C>(
    name: &'static str,
    flags: &'static [&'static str],
    says: &'static [&'static str],
) -> Row<C> {
    Row { name, flags, says, ..Row::BLANK }
}

/// The diagnostics server's port is taken.
pub const fn busy_port<C: Subject>(code: i32) -> Row<C> {
    Row {
        before: |subject, launch| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            launch.flags.push(format!("--http-endpoint={}", listener.local_addr().unwrap()));
            subject.hold(listener);
        },
        ..refused("busy port", &[], code, &["Failed to start HTTP server", "bind: address already in use"])
    }
}

/// The driver's address comes from the environment, and is none.
pub const fn malformed_endpoint<C: Subject>(code: i32) -> Row<C> {
    Row {
        before: |_, launch| {
            launch.without("--csi-address");
            launch.environment.push(("CSI_ENDPOINT".into(), "tcp://1.2.3.4:5".into()));
        },
        ..refused(
            "malformed CSI_ENDPOINT",
            &[],
            code,
            &["CSI_ENDPOINT must be an absolute path or start with unix://"],
        )
    }
}

/// Nothing says where the API server is.
pub const fn not_in_a_pod<C: Subject>(code: i32, says: &'static [&'static str]) -> Row<C> {
    Row { before: |_, launch| launch.without("--kubeconfig"), ..refused("not in a pod", &[], code, says) }
}

/// The kubeconfig is no YAML.
pub const fn broken_kubeconfig<C: Subject>(code: i32) -> Row<C> {
    Row {
        before: |subject, launch| {
            std::fs::write(subject.path("broken"), "]").unwrap();
            launch.flags.push(format!("--kubeconfig={}", subject.path("broken").display()));
        },
        ..refused("kubeconfig that is none", &[], code, &["error loading config file", "broken"])
    }
}
