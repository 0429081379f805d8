//! client-go's only hidden retry: when the server asks for it.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

/// How often client-go obeys one after the other.
pub(super) const MAX_RETRIES: u32 = 10;

/// How long the server asks to wait: `Retry-After` in seconds on 429 or any 5xx.
pub(super) fn wait_asked_for<B>(response: &Response<B>) -> Option<Duration> {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_429_and_5xx_with_the_header_are_retried() {
        let wait = |status: u16, header: Option<&str>| {
            let mut response = Response::builder().status(status);
            if let Some(value) = header {
                response = response.header(RETRY_AFTER, value);
            }
            wait_asked_for(&response.body(()).unwrap()).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(429, Some("3")), Some(3));
        assert_eq!(wait(503, Some("0")), Some(0));
        assert_eq!([wait(429, None), wait(404, Some("3")), wait(500, Some("soon"))], [None; 3]);
    }
}
