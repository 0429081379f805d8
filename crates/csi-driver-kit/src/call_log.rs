//! The log lines of a call (hostpath-driver 3.3). Test suites read them, so their form is fixed; unlike upstream's
//! they contain secrets only on demand.

use csi_client::{sanitize, status_text, verbose, verbosity};
use prost::{Message, Name};
use tonic::Status;

const PROBE: &str = "/csi.v1.Identity/Probe";

/// The verbosity from which on requests and responses are logged.
const DETAILED: u32 = 5;

/// One call, between its first and its last line.
pub(crate) struct CallLog {
    method: &'static str,
    /// In the plain form, for the summary.
    request: Option<String>,
    with_secrets: bool,
}

impl CallLog {
    /// Logs that a call came in. The request is put into text only if somebody wants to read it.
    pub(crate) fn begin<Q: Message + Name>(method: &'static str, request: &Q, with_secrets: bool) -> Self {
        if method == PROBE {
            verbose!(5, unstructured = true, "GRPC call: {method}");
        } else {
            verbose!(3, unstructured = true, "GRPC call: {method}");
        }
        let plain = verbosity::enabled(DETAILED).then(|| {
            let json = sanitize::to_json(request);
            verbose!(5, unstructured = true, "GRPC request: {json}");
            sanitize::to_plain_json(request, with_secrets)
        });
        Self { method, request: plain, with_secrets }
    }

    /// Logs how the call ended.
    pub(crate) fn end<A: Message + Name>(self, result: Result<&A, &Status>) {
        let error = result.err().map(status_text);
        if let Some(error) = &error {
            tracing::error!(unstructured = true, "GRPC error: {error}");
        }
        let Some(request) = self.request else { return };
        let response = match result {
            Err(_) => "null".to_owned(),
            Ok(response) => {
                let json = sanitize::to_json(response);
                verbose!(5, unstructured = true, "GRPC response: {json}");
                sanitize::to_plain_json(response, self.with_secrets)
            }
        };
        verbose!(
            5,
            unstructured = true,
            "gRPCCall: {}",
            summary(self.method, &request, &response, error.as_deref())
        );
    }
}

/// The whole call as one JSON object. `FullError` is upstream's rendering of an error without exported fields.
fn summary(method: &str, request: &str, response: &str, error: Option<&str>) -> String {
    let full = if error.is_some() { "{}" } else { "null" };
    let error = sanitize::value_to_json(error.unwrap_or_default());
    format!(
        r#"{{"Method":"{method}","Request":{request},"Response":{response},"Error":{error},"FullError":{full}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use csi_client::csi::{DeleteVolumeRequest, DeleteVolumeResponse};
    use std::collections::BTreeMap;

    #[test]
    fn the_summary_is_json_without_secrets() {
        let request = DeleteVolumeRequest {
            volume_id: "v\"1".into(),
            secrets: BTreeMap::from([("user".into(), "hunter2".into())]),
        };
        let error = Status::not_found("no \"v\"");
        let text =
            summary("/m", &sanitize::to_plain_json(&request, false), "null", Some(&status_text(&error)));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["Request"]["volume_id"], "v\"1");
        assert_eq!(json["Request"]["secrets"]["***stripped***"], "***stripped***");
        assert!(!text.contains("user") && !text.contains("hunter2"));
        assert_eq!(json["Error"], "rpc error: code = NotFound desc = no \"v\"");
        assert!(json["Response"].is_null());
        let fine = summary("/m", "{}", &sanitize::to_json(&DeleteVolumeResponse {}), None);
        assert_eq!(fine, r#"{"Method":"/m","Request":{},"Response":{},"Error":"","FullError":null}"#);
    }
}
