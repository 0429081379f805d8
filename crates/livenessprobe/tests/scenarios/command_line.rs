//! Rows and other cases in which the command line ends the process.

use testkit::process::{End, free_port};

use crate::pod::{Pod, launch};

fn run(flags: &[&str]) -> End {
    launch(flags).start().end()
}

#[test]
fn row_13_health_port_and_http_endpoint() {
    let end = run(&["--health-port=1", "--http-endpoint=:2"]);
    assert_eq!(end.code, 1);
    let text = "\"Only one of `--health-port` and `--http-endpoint` can be explicitly set\"";
    assert!(end.log.starts_with('E') && end.log.contains(text), "{}", end.log);
}

#[test]
fn row_13_metrics_address_and_http_endpoint() {
    let end = run(&["--metrics-address=:1", "--http-endpoint=:2"]);
    assert_eq!(end.code, 1);
    let text = "\"Only one of `--metrics-address` and `--http-endpoint` can be explicitly set\"";
    assert!(end.log.starts_with('E') && end.log.contains(text), "{}", end.log);
}

/// Ours has the flag (13.9); upstream's exit code is there for who asks for it.
#[test]
fn row_16_version() {
    let end = run(&["--version", "--upstream-flags-only"]);
    assert_eq!(end.code, 2);
    assert!(end.log.starts_with("flag provided but not defined: -version\nUsage of "), "{}", end.log);

    let end = run(&["--version"]);
    assert_eq!((end.code, end.log.as_str()), (0, ""));
    let program = env!("CARGO_BIN_EXE_livenessprobe");
    assert!(end.output.starts_with(&format!("{program} v")) && end.output.ends_with('\n'), "{}", end.output);
    assert_eq!(end.output.lines().count(), 1);
}

#[test]
fn help_lists_every_flag_and_ends_with_0() {
    for flag in ["-h", "-help", "--help"] {
        let end = run(&[flag]);
        assert_eq!((end.code, end.output.as_str()), (0, ""), "{flag}");
        let program = env!("CARGO_BIN_EXE_livenessprobe");
        assert!(end.log.starts_with(&format!("Usage of {program}:\n")), "{}", end.log);
        let upstream = [
            "automaxprocs",
            "csi-address string\n    \tSocket of the CSI driver: an absolute path or unix:// address. \
             (default \"/run/csi/socket\")",
            "health-port string",
            "http-endpoint string",
            "log-flush-frequency duration",
            "logging-format string",
            "metrics-address string",
            "metrics-path string",
            "probe-timeout duration\n    \tLongest time for one health probe of the driver. (default 3s)",
            "v ",
            "vmodule ",
        ];
        for text in upstream {
            assert!(end.log.contains(&format!("\n  -{text}")), "{text}: {}", end.log);
        }
    }
}

/// What a person may get wrong, with exit code and text.
#[test]
fn bad_input_is_refused_with_upstreams_code() {
    let usage = "invalid value \"3\" for flag -probe-timeout: parse error";
    let table: [(&[&str], i32, &str); 15] = [
        (&["--probe-timeout=3"], 2, usage),
        (&["--probe-timeout=x"], 2, "for flag -probe-timeout: parse error"),
        (&["--nonsense"], 2, "flag provided but not defined: -nonsense"),
        (&["--kubeconfig=/x"], 2, "flag provided but not defined: -kubeconfig"),
        (&["--leader-election"], 2, "flag provided but not defined: -leader-election"),
        (&["--csi-address"], 2, "flag needs an argument: -csi-address"),
        (&["--automaxprocs=error"], 2, "invalid boolean"),
        (&["--logging-format=xml"], 1, "\"LoggingConfiguration is invalid\""),
        (&["--metrics-path=metrics", "--http-endpoint=127.0.0.1:0"], 2, "panic: parsing \"metrics\""),
        (&["--metrics-path=", "--http-endpoint=127.0.0.1:0"], 2, "panic: parsing \"\": empty pattern"),
        (&["--metrics-path=/healthz", "--http-endpoint=127.0.0.1:0"], 2, "panic: pattern \"/healthz\""),
        (&["--http-endpoint=foo"], 1, "\"Failed to start http server\" err=\"listen tcp: address foo: "),
        (&["--health-port=no-such-name"], 1, "unknown port"),
        (&["--health-port=65536"], 1, "invalid port"),
        (
            &["--csi-address=unix://relative", "--http-endpoint=127.0.0.1:0"],
            1,
            "\"Failed to establish connection to CSI driver\" err=\"failed to exit idle mode: failed to start \
             resolver: invalid (non-empty) authority: relative\"",
        ),
    ];
    for (flags, code, text) in table {
        let end = run(flags);
        assert_eq!(end.code, code, "{flags:?}: {}", end.log);
        assert!(end.log.contains(text), "{flags:?}: {}", end.log);
        assert_eq!(end.output, "", "{flags:?}");
    }
}

/// gRPC takes it for a host's name, so it is no mistake but a driver that never comes.
#[test]
fn a_relative_address_is_waited_for() {
    let port = free_port();
    let mut probe = launch(&["--csi-address=csi.sock", &format!("--http-endpoint=127.0.0.1:{port}")]).start();
    probe.wait_for("\"Still connecting\" address=\"csi.sock\"");
    assert!(probe.is_running());
}

#[test]
fn words_that_are_no_flags_end_the_flags() {
    let pod = Pod::with_driver();
    let (_probe, _port) = pod.start_probing(&["word", "--nonsense"]);
}

#[test]
fn the_variable_of_the_documents_names_the_socket() {
    let pod = Pod::with_driver();
    let endpoint = format!("--http-endpoint=127.0.0.1:{}", free_port());
    let socket = format!("unix://{}", pod.socket().display());
    let start = |socket: &str| {
        let mut launch = launch(&[&endpoint]);
        launch.environment.push(("CSI_ENDPOINT".into(), socket.into()));
        launch.start()
    };
    let probe = start(&socket);
    probe.wait_for("\"CSI driver name\" driver=\"x\"");
    let end = start("tcp://x:1").end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("CSI_ENDPOINT"), "{}", end.log);
}

#[test]
fn old_flags_without_effect_are_mentioned() {
    let pod = Pod::with_driver();
    let (probe, _port) = pod.start_probing(&["--connection-timeout=1m"]);
    assert!(probe.log().contains("the wait for the driver has no limit"), "{}", probe.log());
}
