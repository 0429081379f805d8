//! The task that empties the queue into the API server, one event at a time, in order.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use tokio::sync::mpsc;

use super::correlator::{Correlated, Correlator};
use super::{Item, Report};
use crate::clock::Clock;
use crate::random::Random;
use crate::shutdown::Shutdown;

/// Tries per event (client-go's `maxTriesPerEvent`).
const TRIES: u32 = 12;
/// Pause between them; the first is a random part of it, so that many clients do not come back at once.
const PAUSE: Duration = Duration::from_secs(10);
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes what recorders report. Ends when the last of them is gone.
#[derive(Debug)]
pub struct EventWriter {
    queue: mpsc::Receiver<Item>,
    correlator: Correlator,
    clock: Clock,
    random: Random,
}

/// What a try to write came to.
enum Try {
    Written { name: String, count: u32 },
    GivenUp,
    Again,
}

impl EventWriter {
    pub(super) fn new(queue: mpsc::Receiver<Item>, clock: Clock, random: Random) -> Self {
        Self { queue, correlator: Correlator::new(), clock, random }
    }

    /// Writes events with `client` until all recorders are gone. Once `shutdown` is requested, an event that cannot be
    /// written gets one more try at once, and no pause.
    pub async fn run(mut self, client: kube::Client, shutdown: Shutdown) {
        while let Some(item) = self.queue.recv().await {
            match item {
                Item::Report(report) => self.handle(*report, &client, &shutdown).await,
                Item::Flush(done) => {
                    let _nobody_waits = done.send(());
                }
            }
        }
    }

    async fn handle(&mut self, report: Report, client: &kube::Client, shutdown: &Shutdown) {
        let Some(correlated) = self.correlator.correlate(report, self.clock.monotonic()) else { return };
        let api = Api::namespaced(client.clone(), correlated.report.object.event_namespace());
        for tried in 1..=TRIES {
            match write(&api, &correlated).await {
                Try::Written { name, count } => return self.correlator.written(&correlated, name, count),
                Try::GivenUp => return,
                Try::Again if tried == TRIES => {
                    log(&correlated, "Unable to write event (retry limit exceeded!)");
                }
                Try::Again if shutdown.is_requested() => {
                    return log(&correlated, "Unable to write event (broadcaster is shut down)");
                }
                Try::Again => self.pause(tried, shutdown).await,
            }
        }
    }

    async fn pause(&self, tried: u32, shutdown: &Shutdown) {
        let pause = if tried == 1 { PAUSE.mul_f64(self.random.f64()) } else { PAUSE };
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One try: a patch of the object that already counts such events, else (or if that is gone) a new object.
async fn write(api: &Api<Event>, event: &Correlated) -> Try {
    let call = async {
        if event.count > 1 {
            match api.patch(&event.report.name, &PatchParams::default(), &count_patch(event)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => return answer,
            }
        }
        api.create(&PostParams::default(), &new_event(event)).await
    };
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(written)) => Try::Written {
            name: written.metadata.name.unwrap_or_else(|| event.report.name.clone()),
            count: written.count.and_then(|count| u32::try_from(count).ok()).unwrap_or(event.count),
        },
        Ok(Err(error)) => judge(event, &error),
        Err(_elapsed) => {
            log_error(
                event,
                "no answer from the API server",
                "Unable to write event (may retry after sleeping)",
            );
            Try::Again
        }
    }
}

/// The API server's word is final, unless it says that it is not well; without its word, the event waits.
fn judge(event: &Correlated, error: &kube::Error) -> Try {
    match error {
        kube::Error::Api(status) if status.code != 429 && status.code < 500 => {
            if status.is_already_exists() || is_namespace_terminating(status) {
                tracing::info!(
                    v = 5, object = %event.report.object, reason = event.report.reason, err = crate::api::message(error),
                    "Server rejected event (will not retry!)"
                );
            } else {
                log_error(event, &crate::api::explained(error), "Server rejected event (will not retry!)");
            }
            Try::GivenUp
        }
        kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
            log_error(event, &crate::api::explained(error), "Unable to construct event (will not retry!)");
            Try::GivenUp
        }
        other => {
            log_error(
                event,
                &crate::api::explained(other),
                "Unable to write event (may retry after sleeping)",
            );
            Try::Again
        }
    }
}

fn is_namespace_terminating(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// What client-go's patch of a repeated event holds.
fn count_patch(event: &Correlated) -> Patch<serde_json::Value> {
    Patch::Strategic(serde_json::json!({
        "count": event.count,
        "lastTimestamp": Time(event.report.at),
        "message": event.report.message,
    }))
}

fn new_event(event: &Correlated) -> Event {
    let Correlated { report, first, count, .. } = event;
    Event {
        metadata: ObjectMeta {
            name: Some(report.name.clone()),
            namespace: Some(report.object.event_namespace().to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: report.object.to_api(),
        reason: Some(report.reason.clone()),
        message: Some(report.message.clone()),
        source: Some(EventSource { component: Some(report.component.to_string()), host: None }),
        reporting_component: Some(report.component.to_string()),
        type_: Some(report.kind.as_str().to_owned()),
        first_timestamp: Some(Time(*first)),
        last_timestamp: Some(Time(report.at)),
        count: Some(i32::try_from(*count).unwrap_or(i32::MAX)),
        ..Event::default()
    }
}

fn log(event: &Correlated, text: &str) {
    let Report { object, reason, message, .. } = &event.report;
    // A field called `message` would take the place of the text.
    tracing::error!(object = %object, reason, note = message, "{text}");
}

fn log_error(event: &Correlated, error: &str, text: &str) {
    let Report { object, reason, message, .. } = &event.report;
    tracing::error!(err = error, object = %object, reason, note = message, "{text}");
}
