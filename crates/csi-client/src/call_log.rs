//! Log lines about every call, at verbosity 5 and only built when that is wanted.

use std::fmt;

use prost::{Message, Name};
use tonic::Status;

use crate::codes::status_text;
use crate::sanitize::to_json;
use crate::verbosity;

/// Verbosity of these lines.
const LEVEL: u32 = 5;

/// Logs the request before it is sent.
pub(crate) fn request<M: Message + Name>(method: &str, request: &M) {
    if verbosity::enabled(LEVEL) {
        tracing::info!(v = LEVEL, method, request = to_json(request), "GRPC call");
    }
}

/// Logs the answer, cut to `limit` bytes.
pub(crate) fn response<M: Message + Name>(outcome: Result<&M, &Status>, limit: Option<usize>) {
    if !verbosity::enabled(LEVEL) {
        return;
    }
    match outcome {
        Ok(message) => {
            let response = cut(to_json(message), limit);
            tracing::info!(v = LEVEL, response, err = ?Nil, "GRPC response");
        }
        Err(status) => {
            tracing::info!(v = LEVEL, response = "{}", err = status_text(status), "GRPC response");
        }
    }
}

/// The end of a call whose messages are not logged one by one.
pub(crate) fn stream_opened(outcome: Result<(), &Status>) {
    if verbosity::enabled(LEVEL)
        && let Err(status) = outcome
    {
        tracing::info!(v = LEVEL, response = "{}", err = status_text(status), "GRPC response");
    }
}

/// Prints as Go prints an error that is not there.
struct Nil;

impl fmt::Debug for Nil {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null")
    }
}

fn cut(text: String, limit: Option<usize>) -> String {
    let Some(limit) = limit.filter(|limit| text.len() > *limit) else { return text };
    // Not in the middle of a character.
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let (head, _) = text.split_at(end);
    format!("{head} [response body too large, log capped to {limit} chars]")
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_responses_are_cut_and_say_so() {
        let cap = " [response body too large, log capped to 3 chars]";
        assert_eq!(cut("abcdef".into(), Some(3)), format!("abc{cap}"));
        assert_eq!(cut("abc".into(), Some(3)), "abc");
        assert_eq!(cut("abcdef".into(), None), "abcdef");
        assert_eq!(cut("aböcd".into(), Some(3)), format!("ab{cap}"));
    }
}
