//! `--follow-driver`: a driver that has restarted may be another one, on a node with other limits (sheet 13.4).
//!
//! Upstream does not notice (node-driver-registrar#139). Kubelet asks a driver about its node only when it registers it, so
//! what a new version of the driver says about itself, its topology for example, stays unknown until somebody restarts the
//! registrar. Here the connection that found out the driver's name is kept; when it breaks and is made again, the name is
//! checked, and the registration socket is made anew, which kubelet takes for a new registration.

use std::sync::Arc;
use std::time::Duration;

use sidecar_core::exit::Exit;
use tokio::sync::Notify;

use crate::driver::{self, Driver};
use crate::flags::Flags;

/// How long a driver that is back may take to tell its name, as long as the connection may take at the start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rings `renew` whenever the driver has come back. Completes when it is not the one that is registered any more; never
/// if there is none to follow.
pub(crate) async fn follow(flags: &Flags, driver: Option<Driver>, renew: Arc<Notify>) -> Exit {
    let Some(Driver { mut connection, name }) = driver else { return std::future::pending().await };
    loop {
        connection.reconnected().await;
        let patience = PATIENCE.max(flags.driver_name_timeout);
        match driver::name(&connection, flags, patience).await {
            Ok(now) if now == name => {
                tracing::info!(csiDriverName = name, "CSI driver has restarted, registering it again");
                renew.notify_one();
            }
            Ok(now) => {
                return Exit::failure(1, "The CSI driver has come back under another name")
                    .because(format!("expected {name:?}, but {now:?} answers at {}", flags.csi_address));
            }
            Err(exit) => return exit,
        }
    }
}
