//! The error answers of an API server: a `Status` object with code, reason, message, details and causes,
//! worded as kube-apiserver words them, because sidecars print these texts and act on the reasons.

use http::StatusCode;
use serde_json::{Value, json};

use super::resources::Resource;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// HTTP status code.
    pub code: StatusCode,
    /// Machine-readable reason, for example `AlreadyExists`.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// `details` of the Status object; null when there are none.
    pub details: Value,
    /// `metadata.continue` of the Status object, set when a list can go on inconsistently.
    pub resume: Option<String>,
}

/// One problem of an object that failed validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// For example `FieldValueRequired`.
    pub reason: &'static str,
    /// For example `spec.csi.volumeHandle`.
    pub field: String,
    /// Text without the field.
    pub message: String,
}

impl Cause {
    /// A field that must be there is not; `hint` may be empty.
    pub fn required(field: &str, hint: &str) -> Self {
        let message =
            if hint.is_empty() { "Required value".to_owned() } else { format!("Required value: {hint}") };
        Self { reason: "FieldValueRequired", field: field.to_owned(), message }
    }

    /// A field has a value that is not allowed.
    pub fn invalid(field: &str, value: &Value, hint: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.to_owned(),
            message: format!("Invalid value: {value}: {hint}"),
        }
    }

    /// A field may not be set or changed now.
    pub fn forbidden(field: &str, hint: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.to_owned(), message: format!("Forbidden: {hint}") }
    }

    /// A field's value is none of the known ones.
    pub fn unsupported(field: &str, value: &str, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|item| format!("{item:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.to_owned(),
            message: format!("Unsupported value: {value:?}: supported values: {}", known.join(", ")),
        }
    }

    /// A field is larger than the server stores.
    pub fn too_long(field: &str, limit: usize) -> Self {
        Self {
            reason: "FieldValueTooLong",
            field: field.to_owned(),
            message: format!("Too long: may not be more than {limit} bytes"),
        }
    }
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: String, details: Value) -> Self {
        Self { code, reason, message, details, resume: None }
    }

    /// 404 for an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message, resource.details(name))
    }

    /// 409: create of an object that is there.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message, resource.details(name))
    }

    /// 409: the write is based on another version than the stored one, or a precondition does not hold.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(StatusCode::CONFLICT, "Conflict", message, resource.details(name))
    }

    /// 409: a precondition of a delete does not hold. Worded with the kind, unlike other conflicts.
    pub fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified_kind());
        let mut details = resource.details(name);
        super::doc::set(&mut details, &["kind"], resource.kind);
        Self::new(StatusCode::CONFLICT, "Conflict", message, details)
    }

    /// The usual conflict: somebody else wrote in between.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 422 with every cause.
    pub fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {list}", resource.qualified_kind());
        let mut details = resource.details(name);
        super::doc::set(&mut details, &["kind"], resource.kind);
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        super::doc::set(&mut details, &["causes"], causes);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, details)
    }

    /// 422 of a JSON patch that does not apply, a failed `test` operation above all.
    pub fn patch_does_not_apply() -> Self {
        let message = "the server rejected our request due to an error in our request".to_owned();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, json!({}))
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message.into(), Value::Null)
    }

    /// 500.
    pub fn internal(message: &str) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message, Value::Null)
    }

    /// 500 for an object that says which version it wants to be created with.
    pub fn version_at_create() -> Self {
        let message = "resourceVersion should not be set on objects to be created".to_owned();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message, Value::Null)
    }

    /// 404 for a path below a known group that names no kind.
    pub fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self::new(StatusCode::NOT_FOUND, "NotFound", message, json!({}))
    }

    /// 503, as a server says that is starting, stopping or has lost etcd.
    pub fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message.to_owned(), Value::Null)
    }

    /// 429, with the time after which to come back, in seconds; it is also sent as `Retry-After`.
    pub fn too_many_requests(seconds: u64) -> Self {
        let message =
            "the server has received too many requests and has asked us to try again later".to_owned();
        let details = json!({"retryAfterSeconds": seconds});
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message, details)
    }

    /// 504: the server gave up on the request.
    pub fn timeout(message: &str) -> Self {
        let message = format!("Timeout: {message}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message, Value::Null)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized".to_owned(), Value::Null)
    }

    /// 403; `action` says who may not do what where.
    pub fn forbidden(resource: &Resource, name: &str, action: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {action}", resource.qualified())
        } else {
            format!("{} {name:?} is forbidden: {action}", resource.qualified())
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message, resource.details(name))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message, json!({}))
    }

    /// 415.
    pub fn unsupported_media_type(message: String) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message, json!({}))
    }

    /// 410: the version asked for has been compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message.into(), Value::Null)
    }

    /// 504: the version asked for has not happened yet.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        let details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message, details)
    }

    /// The Status object.
    pub fn to_value(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.resume {
            super::doc::set(&mut metadata, &["continue"], token.as_str());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            super::doc::set(&mut status, &["reason"], self.reason);
        }
        if !self.details.is_null() {
            super::doc::set(&mut status, &["details"], self.details.clone());
        }
        status
    }
}
