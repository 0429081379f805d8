//! What went wrong, in the terms in which callers decide.

use csi_client::with_causes;
use kube::Error;

/// The kinds of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// An object of that name exists.
    AlreadyExists,
    /// The object has changed since it was read.
    Conflict,
    /// A rule is missing; see [`explain_forbidden`].
    Forbidden,
    /// The server does not know us.
    Unauthorized,
    /// The object violates its schema, or a JSON patch does not apply.
    Invalid,
    /// The request makes no sense to the server.
    BadRequest,
    /// The resource version is too old.
    Expired,
    /// The server is overloaded.
    TooManyRequests,
    /// No answer in time; the call may have taken effect.
    Timeout,
    /// The server failed.
    Internal,
    /// The server cannot be reached; the call may have taken effect.
    Unreachable,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Classifies an error of the client.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Api(status) => Self::of_status(status.code, &status.reason),
            Error::Service(source) if source.is::<DeadlineExceeded>() => Self::Timeout,
            Error::Service(_) | Error::HyperError(_) | Error::ReadEvents(_) => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// Classifies a status by its reason, or its HTTP code where the reason says nothing.
    pub fn of_status(code: u16, reason: &str) -> Self {
        match (reason, code) {
            ("NotFound", _) | ("", 404) => Self::NotFound,
            ("AlreadyExists", _) => Self::AlreadyExists,
            ("Expired" | "Gone", _) => Self::Expired,
            ("Timeout" | "ServerTimeout", _) | ("", 504) => Self::Timeout,
            (_, 409) => Self::Conflict,
            (_, 403) => Self::Forbidden,
            (_, 401) => Self::Unauthorized,
            (_, 422) => Self::Invalid,
            (_, 400) => Self::BadRequest,
            (_, 410) => Self::Expired,
            (_, 429) => Self::TooManyRequests,
            (_, 500..) => Self::Internal,
            _ => Self::Other,
        }
    }

    /// Whether it is unknown if the call has taken effect.
    pub fn is_uncertain(self) -> bool {
        matches!(self, Self::Timeout | Self::Unreachable | Self::Internal)
    }
}

/// The text that Go prints for the error: the server's message where there is one.
pub fn message(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        Error::Api(status) => format!("the server responded with the status code {}", status.code),
        Error::Service(source) => with_causes(source.as_ref()),
        other => with_causes(other),
    }
}

/// [`message`], and for a forbidden call also the rule to add.
pub fn explained(error: &Error) -> String {
    match explain_forbidden(error) {
        Some(rule) => format!("{}: {rule}", message(error)),
        None => message(error),
    }
}

/// No answer within the time a call is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from the API server within {} s", .0.as_secs())]
pub struct DeadlineExceeded(pub std::time::Duration);

/// For a forbidden call: the rule to add, in words that can be pasted into a role.
pub fn explain_forbidden(error: &Error) -> Option<String> {
    let Error::Api(status) = error else { return None };
    if ErrorKind::of(error) != ErrorKind::Forbidden {
        return None;
    }
    missing_rule(&status.message)
}

/// Reads the API server's sentence `User "U" cannot VERB resource "R" in API group "G" in the namespace "N"`.
fn missing_rule(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("User ")?;
    let (user, rest) = quoted(rest)?;
    let (verb, rest) = rest.strip_prefix(" cannot ")?.split_once(' ')?;
    let (resource, rest) = quoted(rest.strip_prefix("resource ")?)?;
    let (group, rest) = quoted(rest.strip_prefix(" in API group ")?)?;
    let scope = match rest.strip_prefix(" in the namespace ").and_then(quoted) {
        Some((namespace, _)) => format!("a Role in namespace {namespace}, or a ClusterRole"),
        None => "a ClusterRole".to_owned(),
    };
    Some(format!(
        "{user} is not allowed to {verb} {resource}: add apiGroups: [\"{group}\"], resources: [\"{resource}\"], \
         verbs: [\"{verb}\"] to {scope} bound to it"
    ))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, reason: &str, message: &str) -> Error {
        let status = kube::core::Status {
            code,
            reason: reason.into(),
            message: message.into(),
            status: None,
            metadata: None,
            details: None,
        };
        Error::Api(Box::new(status))
    }

    #[test]
    fn statuses_are_told_apart() {
        let kind = |code, reason| ErrorKind::of(&api(code, reason, ""));
        assert_eq!(kind(409, "AlreadyExists"), ErrorKind::AlreadyExists);
        assert_eq!(kind(409, "Conflict"), ErrorKind::Conflict);
        assert_eq!(kind(410, "Expired"), ErrorKind::Expired);
        assert_eq!(kind(422, "Invalid"), ErrorKind::Invalid);
        assert_eq!(kind(503, "ServiceUnavailable"), ErrorKind::Internal);
        assert_eq!(kind(504, "Timeout"), ErrorKind::Timeout);
        let late = Error::Service(Box::new(DeadlineExceeded(std::time::Duration::from_secs(30))));
        assert_eq!(ErrorKind::of(&late), ErrorKind::Timeout);
        assert!(ErrorKind::of(&late).is_uncertain() && !ErrorKind::Conflict.is_uncertain());
    }

    #[test]
    fn the_missing_rule_is_named() {
        let text = r#"persistentvolumes is forbidden: User "system:serviceaccount:default:csi" cannot list resource "persistentvolumes" in API group "" at the cluster scope"#;
        assert_eq!(
            explain_forbidden(&api(403, "Forbidden", text)).unwrap(),
            "system:serviceaccount:default:csi is not allowed to list persistentvolumes: add apiGroups: [\"\"], \
             resources: [\"persistentvolumes\"], verbs: [\"list\"] to a ClusterRole bound to it"
        );
        let text = r#"leases.coordination.k8s.io "x" is forbidden: User "u" cannot update resource "leases" in API group "coordination.k8s.io" in the namespace "ns""#;
        assert!(
            explain_forbidden(&api(403, "Forbidden", text))
                .unwrap()
                .ends_with("to a Role in namespace ns, or a ClusterRole bound to it")
        );
        assert_eq!(explain_forbidden(&api(403, "Forbidden", "quota")), None);
        assert_eq!(explain_forbidden(&api(404, "NotFound", text)), None);
        assert!(
            explained(&api(403, "Forbidden", text))
                .starts_with(&format!("{text}: u is not allowed to update"))
        );
        assert_eq!(explained(&api(403, "Forbidden", "quota")), "quota");
    }

    #[test]
    fn messages_are_those_of_the_server() {
        assert_eq!(message(&api(404, "NotFound", "pv \"x\" not found")), "pv \"x\" not found");
    }
}
