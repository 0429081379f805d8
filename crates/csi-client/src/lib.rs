//! Client side of the Container Storage Interface (CSI).
//!
//! What every sidecar needs to talk to its storage driver, and nothing about Kubernetes objects:
//!
//! - [`csi`] and [`registration`]: the generated types; `proto/` holds their definitions and `make generate` rewrites
//!   them.
//! - [`connection`]: a connection that notices when the driver dies, and one method per call on it. [`rpc`] adds the
//!   calls of every start-up, [`capabilities`] the sets that they return.
//! - [`sanitize`]: messages as log lines without secrets. [`metrics`]: a sample per call. [`codes`]: Go's names of
//!   codes and texts of errors. [`verbosity`]: klog's `V(n)`.
//! - [`authority`]: for servers of either protocol, connections of Go clients that a Rust server would refuse.
//! - [`access_modes`]: access modes of Kubernetes in terms of CSI.

pub mod access_modes;
pub mod authority;
mod call_log;
pub mod capabilities;
pub mod codes;
pub mod connection;
pub mod metrics;
pub mod rpc;
pub mod sanitize;
pub mod verbosity;

pub use access_modes::access_mode;
pub use capabilities::{
    ControllerCapabilities, GroupControllerCapabilities, NodeCapabilities, PluginCapabilities,
};
pub use codes::{code_name, status_text, system_text, with_causes};
pub use connection::{CallOptions, ConnectOptions, Connection, ConnectionSettings, LossPolicy, connect};
pub use metrics::RpcMetrics;

/// Messages, clients and servers of `csi.v1`, for CSI 1.12 and 1.13 at once.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, rustdoc::all)]
pub mod csi {
    include!("gen/csi.v1.rs");
}

/// Messages, client and server of `pluginregistration`, by which kubelet finds a driver.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, rustdoc::all)]
pub mod registration {
    include!("gen/pluginregistration.rs");
}
