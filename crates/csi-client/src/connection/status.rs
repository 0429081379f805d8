//! Failures of the transport as the status that Go's client would report, since sidecars decide by code.

use std::error::Error as _;

use tokio::time::Instant;
use tonic::{Code, Status};

use crate::codes::deadline_exceeded;

/// Corrects the few places where tonic reports a different code than Go.
pub(super) fn as_go_reports(status: Status, deadline: Option<Instant>) -> Status {
    let expired = deadline.is_some_and(|deadline| deadline <= Instant::now());
    match status.code() {
        // A tonic server enforces the deadline as well, and may be a moment earlier than we are.
        Code::Cancelled if expired || status.message() == "Timeout expired" => deadline_exceeded(),
        Code::OutOfRange if status.message().starts_with("Error, decoded message length too large") => {
            Status::resource_exhausted(too_large(status.message()))
        }
        _ => status,
    }
}

fn too_large(message: &str) -> String {
    let mut numbers =
        message.split(|character: char| !character.is_ascii_digit()).filter(|part| !part.is_empty());
    let (found, limit) = (numbers.next().unwrap_or("?"), numbers.next().unwrap_or("?"));
    format!("grpc: received message larger than max ({found} vs. {limit})")
}

/// A failed exchange over a socket.
pub(super) fn of_transport(error: hyper::Error) -> Status {
    let source = error.source();
    let h2 = source.and_then(|source| source.downcast_ref::<h2::Error>());
    // The driver refused this one call; tonic maps the reason as gRPC prescribes.
    if h2.is_some_and(h2::Error::is_reset) {
        return Status::from_error(Box::new(error));
    }
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    let ended = h2.is_some_and(|error| error.is_io() || error.is_go_away());
    if ended || io.is_some() {
        return Status::unavailable("error reading from server: EOF");
    }
    let reason = source.map(|source| format!(": {source}")).unwrap_or_default();
    Status::unavailable(format!("connection error: desc = \"{error}{reason}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_own_timeout_is_a_deadline() {
        let status = as_go_reports(Status::cancelled("Timeout expired"), None);
        assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "context deadline exceeded"));
        let status = as_go_reports(Status::cancelled("by the driver"), None);
        assert_eq!((status.code(), status.message()), (Code::Cancelled, "by the driver"));
    }

    #[test]
    fn an_answer_over_the_limit_is_resource_exhausted() {
        let text = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        let status = as_go_reports(Status::out_of_range(text), None);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (5 vs. 4)");
    }
}
