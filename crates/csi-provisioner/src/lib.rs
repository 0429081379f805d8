//! csi-provisioner: makes volumes for PersistentVolumeClaims and deletes them when nobody claims them any more.

pub mod driver;
pub mod events;
pub mod metrics;
pub mod policy;
