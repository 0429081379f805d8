//! node-driver-registrar: tells kubelet that a CSI driver lives on this node.

pub mod authority;
pub mod flags;
pub mod listener;
pub mod policy;
pub mod server;
pub mod socket;
