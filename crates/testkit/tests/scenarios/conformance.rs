//! The conformance list on the in-process server.

use testkit::api::ApiServer;
use testkit::conformance::{ALL, Subject};

#[tokio::test(start_paused = true)]
async fn in_process_server_conforms() {
    let mut failures = Vec::new();
    for (name, scenario) in ALL {
        let server = ApiServer::new();
        server.add_namespace("corner");
        let subject = Subject { client: server.client(), namespace: "corner".to_owned() };
        if let Err(error) = scenario(subject).await {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), ALL.len(), failures.join("\n"));
}
