//! Rows about the API server that have words of the provisioner, or are about what it asks for.

use std::time::Duration;

use csi_client::csi::DeleteVolumeRequest;
use testkit::driver::Step;
use testkit::process::{Subject as _, eventually, server};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    server::away_at_the_start(&[
        "Cannot ask the API server for VolumeAttributesClass",
        "Failed to watch",
        "Connection refused",
    ]),
    server::goes_during_a_call(
        "the API server goes while a volume is made",
        &["Failed to save volume, will try again"],
    ),
    Row {
        name: "the API server goes while a volume is deleted",
        then: |cluster, program| {
            program.works();
            cluster.want("victim");
            cluster.bound("victim");
            cluster.driver().script::<DeleteVolumeRequest>([Step::late(Duration::from_secs(1))]);
            cluster.server.delete("PersistentVolumeClaim", "default", "victim").unwrap();
            eventually("DeleteVolume is in flight", || cluster.driver().count::<DeleteVolumeRequest>() > 0);
            cluster.cut_off_server();
        },
        says: &["error syncing volume"],
        heal: |cluster| cluster.reconnect_server(),
        ..Row::BLANK
    },
    server::watches_break(),
    server::expired_token_at_the_start(),
    server::expired_token_of_a_leader(),
    server::no_token(),
];
