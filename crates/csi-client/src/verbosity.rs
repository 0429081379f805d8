//! How much is logged, as one number that every crate can ask cheaply.
//!
//! klog's `V(n)` becomes an event at INFO level with a field `v = n`. Whoever sets up logging stores the highest
//! level that any file may log at with [`set`]; costly values are built only when [`enabled`] says so.

use std::sync::atomic::{AtomicU32, Ordering};

static LEVEL: AtomicU32 = AtomicU32::new(0);

/// Stores the highest verbosity that may be logged anywhere in the process.
pub fn set(level: u32) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Whether a message of this verbosity may be wanted.
#[must_use]
pub fn enabled(level: u32) -> bool {
    level <= LEVEL.load(Ordering::Relaxed)
}

/// Logs at a klog verbosity: `verbose!(5, method, "GRPC call")`. Nothing is evaluated unless it may be wanted.
#[macro_export]
macro_rules! verbose {
    ($level:literal, $($event:tt)+) => {
        if $crate::verbosity::enabled($level) {
            ::tracing::info!(v = $level, $($event)+)
        }
    };
}
