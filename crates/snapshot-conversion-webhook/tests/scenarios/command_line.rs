//! Flags, exit codes and signals of the real program.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use crate::client::{request, send};
use crate::stand::{Folder, certificate};

fn program(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapshot-conversion-webhook"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn end(arguments: &[String]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn flags(folder: &Folder, port: &str) -> Vec<String> {
    vec![
        format!("--tls-cert-file={}", folder.certificate().display()),
        format!("--tls-private-key-file={}", folder.key().display()),
        format!("--port={port}"),
    ]
}

#[test]
fn without_certificate_or_key_it_ends_with_255() {
    let folder = Folder::new(&certificate());
    let both = flags(&folder, "0");
    for (given, missing) in [
        (vec![], "--tls-cert-file"),
        (vec![both[0].clone()], "--tls-private-key-file"),
        (vec![both[1].clone()], "--tls-cert-file"),
    ] {
        let (code, log) = end(&given);
        assert_eq!(code, Some(255), "{log}");
        assert!(log.starts_with('F') && log.contains(&format!("{missing} must be given")), "{log}");
    }
}

#[test]
fn an_unreadable_pair_ends_it_with_255() {
    let (one, other) = (certificate(), certificate());
    let folder = Folder::new(&one);
    for (certificate, key, text) in [
        ("nonsense", one.key.as_str(), "no certificate in"),
        (one.chain.as_str(), "nonsense", "no private key in"),
        (one.chain.as_str(), other.key.as_str(), "cannot be used together"),
    ] {
        folder.write(certificate, key);
        let (code, log) = end(&flags(&folder, "0"));
        assert_eq!(code, Some(255), "{log}");
        assert!(
            log.starts_with('F') && log.contains("Failed to load the certificate: ") && log.contains(text),
            "{log}"
        );
    }
    std::fs::remove_file(folder.key()).unwrap();
    let (code, log) = end(&flags(&folder, "0"));
    assert_eq!(code, Some(255), "{log}");
    assert!(log.contains("cannot read") && log.contains("tls.key"), "{log}");
}

#[test]
fn a_port_that_is_taken_ends_it_with_255() {
    let folder = Folder::new(&certificate());
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, log) = end(&flags(&folder, &port.to_string()));
    assert_eq!(code, Some(255), "{log}");
    assert!(log.starts_with('F') && log.contains(&format!("Failed to listen on port {port}")), "{log}");
    let (code, log) = end(&flags(&folder, "65536"));
    assert_eq!(code, Some(255), "{log}");
    assert!(log.contains("--port=65536"), "{log}");
}

#[test]
fn mistakes_in_flags_end_with_2_and_help_with_0() {
    assert_eq!(end(&["--help".to_owned()]).0, Some(0));
    for flag in ["--kubeconfig=x", "--feature-gates=A=true", "--version", "--port=many"] {
        let (code, log) = end(&[flag.to_owned()]);
        assert_eq!(code, Some(2), "{flag}: {log}");
    }
}

/// A running program, killed when it is dropped.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    fn start(arguments: &[String]) -> Self {
        let mut child = program(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().unwrap().contains("\"Listening\"")).unwrap().unwrap();
        let port =
            line.rsplit_once(':').unwrap().1.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        // A log that nobody reads must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test]
async fn sigterm_ends_it_with_0() {
    let certificate = certificate();
    let folder = Folder::new(&certificate);
    let mut running = Running::start(&flags(&folder, "0"));
    let reply = send(running.port, &certificate.authority, request("/readyz", "", "", "")).await;
    assert_eq!(reply.body, "ok");
    let id = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

/// The flags exist, and upstream never looks at them.
#[test]
fn logging_flags_have_no_effect() {
    let folder = Folder::new(&certificate());
    let mut arguments = flags(&folder, "0");
    arguments.extend(["--logging-format=json", "-v=9", "--log-text-split-stream=true"].map(str::to_owned));
    let mut running = Running::start(&arguments);
    running.child.kill().unwrap();
    let mut output = String::new();
    running.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(output, "", "nothing is logged to stdout");
}
