//! Client side of the Container Storage Interface (CSI).
//!
//! What every sidecar needs to talk to its storage driver. The generated types are in [`csi`] and
//! [`registration`]; `proto/` holds their definitions and `make generate` rewrites them.

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
