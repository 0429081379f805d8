//! API calls of a deployed sidecar from now on, held against a budget.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::audit::{self, Call, Counts, Mark};
use crate::cluster::Cluster;
use crate::control_plane;
use crate::sidecars::Shipped;

/// Without a call for so long, the sidecar is through with it, events included.
const QUIET: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(20);

/// The calls since it was made. Leases and watches have nothing to do with the work.
pub(super) struct Calls<'a> {
    cluster: &'a Cluster,
    binary: &'static str,
    mark: Mark,
    counts: RefCell<Counts>,
}

impl<'a> Calls<'a> {
    /// Counts from now on.
    pub(super) fn of(cluster: &'a Cluster, shipped: &Shipped) -> Result<Self> {
        let mark = audit::mark(&control_plane::audit_log(&cluster.spec))?;
        Ok(Self { cluster, binary: shipped.binary, mark, counts: RefCell::default() })
    }

    /// Waits until there are no more.
    pub(super) async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut since = Instant::now();
        let mut before = self.read()?;
        while since.elapsed() < QUIET && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.read()?;
            if now != before {
                since = Instant::now();
            }
            before = now;
        }
        *self.counts.borrow_mut() = before;
        Ok(())
    }

    fn read(&self) -> Result<Counts> {
        let mut counts = audit::count(&control_plane::audit_log(&self.cluster.spec), self.mark, self.binary)?;
        counts
            .retain(|call, _| call.resource != "leases" && !["list", "watch"].contains(&call.verb.as_str()));
        Ok(counts)
    }

    fn sum(&self, wanted: impl Fn(&Call) -> bool) -> u64 {
        self.counts.borrow().iter().filter(|(call, _)| wanted(call)).map(|(_, count)| count).sum()
    }

    /// How many calls of a kind there were.
    pub(super) fn count(&self, verb: &str, resource: &str) -> u64 {
        self.sum(|call| call.verb == verb && call.resource == resource)
    }

    /// Exactly so many calls of a kind.
    pub(super) fn expect(&self, what: &str, verb: &str, resource: &str, count: u64) -> Result<()> {
        let found = self.count(verb, resource);
        ensure!(found == count, "{what}: {found} calls {verb} {resource}, not {count}:\n{}", self.table());
        Ok(())
    }

    /// At most so many calls in all, and none answered with an error.
    pub(super) fn expect_all(&self, what: &str, count: u64) -> Result<()> {
        let found = self.sum(|_| true);
        ensure!(found <= count, "{what}: {found} calls, at most {count} are budgeted:\n{}", self.table());
        let refused = self.sum(|call| call.code >= 400);
        ensure!(refused == 0, "{what}: calls were refused:\n{}", self.table());
        Ok(())
    }

    /// The account's rules suffice.
    pub(super) fn none_forbidden(&self, what: &str) -> Result<()> {
        let forbidden = self.sum(|call| call.code == 403);
        ensure!(forbidden == 0, "{what}: calls were forbidden:\n{}", self.table());
        Ok(())
    }

    fn table(&self) -> String {
        audit::table(&self.counts.borrow())
    }
}
