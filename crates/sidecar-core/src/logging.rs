//! klog's two log formats on top of `tracing`.
//!
//! Libraries use plain `tracing`; this module turns their events into the lines that upstream's log pipelines parse (sheet
//! `common-library`, section 14). Four fields of an event steer its line instead of appearing in it:
//!
//! | Field | Meaning |
//! |---|---|
//! | `v = n` | klog's `V(n)`: dropped unless `-v` or `--vmodule` allows it |
//! | `unstructured = true` | the message stands raw after the header, as from `Infof` |
//! | `fatal = true` | severity `F` |
//! | `logger = "a.b"` | the logger's name |
//! | `pairs` | further keys and values whose names are only known at run time, made by [`pairs`] |
//!
//! Values recorded as text (with `%`, `?` or as strings) are quoted as Go does; numbers and bools stand as they are, and so
//! does JSON wrapped in [`json`].

mod config;
mod event;
mod format;
mod layer;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;

pub use config::{Config, Format, InvalidConfig};
pub use layer::KlogLayer;

use tracing_subscriber::layer::SubscriberExt as _;

use crate::clock::Clock;

/// Makes klog lines on stderr the destination of all events of the process, from now on.
///
/// A second call changes nothing: the first one wins, as tests in one process need.
pub fn install(config: &Config, clock: &Clock) {
    csi_client::verbosity::set(config.highest_verbosity());
    let layer = KlogLayer::new(config.clone(), clock.clone(), Box::new(std::io::stderr));
    let _already_installed =
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

/// Marks a text as JSON, so that it is logged as it is instead of quoted: `info!(gates = %json(&text), "Updated")`.
pub fn json<T: fmt::Display>(value: T) -> impl fmt::Display {
    struct Raw<T>(T);
    impl<T: fmt::Display> fmt::Display for Raw<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}", event::RAW_MARK, self.0)
        }
    }
    Raw(value)
}

/// Packs keys and values that are only known at run time into one field: `error!(pairs = pairs(&list), "message")`.
pub fn pairs<K: fmt::Display, V: fmt::Display>(pairs: &[(K, V)]) -> String {
    let pack = |(key, value): &(K, V)| format!("{key}{}{value}{}", event::KEY_END, event::VALUE_END);
    pairs.iter().map(pack).collect::<Vec<_>>().concat()
}
