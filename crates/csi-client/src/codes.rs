//! gRPC codes and errors in the spelling of the Go implementation.
//!
//! Metric labels, events and log lines carry these names, and dashboards and users match on them; tonic spells
//! and formats them differently.

use std::borrow::Cow;
use std::fmt;

use tonic::{Code, Status};

/// Label of a failure that is not a gRPC status (common-library sheet, section 7).
pub const UNKNOWN_NON_GRPC: &str = "unknown-non-grpc";

/// Go's name of a code, for example `Canceled` with one l.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Go's name of a code as it came over the wire; numbers that gRPC does not define become `Code(<n>)`.
#[must_use]
pub fn code_number_name(number: u32) -> Cow<'static, str> {
    match i32::try_from(number) {
        Ok(known @ 0..=16) => Cow::Borrowed(code_name(Code::from_i32(known))),
        _ => Cow::Owned(format!("Code({number})")),
    }
}

/// The error text that Go programs show: `rpc error: code = NotFound desc = no such volume`.
#[must_use]
pub fn status_text(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", code_name(status.code()), status.message())
}

/// What a call reports when its own deadline has passed.
#[must_use]
pub fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

/// A status as an error that displays the way Go does.
#[derive(Debug, Clone)]
pub struct RpcError(pub Status);

impl RpcError {
    /// The code, for those who classify.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code()
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&status_text(&self.0))
    }
}

impl std::error::Error for RpcError {}

impl From<Status> for RpcError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

/// What the operating system says, in Go's words: `No such file or directory (os error 2)` becomes `no such file or
/// directory`.
pub fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// An error with its causes, as far as its own text does not name them: that of tonic and hyper is often just "transport
/// error".
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let part = inner.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_go_names() {
        let names: Vec<_> = (0..=17).map(|number| code_number_name(number).into_owned()).collect();
        assert_eq!(
            names.join(" "),
            "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied \
             ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss \
             Unauthenticated Code(17)"
        );
    }

    #[test]
    fn errors_read_like_go_errors() {
        let error = RpcError::from(Status::cancelled("gone"));
        assert_eq!(error.to_string(), "rpc error: code = Canceled desc = gone");
        assert_eq!(
            status_text(&deadline_exceeded()),
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
        );
    }
}
