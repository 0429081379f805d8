//! SIGTERM and SIGINT in every phase, also as process 1 of a namespace, where signals without a handler do nothing.
//!
//! Upstream dies at once by default; ours ends in order (the sheets' section 13): code 0, or 1 where the gate
//! `ReleaseLeaderElectionOnExit` has upstream end through its callback for a lost lease.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::driver::never_ready;
use super::{Calling, Program, Subject};
use crate::driver::Step;

/// Kubernetes waits for 30 s before it kills.
const GRACE: Duration = Duration::from_secs(30);

const SIGNALS: [&str; 2] = ["-TERM", "-INT"];
const ELECTION: &[&str] = &["--leader-election"];
const RELEASE: &[&str] = &["--leader-election", "--feature-gates=ReleaseLeaderElectionOnExit=true"];

/// What the sidecar is doing when the signal comes.
pub struct Phase<C> {
    /// What it is doing.
    pub name: &'static str,
    /// Appended to a command line that is right.
    pub flags: &'static [&'static str],
    /// Before the start.
    pub before: fn(&C),
    /// Brings it there.
    pub reach: fn(&C, &Program),
    /// How it ends.
    pub code: i32,
    /// What is to hold when it has ended.
    pub after: fn(&C),
    /// Whose the Lease is when it has ended.
    pub lease: Lease,
}

/// Whose a Lease is.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    /// Nobody asked for one.
    Unasked,
    /// It is another's.
    Foreign,
    /// It is kept for the next process of the pod.
    Kept,
    /// It was given back.
    Released,
}

impl<C: Subject> Phase<C> {
    /// What phases are made from: an idle sidecar, without election.
    pub const IDLE: Self = Self {
        name: "idle",
        flags: &[],
        before: |_| {},
        reach: |_, program| program.works(),
        code: 0,
        after: |_| {},
        lease: Lease::Unasked,
    };

    /// Each signal, to each kind of process.
    pub fn check(&self) {
        std::thread::scope(|scope| {
            for signal in SIGNALS {
                for first_process in [false, true] {
                    scope.spawn(move || self.check_one(signal, first_process));
                }
            }
        });
    }

    fn check_one(&self, signal: &str, first_process: bool) {
        let subject = C::new();
        (self.before)(&subject);
        let mut launch = subject.launch().with(&["-v=5"]).with(self.flags);
        launch.first_process = first_process;
        let program = launch.start();
        (self.reach)(&subject, &program);
        let signalled = Instant::now();
        program.signal(signal);
        let end = program.end();
        let shown = format!("{} {signal} first process: {first_process}\n{}", self.name, end.log);
        assert_eq!(end.code, self.code, "{shown}");
        assert!(signalled.elapsed() < GRACE, "{shown}");
        assert!(end.log.contains("Received SIGTERM or SIGINT signal, shutting down controller."), "{shown}");
        assert_eq!(end.last_words, "", "{shown}");
        subject.assert_kept();
        (self.after)(&subject);
        self.lease.check(&subject.holder(), &shown);
    }
}

impl Lease {
    fn check(self, holder: &Value, shown: &str) {
        match self {
            Self::Unasked => assert_eq!(holder, &Value::Null, "{shown}"),
            Self::Foreign => assert_eq!(holder, &json!("other"), "{shown}"),
            Self::Kept => {
                assert!(![json!(""), json!("other"), Value::Null].contains(holder), "{holder}: {shown}");
            }
            Self::Released => assert_eq!(holder, &json!(""), "{shown}"),
        }
    }
}

/// The driver is not there yet.
pub fn while_connecting<C: Subject>() {
    Phase::<C> {
        name: "connecting",
        before: |subject| subject.remove_driver(),
        reach: |_, program| program.wait_for("\"Connecting\""),
        after: C::assert_untouched,
        ..Phase::IDLE
    }
    .check();
}

/// The driver does not get ready.
pub fn while_the_driver_is_not_ready<C: Subject>() {
    Phase::<C> {
        name: "probing",
        before: |subject| never_ready(subject),
        reach: |_, program| program.wait_for("CSI driver is not ready"),
        after: C::assert_untouched,
        ..Phase::IDLE
    }
    .check();
}

/// The caches do not get filled.
pub fn while_the_api_server_is_away<C: Subject>() {
    Phase::<C> {
        name: "caches",
        before: |subject| subject.cut_off_server(),
        reach: |_, program| program.wait_for("Failed to watch"),
        after: C::assert_untouched,
        ..Phase::IDLE
    }
    .check();
}

/// Somebody else is leader. Upstream's standby has to be killed (sheets, section 3).
pub fn while_standing_by<C: Subject>() {
    let standing_by = Phase::<C> {
        name: "standing by",
        flags: ELECTION,
        before: |subject| subject.occupy_lease(),
        reach: |_, program| program.wait_for("Lease is held by and has not yet expired"),
        lease: Lease::Foreign,
        ..Phase::IDLE
    };
    standing_by.check();
    Phase { flags: RELEASE, code: 1, ..standing_by }.check();
}

/// There is nothing to do.
pub fn while_idle<C: Subject>() {
    Phase::<C>::IDLE.check();
    Phase::<C> { name: "leading", flags: ELECTION, lease: Lease::Kept, ..Phase::IDLE }.check();
    Phase::<C> {
        name: "leading and releasing",
        flags: RELEASE,
        code: 1,
        lease: Lease::Released,
        ..Phase::IDLE
    }
    .check();
}

/// What `reach` has begun is done to its end, which `after` sees.
pub fn while_busy<C: Subject>(reach: fn(&C, &Program), after: fn(&C)) {
    let busy = Phase { name: "busy", reach, after, ..Phase::IDLE };
    busy.check();
    Phase { name: "leading and busy", flags: RELEASE, code: 1, lease: Lease::Released, ..busy }.check();
}

/// A call to the driver that will take a while.
pub fn call_slowly(subject: &impl Calling, program: &Program) {
    program.works();
    subject.ask(Step::late(Duration::from_secs(2)));
}

/// Who waits for a driver that never answers, because `hang` says so, ends all the same when asked twice.
pub fn a_second_signal<C: Subject>(hang: fn(&C)) {
    for signal in SIGNALS {
        let subject = C::new();
        let program = subject.launch().start();
        program.works();
        hang(&subject);
        program.signal(signal);
        program.wait_for("shutting down controller");
        let second = Instant::now();
        program.signal(signal);
        let end = program.end();
        assert_eq!(end.code, 1, "{}", end.log);
        assert!(end.log.contains("Received a second signal, exiting at once"), "{}", end.log);
        assert!(second.elapsed() < Duration::from_secs(5), "well before --timeout and the grace period");
        subject.assert_kept();
    }
}

/// One test for each of the phases named, which are functions of [`signals`](crate::process::signals).
#[macro_export]
macro_rules! phases {
    ($subject:ty, $($phase:ident),+ $(,)?) => {
        $(
            #[test]
            fn $phase() {
                $crate::process::signals::$phase::<$subject>();
            }
        )+
    };
}
