//! The registrar's view of its command line (sheet node-driver-registrar, section 2).

use std::time::Duration;

use sidecar_core::flags::Parsed;

/// The value of `--mode` that old manifests use as an exec probe.
const PROBE_MODE: &str = "kubelet-registration-probe";

/// What the operator asked for.
#[derive(Debug, Clone)]
pub struct Flags {
    /// The command line as it was read, for what all sidecars have in common.
    pub parsed: Parsed,
    /// `--csi-address`: the driver's socket as seen from here.
    pub csi_address: String,
    /// `--kubelet-registration-path`: the driver's socket as kubelet sees it; required.
    pub kubelet_registration_path: String,
    /// `--plugin-registration-path`: the directory of the registration socket.
    pub plugin_registration_path: String,
    /// `--registration-path`: the whole path of the registration socket, instead of directory and driver name.
    pub registration_path: Option<String>,
    /// `--timeout`: deadline of `GetPluginInfo` and of the self-check.
    pub timeout: Duration,
    /// `--http-endpoint`: where `/healthz` is served; empty for nowhere.
    pub http_endpoint: String,
    /// `--health-port`: deprecated form of the same.
    pub health_port: i64,
    /// `--mode`, as given.
    pub mode: String,
    /// `--connection-timeout` was given with a value other than 0.
    pub connection_timeout_given: bool,
    /// `--version`.
    pub version: bool,
    /// `--driver-name-timeout`: how long a driver that does not tell its name is asked again.
    pub driver_name_timeout: Duration,
    /// `--follow-driver`: register a driver again that has restarted.
    pub follow_driver: bool,
    /// `--csi-driver` and its aliases: the name the driver must have.
    pub expected_driver: Option<String>,
}

impl Flags {
    /// Reads the values of a parsed command line.
    pub fn new(parsed: Parsed) -> Self {
        let given = |name| Some(parsed.string(name).to_owned()).filter(|text| !text.is_empty());
        Self {
            csi_address: parsed.string("csi-address").to_owned(),
            kubelet_registration_path: parsed.string("kubelet-registration-path").to_owned(),
            plugin_registration_path: parsed.string("plugin-registration-path").to_owned(),
            registration_path: given("registration-path"),
            timeout: parsed.duration("timeout"),
            http_endpoint: parsed.string("http-endpoint").to_owned(),
            health_port: parsed.int("health-port"),
            mode: parsed.string("mode").to_owned(),
            connection_timeout_given: !parsed.duration("connection-timeout").is_zero(),
            version: parsed.bool("version"),
            driver_name_timeout: parsed.duration("driver-name-timeout"),
            follow_driver: parsed.bool("follow-driver"),
            expected_driver: ["csi-driver", "CSI-driver", "driver-name"].into_iter().find_map(given),
            parsed,
        }
    }

    /// Whether this is the exec probe of old manifests, a no-op that succeeds.
    pub fn is_probe(&self) -> bool {
        self.mode == PROBE_MODE
    }
}
