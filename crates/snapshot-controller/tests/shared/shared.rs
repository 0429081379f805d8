//! Scenarios with one definition and two backends: the in-process API server here, a real control plane in the lab,
//! which includes this file by its path.

pub mod groups;
pub mod snapshots;
pub mod stage;
