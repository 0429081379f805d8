//! Lets one call go first on a fresh connection.
//!
//! Only the answer to a call tells whether the server speaks HTTP/2; a hundred calls at once would open a hundred
//! connections first. So the first call goes alone, and after a lost connection again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard};

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
        let guard = self.first.clone().lock_owned().await;
        // Whoever went before may have opened it.
        let first = (!self.open.load(Ordering::Acquire)).then_some(guard);
        Pass { _first: first }
    }

    /// A response has arrived (`true`), or the connection failed.
    pub(super) fn report(&self, works: bool) {
        self.open.store(works, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_goes_first_and_the_rest_together() {
        let gate = Gate::default();
        let pass = gate.enter().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.enter()).await.is_err());
        gate.report(true);
        drop(pass);
        let (one, two) = (gate.enter().await, gate.enter().await);
        gate.report(false);
        drop((one, two));
        let _pass = gate.enter().await;
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.enter()).await.is_err());
    }
}
