//! Rows about rules that a service account lacks: the message says which one to add, and once it is there work goes on
//! without a restart.

use super::server::QUICK_LEASE;
use super::{Expected, Program, Row, Stand, Subject};

/// A right without which the sidecar cannot begin, or cannot go on.
pub const fn missing<C: Subject>(name: &'static str, says: &'static [&'static str]) -> Row<C> {
    Row { name, says, heal: |subject| subject.allow_all(), ..Row::BLANK }
}

/// The Lease cannot be looked at.
pub const fn get_leases<C: Subject>(says: &'static [&'static str]) -> Row<C> {
    Row {
        flags: QUICK_LEASE,
        before: |subject, _| subject.forbid("leases", "get"),
        ..missing("get leases", says)
    }
}

/// The Lease, which is not there yet, cannot be made.
pub const fn create_leases<C: Subject>(says: &'static [&'static str]) -> Row<C> {
    Row {
        flags: QUICK_LEASE,
        before: |subject, _| subject.forbid("leases", "create"),
        ..missing("create leases", says)
    }
}

/// The Lease cannot be renewed, so that it is lost.
pub const fn update_leases<C: Subject>() -> Row<C> {
    Row {
        flags: QUICK_LEASE,
        before: |subject, _| subject.forbid("leases", "update"),
        end: Expected::Ends(1),
        ..missing("update leases", &["is not allowed to update leases", "Failed to renew lease"])
    }
}

/// Takes a right from a sidecar that works.
pub fn works_without(stand: &Stand, program: &Program, resource: &str, verb: &str) {
    program.works();
    stand.forbid(resource, verb);
}

/// Takes a right from a sidecar that works, and then there is something to do.
pub fn busy_without(subject: &impl Subject, program: &Program, resource: &str, verb: &str) {
    works_without(subject, program, resource, verb);
    subject.want("busy");
}
