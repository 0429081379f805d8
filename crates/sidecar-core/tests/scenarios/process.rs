//! Start and end of a process: first checks, logging settings, signals (sheet `common-library`, 2.4, 3.1 and 3.6).

use std::time::Duration;

use sidecar_core::context::{Context, Variables};
use sidecar_core::entry::{prologue, supervise};
use sidecar_core::exit::{Exit, Style};
use sidecar_core::flags::Binary;
use sidecar_core::logging::Config;
use sidecar_core::shutdown::{Reason, Shutdown};

use crate::flag_matrix::read;

fn begin(binary: Binary, arguments: &[&str]) -> Result<(), Exit> {
    prologue(&read(binary, arguments).unwrap(), &Context::builder().build()).map(drop)
}

#[test]
fn version_and_bad_gates_compete_in_each_binarys_order() {
    let arguments = ["--version", "--feature-gates=Nonsense=true"];
    for (binary, code) in [
        (Binary::Provisioner, 255),
        (Binary::Attacher, 1),
        (Binary::Resizer, 0),
        (Binary::Snapshotter, 255),
        (Binary::SnapshotController, 255),
    ] {
        let exit = begin(binary, &arguments).unwrap_err();
        assert_eq!(exit.code, code, "{}", binary.name());
        if code != 0 {
            assert!(exit.to_string().contains("unrecognized feature gate: Nonsense"), "{exit}");
        }
        assert_eq!(begin(binary, &arguments[..1]).unwrap_err(), Exit::success());
        assert_eq!(begin(binary, &[]), Ok(()));
    }
}

#[test]
fn node_name_missing() {
    let arguments = ["--node-deployment", "--version"];
    let exit = begin(Binary::Provisioner, &arguments).unwrap_err();
    assert!(exit.code == 255 && exit.style == Style::Fatal && exit.message.contains("NODE_NAME"), "{exit:?}");
    let variables = Variables::from_pairs([("NODE_NAME", "n1")]);
    let context = Context::builder().variables(variables).build();
    assert_eq!(prologue(&read(Binary::Provisioner, &arguments).unwrap(), &context).unwrap_err().code, 0);
}

#[test]
fn address_conflict_texts() {
    let arguments = ["--metrics-address=:1", "--http-endpoint=:2"];
    for (binary, text) in [
        (Binary::Attacher, "Only one of `--metrics-address` and `--http-endpoint` can be set"),
        (Binary::Resizer, "Only one of `--metrics-address` and `--http-endpoint` can be set."),
        (Binary::Provisioner, "only one of `--metrics-address` and `--http-endpoint` can be set."),
    ] {
        let exit = begin(binary, &arguments).unwrap_err();
        assert_eq!((exit.code, exit.message.as_str()), (1, text));
    }
    assert_eq!(begin(Binary::Attacher, &["--metrics-addr=:1", "--http-endpoint=:2"]), Ok(()));
}

#[test]
fn invalid_logging_settings() {
    let cases = [
        ("--logging-format=xml", "format: Invalid value: \"xml\": Unsupported log format"),
        ("--log-flush-frequency=0", "flushFrequency: Invalid value: \"0s\": Must be greater than zero"),
        (
            "--log-text-split-stream",
            "options.text.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled",
        ),
        (
            "--log-json-split-stream",
            "options.json.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled",
        ),
        (
            "--log-text-info-buffer-size=1Ki",
            "options.text.infoBufferSize: Forbidden: Feature LoggingAlphaOptions is disabled",
        ),
        (
            "--log-json-info-buffer-size=1m",
            "options.json.infoBufferSize: Forbidden: Feature LoggingAlphaOptions is disabled",
        ),
    ];
    for (argument, text) in cases {
        let error = Config::from_flags(&read(Binary::Attacher, &[argument]).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    let both = ["--logging-format=json", "--vmodule=a=1", "--log-flush-frequency=-1s"];
    assert_eq!(
        Config::from_flags(&read(Binary::Attacher, &both).unwrap()).unwrap_err().to_string(),
        "[flushFrequency: Invalid value: \"-1s\": Must be greater than zero, vmodule: Forbidden: Only supported for \
         text log format]"
    );
    let unread =
        read(Binary::ConversionWebhook, &["--logging-format=json", "--log-flush-frequency=0"]).unwrap();
    assert_eq!(Config::from_flags(&unread), Ok(Config::default()));
}

fn raise(signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
}

/// Signals belong to the whole process, so one test goes through all of them in turn.
#[tokio::test]
async fn signals_ask_once_and_then_end_the_process() {
    use rustix::process::Signal;
    for (signal, reason) in [(Signal::TERM, Reason::Terminate), (Signal::INT, Reason::Interrupt)] {
        let shutdown = Shutdown::new(Duration::from_secs(600));
        let polite = async {
            raise(signal);
            shutdown.requested().await;
            Ok(())
        };
        assert_eq!(supervise(polite, &shutdown).await, Ok(()));
        assert_eq!(shutdown.reason(), Some(reason));

        let shutdown = Shutdown::new(Duration::from_secs(600));
        let stubborn = async {
            raise(signal);
            shutdown.requested().await;
            raise(signal);
            std::future::pending().await
        };
        assert_eq!(supervise(stubborn, &shutdown).await.unwrap_err().code, 1, "a second signal");
    }

    let shutdown = Shutdown::new(Duration::from_millis(20));
    let stubborn = async {
        raise(Signal::TERM);
        std::future::pending().await
    };
    let exit = supervise(stubborn, &shutdown).await.unwrap_err();
    assert!(exit.code == 1 && exit.message.contains("20ms"), "the grace period is over: {exit:?}");
}
