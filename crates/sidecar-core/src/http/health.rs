//! What the health paths answer.
//!
//! Three questions that must not be mixed up: is the process alive (`/healthz`), can it work (`/readyz`), and does its
//! leader still renew (`/healthz/leader-election`)? Restarting a pod because the driver is not there yet helps nobody.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use super::reply::Reply;

type LeaderCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Status = Arc<dyn Fn() -> String + Send + Sync>;

/// The health of a process. Clones share their state.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What has to be there, and why it is not.
    waiting: BTreeMap<String, Option<String>>,
    leader: Vec<LeaderCheck>,
    status: BTreeMap<String, Status>,
}

/// One thing that has to be there before the process can work.
#[derive(Clone, Debug)]
pub struct Readiness {
    health: Health,
    name: String,
}

impl Health {
    /// Adds something that has to be there, which it is not yet.
    pub fn require(&self, name: &str) -> Readiness {
        let readiness = Readiness { health: self.clone(), name: name.to_owned() };
        readiness.set_waiting("not yet");
        readiness
    }

    /// Lets `/healthz/leader-election` ask `check`; its error is upstream's text for a leader that no longer renews.
    pub fn check_leader(&self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.with(|state| state.leader.push(Arc::new(check)));
    }

    /// Adds a section to `/statusz`.
    pub fn add_status(&self, name: &str, status: impl Fn() -> String + Send + Sync + 'static) {
        self.with(|state| state.status.insert(name.to_owned(), Arc::new(status)));
    }

    /// Whether nothing is waited for.
    pub fn is_ready(&self) -> bool {
        self.with(|state| state.waiting.values().all(Option::is_none))
    }

    pub(super) fn ready_reply(&self) -> Reply {
        let waiting = self.with(|state| state.waiting.clone());
        if waiting.values().all(Option::is_none) {
            return Reply::text(200, "ok");
        }
        Reply::text(503, describe(&waiting))
    }

    /// Upstream answers 404 without leader election, which makes kubelet restart the pod for ever; ours answers 200.
    pub(super) fn leader_reply(&self) -> Reply {
        let checks = self.with(|state| state.leader.clone());
        match checks.iter().try_for_each(|check| check()) {
            Ok(()) => Reply::text(200, "ok"),
            Err(error) => Reply::error(500, &format!("internal server error: {error}")),
        }
    }

    pub(super) fn status(&self) -> String {
        let (waiting, sections) = self.with(|state| (state.waiting.clone(), state.status.clone()));
        let mut text = describe(&waiting);
        for (name, status) in &sections {
            let _cannot_fail = write!(text, "\n{name}\n{}\n", status().trim_end());
        }
        text
    }

    fn with<T>(&self, use_state: impl FnOnce(&mut State) -> T) -> T {
        use_state(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn describe(waiting: &BTreeMap<String, Option<String>>) -> String {
    let line = |(name, reason): (&String, &Option<String>)| match reason {
        None => format!("[+]{name} ok\n"),
        Some(reason) => format!("[-]{name} {reason}\n"),
    };
    waiting.iter().map(line).collect()
}

impl Readiness {
    /// It is there.
    pub fn set_ready(&self) {
        self.health.with(|state| state.waiting.insert(self.name.clone(), None));
    }

    /// It is not there, for this reason.
    pub fn set_waiting(&self, reason: &str) {
        self.health.with(|state| state.waiting.insert(self.name.clone(), Some(reason.to_owned())));
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("waiting", &self.with(|state| state.waiting.clone()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_everything_is_there() {
        let health = Health::default();
        assert!(health.is_ready());
        let (driver, cache) = (health.require("driver"), health.require("cache"));
        driver.set_ready();
        cache.set_waiting("listing claims");
        assert_eq!(health.ready_reply(), Reply::text(503, "[-]cache listing claims\n[+]driver ok\n"));
        cache.set_ready();
        assert_eq!(health.ready_reply(), Reply::text(200, "ok"));
        driver.set_waiting("connection lost");
        assert!(!health.is_ready());
    }

    #[test]
    fn leader_health_is_ok_unless_a_check_says_otherwise() {
        let health = Health::default();
        assert_eq!(health.leader_reply(), Reply::text(200, "ok"));
        health.check_leader(|| Ok(()));
        assert_eq!(health.leader_reply().status, 200);
        health.check_leader(|| Err("failed election to renew leadership on lease ".to_owned()));
        let text = "internal server error: failed election to renew leadership on lease \n";
        assert_eq!((health.leader_reply().status, health.leader_reply().body), (500, text.into()));
    }
}
