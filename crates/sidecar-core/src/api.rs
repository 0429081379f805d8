//! The way to the API server.
//!
//! kube's default client speaks HTTP/1.1, waits for ever on a half-open connection and retries behind the caller's back
//! for a quarter of an hour. Ours is a stack of small layers, outermost first:
//!
//! retry (client-go's rule) → token bucket → deadline → credentials → warm-up → HTTP/2 with keep-alive pings
//!
//! [`Connector`] makes a client per budget, so that events and leases never wait behind the controllers' own calls.

mod bucket;
mod config;
mod connector;
mod credentials;
mod error;
mod gate;
mod retry;
#[cfg(test)]
mod sockets;
mod transport;

pub use bucket::{Budget, BudgetError, Throttle, TokenBucket};
pub use config::{ApiConfig, ConfigError};
pub use connector::{Connector, Purpose, user_agent};
pub use error::{DeadlineExceeded, ErrorKind, explain_forbidden, explained, message};
pub use transport::{Transport, TransportBody};
