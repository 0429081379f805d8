//! What it costs the API server: 3 writes and 2 events per expansion, and per modification, nothing refused.

use serde_json::json;

use crate::setup::{Setup, pass};

async fn costs(setup: &Setup, begin: impl Fn(&Setup), done: impl Fn(&Setup) -> bool) -> Vec<String> {
    let _sidecar = setup.start(&[]);
    pass(5).await;
    setup.server.forget_calls();
    begin(setup);
    setup.until("it is done", || done(setup)).await;
    pass(60).await;
    let mut calls = setup.calls();
    calls.sort();
    calls
}

const THREE_WRITES_TWO_EVENTS: [&str; 5] = [
    "create events -> 201",
    "create events -> 201",
    "patch persistentvolumeclaims/status -> 200",
    "patch persistentvolumeclaims/status -> 200",
    "patch persistentvolumes -> 200",
];

#[tokio::test(start_paused = true)]
async fn an_expansion_costs_three_writes_and_two_events() {
    for setup in [Setup::new(), Setup::without_nodes()] {
        setup.bound("claim", "1Gi", &json!({}), &json!({}));
        let done = |setup: &Setup| setup.reasons("claim").len() == 2;
        let calls = costs(&setup, |setup| setup.want("claim", "2Gi"), done).await;
        assert_eq!(calls, THREE_WRITES_TWO_EVENTS);
        assert_eq!(setup.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_node_s_part_costs_one_more() {
    let setup = Setup::new();
    setup.bound("claim", "1Gi", &json!({}), &json!({}));
    let begin = |setup: &Setup| setup.want("claim", "2Gi");
    let calls = costs(&setup, begin, |setup| {
        if setup.progress("claim") == "NodeResizePending" {
            setup.node_expanded("claim");
        }
        setup.capacity("claim") == "2Gi"
    })
    .await;
    assert_eq!(calls[..5], [&THREE_WRITES_TWO_EVENTS[..4], &["patch persistentvolumes -> 200"]].concat()[..]);
    assert_eq!(calls[5..], ["patch persistentvolumes -> 200"], "the note is taken off");
}

#[tokio::test(start_paused = true)]
async fn a_modification_costs_three_writes_and_two_events() {
    let setup = crate::modify::setup();
    setup.bound("claim", "1Gi", &json!({}), &json!({}));
    let done = |setup: &Setup| setup.reasons("claim").len() == 2;
    let calls = costs(&setup, |setup| setup.want_class("claim", "target-vac"), done).await;
    assert_eq!(calls, THREE_WRITES_TWO_EVENTS);
    assert_eq!(setup.modifications().len(), 1);
}
