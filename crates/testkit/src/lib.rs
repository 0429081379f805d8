//! What the tests of this workspace stand on: an API server in process, a scripted CSI driver, a
//! deterministic simulation that lets whole sidecars run against both while everything around them fails, and
//! a stand for a sidecar's real binary.
//!
//! Nothing here is shipped. A scenario is written once against [`kube::Client`] and a driver transport, and
//! runs in process (no sockets, paused time), over real sockets (so that Go programs can be pointed at the
//! same server), and on a real control plane in the lab.

pub mod api;
pub mod conformance;
pub mod driver;
pub mod grpc_go;
pub mod kcm;
pub mod manifests;
mod net;
pub mod process;
pub mod simulation;
pub mod stage;
