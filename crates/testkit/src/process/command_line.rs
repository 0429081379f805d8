//! Rows about flags and environment variables, and what is printed on demand.

use std::net::TcpListener;

use super::{Expected, Row, Subject, printed};

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

/// A flag that sidecars had once.
pub const fn old_flag<C>() -> Row<C> {
    accepted(
        "flag of old manifests",
        &["--logtostderr"],
        &["\"Option has no effect\" option=\"logtostderr\""],
    )
}

/// Labels of the Lease are pairs.
pub const fn malformed_label<C>() -> Row<C> {
    let flags = &["--leader-election-labels=a"];
    refused("label without colon", flags, 2, &["malformed item in list of labels: a"])
}

/// Others would take the Lease while its holder may still renew it.
pub const fn short_lease<C>() -> Row<C> {
    refused(
        "lease shorter than deadline",
        &["--leader-election", "--leader-election-lease-duration=10s"],
        2,
        &["leaseDuration must be greater than renewDeadline"],
    )
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

/// Usage is on stderr, with these flags, however it is asked for in the dialect of Go's own flags.
pub fn assert_usage(binary: &str, flags: &[&str]) {
    for argument in ["--help", "-help", "-h"] {
        let (code, stdout, stderr) = printed(binary, argument);
        assert_eq!((code, stdout.as_str()), (Some(0), ""));
        for flag in flags {
            assert!(stderr.contains(flag), "{flag} is not in:\n{stderr}");
        }
    }
}

/// The version is one line on stdout, after this name.
pub fn assert_version(binary: &str, name: &str) {
    let (code, stdout, _) = printed(binary, "--version");
    assert_eq!((code, stdout.lines().count()), (Some(0), 1));
    assert!(stdout.contains(&format!("{name} v")), "{stdout}");
}
