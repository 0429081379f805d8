//! Stopping in good order.
//!
//! Upstream dies at once on SIGTERM and abandons what is in flight. Ours asks everything to stop, waits for it within
//! a grace period, and only then gives up; a second signal ends the wait (sheet `common-library`, 3.6 and 13.2).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// How long a process waits for work in flight. Below Kubernetes' default of 30 s for a pod, so that our own last words
/// are still heard.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(20);

/// Where kubelet picks up a container's last words.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Why the process was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// The process itself: work is done, or a part failed for good.
    Internal,
}

/// The request to stop, shared by all parts of a process. Clones share their state.
#[derive(Debug, Clone)]
pub struct Shutdown {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
    grace: Duration,
}

impl Shutdown {
    /// Nobody has asked to stop yet.
    pub fn new(grace: Duration) -> Self {
        Self { token: CancellationToken::new(), reason: Arc::default(), grace }
    }

    /// Asks everything to stop; the first reason is kept.
    pub fn request(&self, reason: Reason) {
        let _already_set = self.reason.set(reason);
        self.token.cancel();
    }

    /// Whether a stop has been asked for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Completes when a stop is asked for.
    pub fn requested(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Why, if a stop was asked for.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// The token behind it, for `select!` and for child tokens of parts that can also stop by themselves.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How long work in flight may take to finish after the request.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(DEFAULT_GRACE)
    }
}

/// The file that takes a container's last words; its place can be changed for tests.
#[derive(Debug, Clone)]
pub struct TerminationLog {
    path: PathBuf,
}

impl TerminationLog {
    /// A termination log at `path`.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned() }
    }

    /// Replaces the content by exactly `text`. A failure is logged only: there is nobody else to tell.
    pub fn write(&self, text: &str) {
        if let Err(error) = std::fs::write(&self.path, text) {
            tracing::error!(err = %error, path = %self.path.display(), "Failed to write the termination log");
        }
    }
}

impl Default for TerminationLog {
    fn default() -> Self {
        Self::at(TERMINATION_LOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_is_kept_and_all_clones_see_it() {
        let shutdown = Shutdown::default();
        let clone = shutdown.clone();
        assert!(!clone.is_requested());
        shutdown.request(Reason::Terminate);
        shutdown.request(Reason::Interrupt);
        clone.requested().await;
        assert_eq!(clone.reason(), Some(Reason::Terminate));
    }

    #[test]
    fn termination_log_holds_exactly_the_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        TerminationLog::at(&path).write("an older and longer text");
        TerminationLog::at(&path).write("bye");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "bye");
        TerminationLog::at(directory.path().join("no/such")).write("lost, but no panic");
    }
}
