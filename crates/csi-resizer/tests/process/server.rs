//! Rows about the API server that have words of the resizer.

use testkit::process::server;

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    server::away_at_the_start(&[
        "Cannot ask the API server for VolumeAttributesClass",
        "Failed to watch",
        "Connection refused",
    ]),
    server::goes_during_a_call(
        "the API server goes while a volume is expanded",
        &["Error syncing PVC", "updating capacity of PV"],
    ),
    server::expired_token_of_a_leader(),
];
