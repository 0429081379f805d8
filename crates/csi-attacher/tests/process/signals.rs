//! SIGTERM and SIGINT in every phase, also as process 1 of a namespace, where signals without a handler do nothing.
//!
//! Upstream dies at once by default; ours ends in order (sheet 13.13): code 0, or 1 where the gate
//! `ReleaseLeaderElectionOnExit` has upstream end through its callback for a lost lease.

use std::time::{Duration, Instant};

use csi_client::csi::{ControllerPublishVolumeRequest, ProbeRequest, ProbeResponse};
use serde_json::{Value, json};
use testkit::driver::Step;

use crate::cluster::Cluster;
use crate::program::Program;

/// Kubernetes waits for 30 s before it kills.
const GRACE: Duration = Duration::from_secs(30);

const SIGNALS: [&str; 2] = ["-TERM", "-INT"];
const ELECTION: &[&str] = &["--leader-election"];
const RELEASE: &[&str] = &["--leader-election", "--feature-gates=ReleaseLeaderElectionOnExit=true"];

/// What the sidecar is doing when the signal comes.
struct Phase {
    name: &'static str,
    flags: &'static [&'static str],
    before: fn(&Cluster),
    /// Brings it there.
    reach: fn(&Cluster, &Program),
    code: i32,
    /// What is to hold when it has ended.
    after: fn(&Cluster),
}

const PHASE: Phase = Phase {
    name: "",
    flags: &[],
    before: |_| {},
    reach: |_, program| program.works(),
    code: 0,
    after: |_| {},
};

impl Phase {
    fn check(&self, signal: &str, first_process: bool) {
        let cluster = Cluster::new();
        (self.before)(&cluster);
        let mut launch = cluster.launch().with(&["-v=5"]).with(self.flags);
        launch.first_process = first_process;
        let program = launch.start();
        (self.reach)(&cluster, &program);
        let signalled = Instant::now();
        program.signal(signal);
        let end = program.end();
        let shown = format!("{} {signal} first process: {first_process}\n{}", self.name, end.log);
        assert_eq!(end.code, self.code, "{shown}");
        assert!(signalled.elapsed() < GRACE && end.took > Duration::ZERO, "{shown}");
        assert!(end.log.contains("Received SIGTERM or SIGINT signal, shutting down controller."), "{shown}");
        assert_eq!(end.last_words, "", "{shown}");
        cluster.assert_kept();
        (self.after)(&cluster);
    }

    fn check_all(&self) {
        std::thread::scope(|scope| {
            for (signal, first_process) in SIGNALS.into_iter().zip([false, true]) {
                scope.spawn(move || self.check(signal, first_process));
            }
        });
    }
}

fn attach_slowly(cluster: &Cluster, program: &Program) {
    program.works();
    cluster.driver.script::<ControllerPublishVolumeRequest>([Step::late(Duration::from_secs(2))]);
    cluster.attach("busy");
    cluster.call_in_flight();
}

fn saved(cluster: &Cluster) {
    cluster.attached("busy");
    assert_eq!(cluster.calls(), 1);
}

#[test]
fn while_the_driver_is_not_ready() {
    Phase {
        name: "probing",
        before: |cluster| {
            let not_ready = Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false));
            cluster.driver.always::<ProbeRequest>(not_ready);
        },
        reach: |_, program| program.wait_for("CSI driver is not ready"),
        after: Cluster::assert_untouched,
        ..PHASE
    }
    .check_all();
}

#[test]
fn while_the_api_server_is_away() {
    Phase {
        name: "caches",
        before: Cluster::cut_off_server,
        reach: |_, program| program.wait_for("Failed to watch"),
        after: Cluster::assert_untouched,
        ..PHASE
    }
    .check_all();
}

/// Upstream's standby has to be killed (sheet 3).
#[test]
fn while_standing_by() {
    let standing_by = Phase {
        name: "standing by",
        flags: ELECTION,
        before: Cluster::occupy_lease,
        reach: |_, program| program.wait_for("Lease is held by and has not yet expired"),
        after: |cluster| assert_eq!(cluster.holder(), json!("other")),
        ..PHASE
    };
    standing_by.check_all();
    Phase { flags: RELEASE, code: 1, ..standing_by }.check_all();
}

#[test]
fn while_idle() {
    Phase { name: "idle", ..PHASE }.check_all();
    let kept = |cluster: &Cluster| {
        assert!(
            !["".into(), Value::Null].contains(&cluster.holder()),
            "kept for the next process of this pod"
        );
    };
    Phase { name: "leading", flags: ELECTION, after: kept, ..PHASE }.check_all();
}

#[test]
fn while_a_volume_is_attached() {
    let busy = Phase { name: "busy", reach: attach_slowly, after: saved, ..PHASE };
    busy.check_all();
    Phase {
        name: "leading and busy",
        flags: RELEASE,
        code: 1,
        after: |cluster| {
            saved(cluster);
            assert_eq!(cluster.holder(), json!(""));
        },
        ..busy
    }
    .check_all();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let cluster = Cluster::new();
    let program = cluster.launch().start();
    program.works();
    cluster.driver.script::<ControllerPublishVolumeRequest>([Step::Hang]);
    cluster.attach("busy");
    cluster.call_in_flight();
    program.signal("-TERM");
    program.wait_for("shutting down controller");
    let second = Instant::now();
    program.signal("-TERM");
    let end = program.end();
    assert_eq!(end.code, 1, "{}", end.log);
    assert!(end.log.contains("Received a second signal, exiting at once"), "{}", end.log);
    assert!(second.elapsed() < Duration::from_secs(5), "well before --timeout and the grace period");
    cluster.assert_kept();
}
