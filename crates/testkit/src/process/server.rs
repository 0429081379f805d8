//! Rows about the API server: away, ill, forgetful, unknown, and not knowing us.

use std::time::Duration;

use super::stand::FIRST_TOKEN;
use super::{Calling, Expected, Program, Row, Stand, Subject};
use crate::api::{ApiServer, Failure};
use crate::driver::Step;

/// Flags of a leader that is quick to see that it is none.
pub const QUICK_LEASE: &[&str] = &[
    "--leader-election",
    "--leader-election-lease-duration=4s",
    "--leader-election-renew-deadline=3s",
    "--leader-election-retry-period=1s",
];

/// Rows that every sidecar has.
pub const fn common<C: Subject>() -> [Row<C>; 6] {
    [
        goes_and_comes_back(),
        away_for_too_long_for_the_leader(),
        ill(),
        watches_expire(),
        expired_token(),
        foreign_authority(),
    ]
}

/// The API server is not there at the start. The log says so, of whatever is asked first.
pub const fn away_at_the_start<C: Subject>(says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "no API server at the start",
        before: |subject, _| subject.cut_off_server(),
        says,
        heal: |subject| subject.reconnect_server(),
        ..Row::BLANK
    }
}

const fn goes_and_comes_back<C: Subject>() -> Row<C> {
    Row {
        name: "the API server goes and comes back",
        then: |subject, program| {
            program.works();
            subject.watching();
            subject.cut_off_server();
            // What happens meanwhile is found afterwards.
            subject.want("meanwhile");
        },
        says: &["Failed to watch"],
        heal: |subject| subject.reconnect_server(),
        ..Row::BLANK
    }
}

/// The API server goes while the driver is at work, so that what it has done cannot be written down.
pub const fn goes_during_a_call<C: Calling>(name: &'static str, says: &'static [&'static str]) -> Row<C> {
    Row {
        name,
        then: |subject, program| {
            program.works();
            subject.ask(Step::late(Duration::from_secs(1)));
            subject.cut_off_server();
        },
        says,
        heal: |subject| subject.reconnect_server(),
        ..Row::BLANK
    }
}

const fn away_for_too_long_for_the_leader<C: Subject>() -> Row<C> {
    Row {
        name: "the API server is away for too long for the leader",
        flags: QUICK_LEASE,
        then: |subject, program| {
            program.works();
            subject.cut_off_server();
        },
        says: &["Failed to renew lease", "Stopped leading"],
        end: Expected::Ends(1),
        heal: |subject| subject.reconnect_server(),
        ..Row::BLANK
    }
}

const fn ill<C: Subject>() -> Row<C> {
    Row {
        name: "the API server is ill",
        then: |subject, program| {
            program.works();
            subject.server.intercept(|_| Some(Failure::unavailable("etcdserver: leader changed")));
            subject.watching();
            subject.break_watches();
            subject.want("meanwhile");
        },
        says: &["Failed to watch", "etcdserver: leader changed"],
        heal: |subject| subject.server.pass(),
        ..Row::BLANK
    }
}

/// Nothing but the watches is lost.
pub const fn watches_break<C: Subject>() -> Row<C> {
    Row {
        name: "watches break",
        then: |subject, program| {
            program.works();
            subject.watching();
            subject.break_watches();
        },
        ..Row::BLANK
    }
}

const fn watches_expire<C: Subject>() -> Row<C> {
    Row {
        name: "watches expire and the history is gone",
        then: |subject, program| {
            program.works();
            subject.watching();
            subject.cut_off_server();
            subject.want("meanwhile");
            subject.server.compact();
            subject.reconnect_server();
        },
        ..Row::BLANK
    }
}

/// The server no longer takes the token, for calls and for watches.
fn expire_token(subject: &impl Subject, program: &Program) {
    program.works();
    subject.watching();
    subject.server.revoke_token(FIRST_TOKEN);
    subject.break_watches();
    subject.want("meanwhile");
}

fn renew_token(stand: &Stand) {
    stand.server.add_token("renewed", stand.profile.user);
    stand.write_token("renewed");
}

const fn expired_token<C: Subject>() -> Row<C> {
    Row {
        name: "an expired token",
        then: expire_token,
        says: &["Failed to watch", "Unauthorized"],
        heal: |subject| renew_token(subject),
        ..Row::BLANK
    }
}

/// The token was no good from the first.
pub const fn expired_token_at_the_start<C: Subject>() -> Row<C> {
    Row {
        name: "an expired token at the start",
        before: |subject, _| subject.server.revoke_token(FIRST_TOKEN),
        says: &["Failed to watch", "Unauthorized"],
        heal: |subject| renew_token(subject),
        ..Row::BLANK
    }
}

/// Who cannot renew the Lease for want of a token is leader no more.
pub const fn expired_token_of_a_leader<C: Subject>() -> Row<C> {
    Row {
        name: "an expired token of a leader",
        flags: QUICK_LEASE,
        then: expire_token,
        says: &["Unauthorized", "Failed to renew lease", "Stopped leading"],
        end: Expected::Ends(1),
        heal: |subject| renew_token(subject),
        ..Row::BLANK
    }
}

/// The kubeconfig names a token that is not there. Our server lets everybody in who does not say who he is.
pub const fn no_token<C: Subject>() -> Row<C> {
    Row {
        name: "no token",
        before: |subject, launch| {
            let config = subject.kubeconfig_with_token(&subject.path("nothing"));
            std::fs::write(subject.path("other"), config).unwrap();
            launch.flags.push(format!("--kubeconfig={}", subject.path("other").display()));
        },
        says: &["Failed to read the service account token", "nothing"],
        ..Row::BLANK
    }
}

const fn foreign_authority<C: Subject>() -> Row<C> {
    Row {
        name: "a foreign authority in the kubeconfig",
        before: |subject, launch| {
            let other = subject.runtime.block_on(ApiServer::new().serve_https()).unwrap();
            std::fs::write(subject.path("foreign"), subject.kubeconfig(&other)).unwrap();
            launch.flags.push(format!("--kubeconfig={}", subject.path("foreign").display()));
        },
        says: &["Failed to watch", "certificate"],
        end: Expected::Waits,
        ..Row::BLANK
    }
}
