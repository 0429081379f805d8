//! The component of events. Reasons and messages, which come in pairs for one snapshot and for a group, are among the
//! words of [`content`](crate::content) (sheet section 8).

/// Component of all events.
pub fn component(driver: &str) -> String {
    format!("csi-snapshotter {driver}")
}
