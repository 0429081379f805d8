//! Reads the command line and runs the webhook.

use std::process::ExitCode;

use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::ConversionWebhook, snapshot_conversion_webhook::run)
}
