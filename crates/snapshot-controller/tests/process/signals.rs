//! SIGTERM and SIGINT in every phase.

use crate::cluster::Cluster;

testkit::phases!(Cluster, while_the_api_server_is_away, while_standing_by, while_idle);
