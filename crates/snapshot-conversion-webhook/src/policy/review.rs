//! A ConversionReview, from the request's body to the answer's.

use serde_json::{Value, json};

use super::convert::convert;
use super::media::Format;

/// An answer to `/convert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    fn bad(reason: &str) -> Self {
        Self { status: 400, content_type: "text/plain; charset=utf-8", body: format!("{reason}\n") }
    }
}

/// Answers a request, in upstream's order of checks. What is wrong with the objects is no error of the request: the answer is
/// a review that says so.
pub(crate) fn answer(content_type: &str, accept: &str, body: &[u8]) -> Answer {
    review(content_type, accept, body).unwrap_or_else(|reason| Answer::bad(&reason))
}

fn review(content_type: &str, accept: &str, body: &[u8]) -> Result<Answer, String> {
    let format = Format::of_content(content_type).ok_or("invalid Content-Type header")?;
    let mut review = format.read(body).map_err(|error| format!("the request cannot be read: {error}"))?;
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    if (version, kind) != ("apiextensions.k8s.io/v1", "ConversionReview") {
        return Err(format!(
            "the request is a {kind:?} of {version:?}, not a ConversionReview of apiextensions.k8s.io/v1"
        ));
    }
    let request = review.pointer_mut("/request").map(Value::take).unwrap_or_default();
    if !request.is_object() {
        return Err("the review has no request".to_owned());
    }
    let response = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": respond(request),
    });
    let format = Format::accepted(accept).ok_or("the Accept header wants neither JSON nor YAML")?;
    let body = format.write(&response)?;
    Ok(Answer { status: 200, content_type: format.content_type(), body })
}

/// Converts every object, or none: the first that cannot be converted fails the whole review.
fn respond(mut request: Value) -> Value {
    let text =
        |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (uid, wanted) = (text("/uid"), text("/desiredAPIVersion"));
    let objects = match request.pointer_mut("/objects").map(Value::take) {
        Some(Value::Array(objects)) => objects,
        _ => Vec::new(),
    };
    let count = objects.len();
    let converted: Result<Vec<Value>, _> =
        objects.into_iter().map(|object| convert(object, &wanted)).collect();
    match converted {
        Ok(objects) => {
            tracing::debug!(count, desiredAPIVersion = wanted, "Converted");
            json!({"uid": uid, "convertedObjects": objects, "result": {"status": "Success"}})
        }
        Err(error) => {
            tracing::error!(err = %error, desiredAPIVersion = wanted, "Failed to convert");
            let result = json!({"status": "Failure", "message": error.to_string()});
            json!({"uid": uid, "convertedObjects": [], "result": result})
        }
    }
}
