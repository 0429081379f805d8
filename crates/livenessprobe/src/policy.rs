//! The probe's decisions, as pure functions: where to listen, what a verdict means for kubelet, what is worth a line.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use crate::flags::Flags;

/// The default of `--health-port`, which cannot be told from giving it.
const DEFAULT_PORT: &str = "9808";

/// The path that kubelet asks.
pub(crate) const HEALTH_PATH: &str = "/healthz";

/// How often an unchanged failure is mentioned.
const SUMMARY: Duration = Duration::from_secs(600);

/// Why the two forms of the health address contradict each other, if they do.
pub(crate) fn contradiction(flags: &Flags) -> Option<&'static str> {
    let both = flags.health_port != DEFAULT_PORT && !flags.http_endpoint.is_empty();
    both.then_some("Only one of `--health-port` and `--http-endpoint` can be explicitly set")
}

/// Where `/healthz` is served.
pub(crate) fn listen_address(flags: &Flags) -> String {
    if flags.http_endpoint.is_empty() {
        return format!("0.0.0.0:{}", flags.health_port);
    }
    flags.http_endpoint.clone()
}

/// Whether the metrics would take the place of `/healthz`, which Go's HTTP server refuses with a panic.
pub(crate) fn metrics_hide_health(flags: &Flags) -> bool {
    let shared = !flags.http_endpoint.is_empty() || flags.metrics_addr == listen_address(flags);
    shared && flags.metrics_path == HEALTH_PATH
}

/// Whether a driver that fails to tell its name with this code may tell it later: it hangs, or it has just died.
///
/// Upstream waits for ever in the first case and ends in the second; neither helps, since it is the driver that
/// kubelet restarts (sheet 13.3). All other errors end the process as upstream's.
pub(crate) fn name_may_come(code: Code) -> bool {
    matches!(code, Code::DeadlineExceeded | Code::Unavailable)
}

/// How one probe of the driver went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The driver is ready, or does not say that it is not.
    Ready,
    /// The driver answered that it is not ready.
    NotReady,
    /// No connection: upstream's text of the error, and what to do about it.
    Unreachable { error: String, advice: String },
    /// The call failed with this error.
    Failed(String),
}

impl Verdict {
    /// Status and body of the HTTP answer (sheet section 5).
    pub(crate) fn answer(&self) -> (u16, &str) {
        match self {
            Self::Ready => (200, "ok"),
            Self::NotReady => (500, "driver responded but is not ready"),
            Self::Unreachable { error, .. } | Self::Failed(error) => (500, error),
        }
    }

    /// Its value of the metric label `result`.
    pub(crate) fn result(&self) -> &'static str {
        match self {
            Self::Ready => "ok",
            Self::NotReady => "not_ready",
            Self::Unreachable { .. } => "no_connection",
            Self::Failed(_) => "error",
        }
    }
}

/// What a verdict is worth in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The same as before.
    Routine,
    /// The driver fails, or fails in another way than before.
    Failure,
    /// It has failed in the same way for long.
    StillFailing { failures: u64, lasting: Duration },
    /// It works again.
    Recovery { failures: u64, lasting: Duration },
}

/// Remembers what was logged, so that thousands of nodes do not repeat one line every few seconds (sheet 13.7).
#[derive(Debug, Default)]
pub(crate) struct Journal {
    streak: Option<Streak>,
}

/// Failures without a success between them.
#[derive(Debug)]
struct Streak {
    last: Verdict,
    failures: u64,
    began: Instant,
    told: Instant,
}

impl Journal {
    /// Takes note of a verdict.
    pub(crate) fn note(&mut self, verdict: &Verdict, now: Instant) -> Entry {
        if *verdict == Verdict::Ready {
            return self.streak.take().map_or(Entry::Routine, |streak| Entry::Recovery {
                failures: streak.failures,
                lasting: now - streak.began,
            });
        }
        let Some(streak) = &mut self.streak else {
            self.streak = Some(Streak { last: verdict.clone(), failures: 1, began: now, told: now });
            return Entry::Failure;
        };
        streak.failures += 1;
        if streak.last != *verdict {
            streak.last = verdict.clone();
            streak.told = now;
            return Entry::Failure;
        }
        if now - streak.told < SUMMARY {
            return Entry::Routine;
        }
        streak.told = now;
        Entry::StillFailing { failures: streak.failures, lasting: now - streak.began }
    }
}

#[cfg(test)]
mod tests {
    use sidecar_core::context::Variables;
    use sidecar_core::flags::{self, Binary};

    use super::*;

    fn flags(port: &str, endpoint: &str) -> Flags {
        let line = [format!("--health-port={port}"), format!("--http-endpoint={endpoint}")];
        let parsed = flags::parse(Binary::Livenessprobe, "livenessprobe", &line, &Variables::default());
        Flags::new(parsed.unwrap())
    }

    #[test]
    fn the_endpoint_replaces_the_port_unless_both_are_given() {
        assert_eq!(listen_address(&flags("9808", "")), "0.0.0.0:9808");
        assert_eq!(listen_address(&flags("http", "")), "0.0.0.0:http");
        assert_eq!(listen_address(&flags("9808", ":2")), ":2");
        assert_eq!(contradiction(&flags("9808", ":2")), None);
        assert_eq!(contradiction(&flags("1", "")), None);
        assert!(contradiction(&flags("1", ":2")).is_some());
    }

    #[test]
    fn metrics_may_have_the_health_path_only_elsewhere() {
        let with = |endpoint: &str, metrics_addr: &str| {
            let (metrics_addr, metrics_path) = (metrics_addr.to_owned(), "/healthz".to_owned());
            metrics_hide_health(&Flags { metrics_addr, metrics_path, ..flags("9808", endpoint) })
        };
        assert!(with(":2", ""));
        assert!(with("", "0.0.0.0:9808"));
        assert!(!with("", ":2"));
        assert!(!with("", ""));
    }

    #[test]
    fn a_hanging_or_dying_driver_may_still_tell_its_name() {
        assert!(name_may_come(Code::DeadlineExceeded) && name_may_come(Code::Unavailable));
        assert!(!name_may_come(Code::Internal) && !name_may_come(Code::Unimplemented));
    }

    #[test]
    fn only_changes_and_a_rare_summary_are_worth_a_line() {
        let failed = |text: &str| Verdict::Failed(text.to_owned());
        let (start, mut journal) = (Instant::now(), Journal::default());
        let mut note = |verdict: &Verdict, second| journal.note(verdict, start + Duration::from_secs(second));
        assert_eq!(note(&Verdict::Ready, 0), Entry::Routine);
        assert_eq!(note(&failed("a"), 10), Entry::Failure);
        assert_eq!(note(&failed("a"), 20), Entry::Routine);
        assert_eq!(note(&Verdict::NotReady, 30), Entry::Failure);
        assert_eq!(note(&Verdict::NotReady, 629), Entry::Routine);
        let lasting = Duration::from_secs(620);
        assert_eq!(note(&Verdict::NotReady, 630), Entry::StillFailing { failures: 5, lasting });
        assert_eq!(note(&Verdict::NotReady, 640), Entry::Routine);
        let lasting = Duration::from_secs(640);
        assert_eq!(note(&Verdict::Ready, 650), Entry::Recovery { failures: 6, lasting });
        assert_eq!(note(&Verdict::Ready, 660), Entry::Routine);
        assert_eq!(note(&Verdict::NotReady, 670), Entry::Failure);
    }
}
