//! The diagnostics server: metrics, health, status, profiles.

/// The diagnostics server of a process. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {}
