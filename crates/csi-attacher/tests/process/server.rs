//! Rows about the API server: away, ill, forgetful, unknown, and not knowing us.

use std::time::Duration;

use csi_client::csi::ControllerPublishVolumeRequest;
use testkit::api::Failure;
use testkit::driver::Step;

use crate::cluster::{Cluster, USER};
use crate::program::{Program, eventually};
use crate::table::{Expected, ROW, Row};

/// What the sidecar watches.
const WATCHED: [&str; 3] = ["VolumeAttachment", "PersistentVolume", "CSINode"];

const QUICK_LEASE: &[&str] = &[
    "--leader-election",
    "--leader-election-lease-duration=4s",
    "--leader-election-renew-deadline=3s",
    "--leader-election-retry-period=1s",
];

fn watching(cluster: &Cluster) {
    eventually("all watches run", || WATCHED.iter().all(|kind| cluster.server.watchers(kind) == 1));
}

fn break_watches(cluster: &Cluster) {
    for kind in WATCHED {
        cluster.server.break_watches(kind);
    }
}

fn renew_token(cluster: &Cluster) {
    cluster.server.add_token("renewed", USER);
    cluster.write_token("renewed");
}

/// The server no longer takes the token, for calls and for watches.
fn expire_token(cluster: &Cluster, program: &Program) {
    program.works();
    watching(cluster);
    cluster.server.revoke_token("first");
    break_watches(cluster);
    cluster.attach("meanwhile");
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "no API server at the start",
        before: |cluster, _| cluster.cut_off_server(),
        says: &["Failed to watch", "Connection refused"],
        heal: Cluster::reconnect_server,
        ..ROW
    },
    Row {
        name: "the API server goes and comes back",
        then: |cluster, program| {
            program.works();
            watching(cluster);
            cluster.cut_off_server();
            // What happens meanwhile is found afterwards.
            cluster.attach("meanwhile");
        },
        says: &["Failed to watch"],
        heal: Cluster::reconnect_server,
        ..ROW
    },
    Row {
        name: "the API server goes while a volume is attached",
        then: |cluster, program| {
            program.works();
            cluster.driver.script::<ControllerPublishVolumeRequest>([Step::late(Duration::from_secs(1))]);
            cluster.attach("busy");
            cluster.call_in_flight();
            cluster.cut_off_server();
        },
        says: &["failed to mark as attached"],
        heal: Cluster::reconnect_server,
        ..ROW
    },
    Row {
        name: "the API server is away for too long for the leader",
        flags: QUICK_LEASE,
        then: |cluster, program| {
            program.works();
            cluster.cut_off_server();
        },
        says: &["Failed to renew lease", "Stopped leading"],
        end: Expected::Ends(1),
        heal: Cluster::reconnect_server,
        ..ROW
    },
    Row {
        name: "the API server is ill",
        then: |cluster, program| {
            program.works();
            cluster.server.intercept(|_| Some(Failure::unavailable("etcdserver: leader changed")));
            watching(cluster);
            break_watches(cluster);
            cluster.attach("meanwhile");
        },
        says: &["Failed to watch", "etcdserver: leader changed"],
        heal: |cluster| cluster.server.pass(),
        ..ROW
    },
    Row {
        name: "watches expire and the history is gone",
        then: |cluster, program| {
            program.works();
            watching(cluster);
            cluster.cut_off_server();
            cluster.attach("meanwhile");
            cluster.server.compact();
            cluster.reconnect_server();
        },
        ..ROW
    },
    Row {
        name: "an expired token",
        then: expire_token,
        says: &["Failed to watch", "Unauthorized"],
        heal: renew_token,
        ..ROW
    },
    Row {
        name: "an expired token at the start",
        before: |cluster, _| cluster.server.revoke_token("first"),
        says: &["Failed to watch", "Unauthorized"],
        heal: renew_token,
        ..ROW
    },
    Row {
        name: "a foreign authority in the kubeconfig",
        before: |cluster, launch| {
            let other = cluster.runtime.block_on(testkit::api::ApiServer::new().serve_https()).unwrap();
            std::fs::write(cluster.path("foreign"), cluster.kubeconfig(&other)).unwrap();
            launch.flags.push(format!("--kubeconfig={}", cluster.path("foreign").display()));
        },
        says: &["Failed to watch", "certificate"],
        end: Expected::Waits,
        ..ROW
    },
];
