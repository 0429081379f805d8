//! `run`, signals and the grace period.
//!
//! The first SIGTERM or SIGINT asks everything to stop; a second one, or the end of the grace period, ends the process
//! with what it has. As process 1 of a container nothing else would end it: the kernel ignores signals that process 1 does
//! not handle.

use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::shutdown::{Reason, Shutdown};

/// Runs `work` until it ends, a second signal arrives, or the grace period after a request to stop is over.
pub async fn supervise<W>(work: W, shutdown: &Shutdown) -> Result<(), Exit>
where
    W: Future<Output = Result<(), Exit>>,
{
    let mut signals =
        Signals::listen().map_err(|error| Exit::failure(1, "Failed to listen for signals").because(error))?;
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            reason = signals.next() => {
                if shutdown.is_requested() {
                    return Err(Exit::failure(1, "Received a second signal, exiting at once"));
                }
                tracing::info!("Received SIGTERM or SIGINT signal, shutting down controller.");
                shutdown.request(reason);
            }
            () = grace_is_over(shutdown) => {
                let grace = crate::duration::format_std(shutdown.grace());
                return Err(Exit::failure(1, format!("Work in flight did not end within {grace}, giving it up")));
            }
        }
    }
}

/// Completes once the grace period after the request to stop has passed.
async fn grace_is_over(shutdown: &Shutdown) {
    shutdown.requested().await;
    tokio::time::sleep(shutdown.grace()).await;
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Reason {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Reason::Terminate,
            _ = self.interrupt.recv() => Reason::Interrupt,
        }
    }
}
