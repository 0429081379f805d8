//! What is said to the driver and what is heard from it: requests built, answers read, errors classified.
//!
//! All of it is pure; the calls themselves are made by the shell.

pub(crate) mod request;
pub(crate) mod response;

use csi_client::status_text;
use tonic::{Code, Status};

use crate::policy::state::{Cause, Failure, State};

/// What a failed `CreateVolume` means.
///
/// `node_selected`: topology is in use and a node was chosen for the claim.
pub(crate) fn create_failure(status: &Status, node_selected: bool) -> Failure {
    let cause = if status.code() == Code::InvalidArgument { Cause::Infeasible } else { Cause::Error };
    Failure { state: State::after_create(status.code(), node_selected), cause, message: status_text(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_keeps_its_grpc_code_in_the_text() {
        let failure = create_failure(&Status::resource_exhausted("full"), false);
        assert_eq!(failure.message, "rpc error: code = ResourceExhausted desc = full");
        assert_eq!(failure.state, State::Finished);
        assert_eq!(create_failure(&Status::resource_exhausted("full"), true).state, State::Reschedule);
    }

    #[test]
    fn invalid_argument_is_infeasible() {
        assert_eq!(create_failure(&Status::invalid_argument("x"), false).cause, Cause::Infeasible);
        assert_eq!(create_failure(&Status::internal("x"), false).cause, Cause::Error);
    }
}
