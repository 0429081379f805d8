//! The first checks of every sidecar, in the order of each (sheet `common-library`, 3.1).
//!
//! The order shows: `--version` next to a bad feature gate ends with 0 in the resizer and with 255 in the provisioner.

use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{Binary, Parsed};
use crate::gates::Gates;

/// The version, set at build time from the release's tag.
pub const VERSION: &str = match option_env!("CSI_SIDECARS_VERSION") {
    Some(version) => version,
    None => concat!("v", env!("CARGO_PKG_VERSION")),
};

#[derive(Debug, Clone, Copy)]
enum Step {
    Gates,
    NodeName,
    Version,
    LogVersion,
    Addresses,
}

use Step::{Addresses, Gates as DecideGates, LogVersion, NodeName, Version};

/// Decides feature gates, prints the version if asked, logs it, and refuses addresses that contradict each other.
///
/// `--version` ends in [`Exit::success`].
pub fn prologue(parsed: &Parsed, context: &Context) -> Result<Gates, Exit> {
    let mut gates = Gates::default();
    for step in steps(parsed.binary) {
        match step {
            DecideGates => gates = decide(parsed)?,
            NodeName => require_node_name(parsed, context)?,
            Version => print_version(parsed)?,
            LogVersion => tracing::info!(version = VERSION, "Version"),
            Addresses => refuse_two_addresses(parsed)?,
        }
    }
    Ok(gates)
}

fn steps(binary: Binary) -> &'static [Step] {
    match binary {
        Binary::Provisioner => &[DecideGates, NodeName, Version, LogVersion, Addresses],
        Binary::Attacher => &[DecideGates, Version, LogVersion, Addresses],
        Binary::Resizer => &[Version, LogVersion, Addresses, DecideGates],
        // The snapshotter looks at its addresses only after it has made its clients.
        Binary::Snapshotter | Binary::SnapshotController => &[DecideGates, Version, LogVersion],
        Binary::NodeDriverRegistrar | Binary::ClusterDriverRegistrar => &[Version, LogVersion],
        Binary::Hostpath | Binary::AllInOne | Binary::Livenessprobe => &[Version],
        Binary::ConversionWebhook => &[],
    }
}

fn decide(parsed: &Parsed) -> Result<Gates, Exit> {
    let gates = Gates::decide(parsed.binary, &parsed.gates("feature-gates")).map_err(|error| match parsed
        .binary
    {
        Binary::Attacher => Exit::failure(1, "failed to store flag gates").because(error),
        Binary::Resizer => Exit::failure(1, "Failed to set feature gates").because(error),
        _ => Exit::fatal(255, error.to_string()),
    })?;
    gates.log();
    Ok(gates)
}

fn require_node_name(parsed: &Parsed, context: &Context) -> Result<(), Exit> {
    if !parsed.bool("node-deployment") || context.variables.non_empty("NODE_NAME").is_some() {
        return Ok(());
    }
    // The flag in upstream's message does not exist; both names help whoever searches for either.
    let message = "The NODE_NAME environment variable must be set when using --enable-node-deployment.";
    Err(Exit::fatal(255, message))
}

/// Prints `<argv[0]> <version>` on stdout if `--version` is given, and ends.
fn print_version(parsed: &Parsed) -> Result<(), Exit> {
    if !parsed.bool("version") {
        return Ok(());
    }
    let program = match parsed.binary {
        Binary::Hostpath | Binary::AllInOne => parsed.binary.name(),
        _ => &parsed.program,
    };
    let _closed_stdout =
        std::io::Write::write_all(&mut std::io::stdout(), format!("{program} {VERSION}\n").as_bytes());
    Err(Exit::success())
}

/// `--metrics-address` and `--http-endpoint` exclude each other; each binary has its own text for it.
pub fn refuse_two_addresses(parsed: &Parsed) -> Result<(), Exit> {
    if parsed.string("metrics-address").is_empty() || parsed.string("http-endpoint").is_empty() {
        return Ok(());
    }
    Err(match parsed.binary {
        Binary::Attacher => {
            Exit::failure(1, "Only one of `--metrics-address` and `--http-endpoint` can be set")
        }
        Binary::Resizer => {
            Exit::failure(1, "Only one of `--metrics-address` and `--http-endpoint` can be set.")
        }
        Binary::Livenessprobe => {
            Exit::failure(1, "Only one of `--metrics-address` and `--http-endpoint` can be explicitly set")
        }
        _ => Exit::failure(1, "only one of `--metrics-address` and `--http-endpoint` can be set.")
            .unstructured(),
    })
}
