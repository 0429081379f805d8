//! Lines as upstream's binaries print them; the expected texts are those of the sheet (`common-library`, section 14).

use std::io::Write;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use tracing::{debug, error, info, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Config, Format, KlogLayer, json, pairs};
use crate::clock::Clock;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `speak` logs, with the line numbers of this file replaced.
fn lines(config: Config, zone: TimeZone, speak: impl FnOnce()) -> String {
    let epoch: Timestamp = "2026-11-21T05:09:10.530784123Z".parse().unwrap();
    let captured = Captured::default();
    let sink = captured.clone();
    let layer = KlogLayer::new(config, Clock::simulated(epoch), Box::new(move || sink.clone()));
    let subscriber = tracing_subscriber::registry().with(layer.with_identity(zone, 1));
    tracing::subscriber::with_default(subscriber, speak);
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let mut masked = String::new();
    for part in text.split_inclusive("tests.rs:") {
        masked.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    masked
}

fn text(speak: impl FnOnce()) -> String {
    lines(Config::default(), TimeZone::UTC, speak)
}

fn json_config() -> Config {
    Config { format: Format::Json, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn structured_records() {
    let said = text(|| {
        info!(csiDriverName = "fake.csi.example.com", "CSI driver name");
        info!(count = 3, ratio = 0.5, on = true, negative = -2, object = %"ns/name", "Values \"quoted\"");
        error!(address = "unix:///csi.sock", err = %"it broke", "Lost connection");
        error!("Without an error");
        info!(logger = "a.b", key = "x", "Named");
        info!(featureGates = %json(r#"{"A":true}"#), err = ?None::<u8>, "Updated");
    });
    insta::assert_snapshot!(said, @r#"
    I1121 05:09:10.530784       1 tests.rs:] "CSI driver name" csiDriverName="fake.csi.example.com"
    I1121 05:09:10.530784       1 tests.rs:] "Values \"quoted\"" count=3 ratio=0.5 on=true negative=-2 object="ns/name"
    E1121 05:09:10.530784       1 tests.rs:] "Lost connection" err="it broke" address="unix:///csi.sock"
    E1121 05:09:10.530784       1 tests.rs:] "Without an error"
    I1121 05:09:10.530784       1 tests.rs:] "Named" logger="a.b" key="x"
    I1121 05:09:10.530784       1 tests.rs:] "Updated" featureGates={"A":true} err="None"
    "#);
}

#[tokio::test(start_paused = true)]
async fn unstructured_records_and_severities() {
    let said = text(|| {
        info!(unstructured = true, "Building kube configs for \"running\" in cluster...");
        warn!(unstructured = true, "careful");
        error!(unstructured = true, err = "denied", "failed");
        error!(unstructured = true, fatal = true, "unrecognized feature gate: X");
        error!(err = "e", pairs = pairs(&[("key", "v 1"), ("other", "2")]), "Run-time keys");
    });
    insta::assert_snapshot!(said, @r#"
    I1121 05:09:10.530784       1 tests.rs:] Building kube configs for "running" in cluster...
    W1121 05:09:10.530784       1 tests.rs:] careful
    E1121 05:09:10.530784       1 tests.rs:] failed: denied
    F1121 05:09:10.530784       1 tests.rs:] unrecognized feature gate: X
    E1121 05:09:10.530784       1 tests.rs:] "Run-time keys" err="e" key="v 1" other="2"
    "#);
}

#[tokio::test(start_paused = true)]
async fn text_of_several_lines_is_indented() {
    let said = text(|| {
        info!(one = "a\nb", two = "ends\n", "Lines");
        info!(key = 1, key = 2, "Duplicate keys: the last one wins");
    });
    assert_eq!(
        said,
        "I1121 05:09:10.530784       1 tests.rs:] \"Lines\" one=<\n\ta\n\tb\n > two=<\n\tends\n >\n\
         I1121 05:09:10.530784       1 tests.rs:] \"Duplicate keys: the last one wins\" key=2\n"
    );
}

#[tokio::test(start_paused = true)]
async fn headers_show_local_time() {
    let zone = TimeZone::fixed(Offset::constant(-6));
    let said = lines(Config::default(), zone, || info!("x"));
    assert_eq!(said, "I1120 23:09:10.530784       1 tests.rs:] \"x\"\n");
}

#[tokio::test(start_paused = true)]
async fn json_records() {
    let said = lines(json_config(), TimeZone::UTC, || {
        info!(driver = "fake.csi.example.com", count = 1, "CSI driver name");
        error!(err = "no such file", path = "/a", "Failed to build a \"config\"\n");
        info!(logger = "a", "named");
        error!(unstructured = true, fatal = true, "fatal");
        warn!(unstructured = true, "warning <&> \u{1f}");
        error!(unstructured = true, err = "denied", "failed");
    });
    insta::assert_snapshot!(said, @r#"
    {"ts":1795237750530.784,"caller":"logging/tests.rs:","msg":"CSI driver name","v":0,"driver":"fake.csi.example.com","count":1}
    {"ts":1795237750530.784,"caller":"logging/tests.rs:","msg":"Failed to build a \"config\"\n","path":"/a","err":"no such file"}
    {"ts":1795237750530.784,"logger":"a","caller":"logging/tests.rs:","msg":"named","v":0}
    {"ts":1795237750530.784,"caller":"logging/tests.rs:","msg":"fatal","v":0}
    {"ts":1795237750530.784,"caller":"logging/tests.rs:","msg":"warning <&> \u001f","v":0}
    {"ts":1795237750530.784,"caller":"logging/tests.rs:","msg":"failed: denied"}
    "#);
    for line in said.lines() {
        let _valid: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn verbosity_decides_unless_vmodule_names_the_file() {
    let speak = || {
        info!(v = 4, "four");
        info!(v = 5, "five");
        debug!("six");
        error!(v = 9, "errors always");
    };
    let quiet = Config { verbosity: 4, ..Config::default() };
    let heard = lines(quiet.clone(), TimeZone::UTC, speak);
    assert!(heard.contains("four") && !heard.contains("five") && heard.contains("errors always"), "{heard}");
    let named = Config { vmodule: vec![("tes*".to_owned(), 6)], ..quiet };
    let heard = lines(named, TimeZone::UTC, speak);
    assert!(heard.contains("five") && heard.contains("six"), "{heard}");
    let silenced = Config { verbosity: 6, vmodule: vec![("tests".to_owned(), 0)], ..Config::default() };
    let heard = lines(silenced, TimeZone::UTC, speak);
    assert!(!heard.contains("four"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn json_keeps_the_verbosity() {
    let config = Config { verbosity: 5, ..json_config() };
    let said = lines(config, TimeZone::UTC, || info!(v = 5, err = ?Nil, "GRPC response"));
    assert!(said.ends_with("\"msg\":\"GRPC response\",\"v\":5,\"err\":null}\n"), "{said}");
}

/// As csi-client prints the error of a call that had none.
struct Nil;

impl std::fmt::Debug for Nil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("null")
    }
}

#[test]
fn a_closed_log_stops_nobody() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    let layer = KlogLayer::new(Config::default(), Clock::system(), Box::new(|| Closed));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        error!("nobody listens");
    });
}
