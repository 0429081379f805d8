//! 11.1, expand and recover: one row, one test. Sizes are all in Gi here; upstream mixes G and Gi.

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, able, gi, pass};

const IN_PROGRESS: &str = "ControllerResizeInProgress";
const INFEASIBLE: &str = "ControllerResizeInfeasible";
const NODE_PENDING: &str = "NodeResizePending";
const NODE_INFEASIBLE: &str = "NodeResizeInfeasible";
const NOT_REQUIRED: &str = "volume.kubernetes.io/node-expansion-not-required";

/// A row's state before: S, C, A, R, P.
pub(crate) struct State {
    pub(crate) wanted: i64,
    pub(crate) capacity: i64,
    pub(crate) allocated: Option<i64>,
    pub(crate) progress: &'static str,
    pub(crate) volume: i64,
}

pub(crate) fn size(number: i64) -> String {
    format!("{number}Gi")
}

impl State {
    /// Brings a claim called `claim` into this state.
    pub(crate) fn make(&self, setup: &Setup) {
        let mut status = json!({"capacity": {"storage": size(self.capacity)}});
        if let Some(allocated) = self.allocated {
            status["allocatedResources"] = json!({"storage": size(allocated)});
        }
        if !self.progress.is_empty() {
            status["allocatedResourceStatuses"] = json!({"storage": self.progress});
        }
        let wanted =
            json!({"spec": {"resources": {"requests": {"storage": size(self.wanted)}}}, "status": status});
        setup.bound("claim", &size(self.volume), &wanted, &json!({}));
    }
}

/// What is to be seen after one look.
fn expect(setup: &Setup, progress: &str, allocated: i64, asked: Option<i64>, not_required: bool) {
    assert_eq!(setup.progress("claim"), progress);
    assert_eq!(setup.allocated("claim"), size(allocated));
    assert_eq!(setup.asked().last().copied(), asked.map(gi));
    let annotation = &setup.claim("claim")["metadata"]["annotations"][NOT_REQUIRED];
    assert_eq!(*annotation, if not_required { json!("true") } else { Value::Null });
}

async fn row(setup: Setup, state: State) -> Setup {
    state.make(&setup);
    let _sidecar = setup.start(&[]);
    pass(1).await;
    setup
}

#[tokio::test(start_paused = true)]
async fn row_1_first_expansion_with_node() {
    let state = State { wanted: 2, capacity: 1, allocated: None, progress: "", volume: 1 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 2, Some(2), false);
}

/// Upstream's row 2 calls the inner function for a claim that has what it wants; the whole controller does nothing.
#[tokio::test(start_paused = true)]
async fn row_2_nothing_is_wanted() {
    let state = State { wanted: 1, capacity: 1, allocated: None, progress: "", volume: 1 };
    let setup = row(Setup::new(), state).await;
    assert_eq!((setup.asked(), setup.writes()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn row_3_infeasible_and_taken_back() {
    let state = State { wanted: 5, capacity: 3, allocated: Some(10), progress: INFEASIBLE, volume: 3 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 5, Some(5), false);
}

/// The driver has refused 10 Gi for good, and the user has taken it back to 5.
async fn after_a_final_error(then: Step) -> Setup {
    let setup = Setup::new();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::fail(Code::Internal, "no"), then]);
    State { wanted: 10, capacity: 3, allocated: None, progress: "", volume: 3 }.make(&setup);
    let sidecar = setup.start(&[]);
    setup.until("the driver has refused", || setup.conditions("claim").len() == 2).await;
    assert_eq!((setup.progress("claim").as_str(), setup.allocated("claim").as_str()), (IN_PROGRESS, "10Gi"));
    setup.want("claim", "5Gi");
    setup.until("the driver is asked again", || setup.asked().len() == 2).await;
    pass(0).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    drop(sidecar);
    setup
}

#[tokio::test(start_paused = true)]
async fn row_4_final_error_and_taken_back() {
    expect(&after_a_final_error(Step::Normal).await, NODE_PENDING, 5, Some(5), false);
}

#[tokio::test(start_paused = true)]
async fn row_5_final_error_taken_back_and_failed_precondition() {
    let refusal = Step::fail(Code::FailedPrecondition, "in use");
    expect(&after_a_final_error(refusal).await, IN_PROGRESS, 5, Some(5), false);
}

#[tokio::test(start_paused = true)]
async fn row_6_final_error_taken_back_and_invalid_argument() {
    let refusal = Step::fail(Code::InvalidArgument, "never");
    expect(&after_a_final_error(refusal).await, INFEASIBLE, 5, Some(5), false);
}

#[tokio::test(start_paused = true)]
async fn row_7_uncertain_goes_on_with_the_old_size() {
    let state = State { wanted: 5, capacity: 3, allocated: Some(10), progress: IN_PROGRESS, volume: 3 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 10, Some(10), false);
}

#[tokio::test(start_paused = true)]
async fn row_8_trivial_resizer_takes_the_size_back() {
    let setup = Setup::with(able(false, true, false));
    let state = State { wanted: 5, capacity: 3, allocated: Some(10), progress: NODE_INFEASIBLE, volume: 10 };
    let setup = row(setup, state).await;
    assert_eq!((setup.progress("claim").as_str(), setup.allocated("claim").as_str()), (NODE_PENDING, "5Gi"));
    assert_eq!(setup.volume("claim")["spec"]["capacity"]["storage"], "5Gi", "nothing has grown yet");
    assert!(setup.asked().is_empty(), "the bookkeeping needs no driver");
}

/// The row has S = C; with S > C the decision is the same, and the whole controller gets there.
#[tokio::test(start_paused = true)]
async fn row_9_node_pending_waits() {
    let state = State { wanted: 2, capacity: 1, allocated: Some(2), progress: NODE_PENDING, volume: 2 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 2, None, false);
}

#[tokio::test(start_paused = true)]
async fn row_10_node_expansion_not_required() {
    let state = State { wanted: 2, capacity: 1, allocated: None, progress: "", volume: 1 };
    let setup = row(Setup::without_nodes(), state).await;
    expect(&setup, "", 2, Some(2), true);
    assert_eq!(setup.capacity("claim"), "2Gi");
    assert!(setup.conditions("claim").is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_11_node_infeasible_is_verified() {
    let state = State { wanted: 2, capacity: 1, allocated: Some(2), progress: NODE_INFEASIBLE, volume: 2 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 2, Some(2), false);
}

#[tokio::test(start_paused = true)]
async fn row_12_node_pending_with_more_wanted_waits() {
    let state = State { wanted: 10, capacity: 1, allocated: Some(3), progress: NODE_PENDING, volume: 3 };
    expect(&row(Setup::new(), state).await, NODE_PENDING, 3, None, false);
}

#[tokio::test(start_paused = true)]
async fn row_13_node_in_progress_with_more_wanted_waits() {
    let state =
        State { wanted: 10, capacity: 1, allocated: Some(3), progress: "NodeResizeInProgress", volume: 3 };
    expect(&row(Setup::new(), state).await, "NodeResizeInProgress", 3, None, false);
}

#[tokio::test(start_paused = true)]
async fn row_14_many_failing_at_once() {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::fail(Code::Internal, "no"));
    for number in 0..20 {
        setup.wanting(&format!("claim-{number}"));
    }
    let _sidecar = setup.start(&["--workers=20"]);
    setup.until("each has failed five times", || setup.asked().len() >= 100).await;
    for number in 0..20 {
        assert_eq!(setup.progress(&format!("claim-{number}")), IN_PROGRESS);
    }
}
