//! What is around a sidecar: an API server, what can be read in it, and paused time.

use std::time::Duration;

use serde_json::Value;
use testkit::api::{ApiServer, Clock, Rule};
use tokio::time::{Instant, sleep};

/// When the clusters of the tests begin.
pub const EPOCH: &str = "2026-11-21T05:00:00Z";

/// An empty API server, whose clock starts at [`EPOCH`].
pub fn api_server() -> ApiServer {
    ApiServer::with(Clock::starting_at(EPOCH.parse().unwrap()), 0)
}

/// What upstream's roles allow with Leases.
pub fn rule_for_leases() -> Rule {
    let verbs = ["get", "watch", "list", "delete", "update", "create"];
    Rule::new("coordination.k8s.io", &["leases"], &verbs).in_namespace("default")
}

/// Type, reason, message and count of every event about objects of this name.
pub fn events(server: &ApiServer, object: &str) -> Vec<(String, String, String, u64)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let events = server.list("Event").into_iter();
    let about = events.filter(|event| event["involvedObject"]["name"] == object);
    about
        .map(|event| {
            let count = event["count"].as_u64().unwrap_or(1);
            (text(&event, "type"), text(&event, "reason"), text(&event, "message"), count)
        })
        .collect()
}

/// Waits until `condition` holds, at most so many hours of paused time; then the test fails with the story.
pub async fn until(what: &str, hours: u64, condition: impl Fn() -> bool, story: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(hours * 3600);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}\n{}", story());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Lets everything that can happen now happen, and `seconds` of paused time pass.
pub async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}
