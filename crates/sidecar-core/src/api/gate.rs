//! Lets one call go first on a fresh connection.
//!
//! Only the answer to a call tells whether the server speaks HTTP/2; a hundred calls at once would open a hundred
//! connections first. So the first call goes alone, and after a lost connection again. If it hangs, the others stop waiting
//! for it after a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

/// A connection is made in milliseconds, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(3);

/// Clones share the gate.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    open: Arc<AtomicBool>,
    first: Arc<Mutex<()>>,
}

/// Held by the call that goes first; the others wait until it is dropped.
pub(super) struct Pass {
    _first: Option<OwnedMutexGuard<()>>,
}

impl Gate {
    /// Waits until the connection is known to work, or until it is this call's turn to find out.
    pub(super) async fn enter(&self) -> Pass {
        if self.open.load(Ordering::Acquire) {
            return Pass { _first: None };
        }
        let guard = timeout(PATIENCE, self.first.clone().lock_owned()).await.ok();
        // Whoever went before may have opened it.
        Pass { _first: guard.filter(|_| !self.open.load(Ordering::Acquire)) }
    }

    /// A gate that is open already, where there is no connection to make.
    pub(super) fn open() -> Self {
        let gate = Self::default();
        gate.report(true);
        gate
    }

    /// A response has arrived (`true`), or the connection failed.
    pub(super) fn report(&self, works: bool) {
        self.open.store(works, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_goes_first_and_the_rest_together() {
        let gate = Gate::default();
        let pass = gate.enter().await;
        assert!(timeout(Duration::from_secs(1), gate.enter()).await.is_err());
        let patient = timeout(PATIENCE * 2, gate.enter()).await;
        assert!(patient.is_ok(), "a hanging first call does not hold up the others for ever");
        gate.report(true);
        drop(pass);
        let (one, two) = (gate.enter().await, gate.enter().await);
        gate.report(false);
        drop((one, two));
        let _pass = gate.enter().await;
        assert!(timeout(Duration::from_secs(1), gate.enter()).await.is_err());
    }
}
