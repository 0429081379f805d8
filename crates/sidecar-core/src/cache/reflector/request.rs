//! The requests of a reflector, and how long it waits after failures.

use std::fmt::Write;
use std::time::Duration;

use http::header::ACCEPT;
use kube::client::Body;
use tokio::time::Instant;

use crate::objects::{Kind, Labels};
use crate::random::Random;

/// Page size of client-go.
const PAGE: u32 = 500;

pub(super) enum Request<'a> {
    /// One page of a list; `next` is the token of the page before.
    Page { next: &'a str },
    /// A watch; without a version, with a streaming list in front.
    Watch { from: Option<u64>, seconds: u64 },
}

impl Request<'_> {
    pub(super) fn build<T: Kind>(&self, accept: &'static str, labels: &Labels) -> http::Request<Body> {
        let path = T::RESOURCE.path();
        let mut selector = match T::FIELD_SELECTOR {
            "" => String::new(),
            selector => format!("&fieldSelector={}", escape(selector)),
        };
        if let Labels::Matching(labels) = labels {
            // Writing to a string cannot fail.
            let _infallible = write!(selector, "&labelSelector={}", escape(labels));
        }
        let uri = match self {
            Self::Page { next: "" } => format!("{path}?limit={PAGE}{selector}"),
            Self::Page { next } => format!("{path}?limit={PAGE}&continue={}{selector}", escape(next)),
            Self::Watch { from: Some(version), seconds } => format!(
                "{path}?allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}\
                 &watch=true{selector}"
            ),
            Self::Watch { from: None, seconds } => format!(
                "{path}?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true\
                 &timeoutSeconds={seconds}&watch=true{selector}"
            ),
        };
        let mut request = http::Request::new(Body::empty());
        // The parts are constants, numbers and an escaped token: always a valid URI.
        *request.uri_mut() = uri.parse().unwrap_or_default();
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static(accept));
        request
    }
}

/// Escapes what has a meaning in queries.
fn escape(token: &str) -> String {
    let mut escaped = String::with_capacity(token.len() + 8);
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// client-go's reflector: 0.8 s doubling up to 30 s, up to doubled again at random, forgotten after two good minutes.
pub(super) struct Backoff {
    failures: u32,
    last_failure: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(800);
const MOST: Duration = Duration::from_secs(30);
const FORGET_AFTER: Duration = Duration::from_secs(120);

impl Backoff {
    pub(super) fn new() -> Self {
        Self { failures: 0, last_failure: None }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(super) fn next(&mut self, random: &Random) -> Duration {
        let now = Instant::now();
        if self.last_failure.is_some_and(|last| now - last > FORGET_AFTER) {
            self.failures = 0;
        }
        let base = FIRST.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures += 1;
        self.last_failure = Some(now);
        base.mul_f64(1.0 + random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Attachment, Claim, Pod};

    #[test]
    fn requests_are_client_gos() {
        let uri =
            |request: Request<'_>| request.build::<Claim>("application/json", &Labels::Any).uri().to_string();
        assert_eq!(
            uri(Request::Watch { from: None, seconds: 301 }),
            "/api/v1/persistentvolumeclaims?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan\
             &sendInitialEvents=true&timeoutSeconds=301&watch=true"
        );
        assert_eq!(
            uri(Request::Page { next: "a+b/c=" }),
            "/api/v1/persistentvolumeclaims?limit=500&continue=a%2Bb%2Fc%3D"
        );
        let request = Request::Watch { from: Some(7), seconds: 301 }
            .build::<Attachment>("application/json", &Labels::Any);
        assert!(request.uri().path().starts_with("/apis/storage.k8s.io/v1/volumeattachments"));
        assert!(request.uri().query().unwrap().contains("resourceVersion=7"));
        let request = Request::Page { next: "" }.build::<Pod>("application/json", &Labels::Any);
        assert_eq!(
            request.uri().to_string(),
            "/api/v1/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
        );
        let labels = Labels::Matching("a/b=c".into());
        let request = Request::Page { next: "" }.build::<Claim>("application/json", &labels);
        assert!(request.uri().query().unwrap().ends_with("&labelSelector=a%2Fb%3Dc"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_until_things_go_well() {
        let (random, mut backoff) = (Random::seeded(1), Backoff::new());
        let waits: Vec<_> = (0..8).map(|_| backoff.next(&random).as_secs_f64()).collect();
        for (wait, base) in waits.iter().zip([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]) {
            assert!((base..base * 2.0).contains(wait), "{waits:?}");
        }
        tokio::time::advance(FORGET_AFTER + FIRST).await;
        assert!(backoff.next(&random) < FIRST * 2);
    }
}
