//! Rows about the API server: away, ill, forgetful, unknown, and not knowing us.

use csi_client::csi::ControllerExpandVolumeRequest;
use testkit::api::Failure;
use testkit::driver::Step;

use crate::cluster::{Cluster, USER};
use crate::program::{Program, eventually};
use crate::table::{Expected, ROW, Row};

/// What the sidecar watches.
const WATCHED: [&str; 3] = ["PersistentVolumeClaim", "PersistentVolume", "VolumeAttributesClass"];

pub(crate) const QUICK_LEASE: &[&str] = &[
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
    cluster.claim("meanwhile");
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "no API server at the start",
        before: |cluster, _| cluster.cut_off_server(),
        says: &[
            "Cannot ask the API server for VolumeAttributesClass",
            "Failed to watch",
            "Connection refused",
        ],
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
            cluster.claim("meanwhile");
        },
        says: &["Failed to watch"],
        heal: Cluster::reconnect_server,
        ..ROW
    },
    Row {
        name: "the API server goes while a volume is expanded",
        then: |cluster, program| {
            program.works();
            let late = Step::late(std::time::Duration::from_secs(1));
            cluster.driver.script::<ControllerExpandVolumeRequest>([late]);
            cluster.claim("busy");
            cluster.expansion_in_flight();
            cluster.cut_off_server();
        },
        says: &["Error syncing PVC", "updating capacity of PV"],
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
            cluster.claim("meanwhile");
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
            cluster.claim("meanwhile");
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
        name: "an expired token of a leader",
        flags: QUICK_LEASE,
        then: expire_token,
        says: &["Unauthorized", "Failed to renew lease", "Stopped leading"],
        end: Expected::Ends(1),
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
