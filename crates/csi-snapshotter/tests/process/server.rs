//! Rows about the API server that have words of the snapshotter.

use testkit::process::server;

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    server::away_at_the_start(&["Failed to watch", "Connection refused"]),
    server::goes_during_a_call(
        "the API server goes while a snapshot is taken",
        &["error updating status for volume snapshot content"],
    ),
    server::expired_token_at_the_start(),
];
