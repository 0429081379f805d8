//! The log of calls: who did what to which object and how it ended. Budgets of API calls are tested with it.

use http::StatusCode;

/// One call, after it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Authenticated user.
    pub user: String,
    /// User-Agent header, empty if there was none.
    pub user_agent: String,
    /// RBAC verb; for paths that are no resources the lower-case HTTP method.
    pub verb: String,
    /// Plural, with subresource as `plural/status`; for other paths the path.
    pub resource: String,
    /// Namespace, empty for cluster-scoped kinds and lists over all namespaces.
    pub namespace: String,
    /// Object name; the name that the server chose when it was generated.
    pub name: String,
    /// HTTP status; 0 while the call is not answered.
    pub code: u16,
    /// Body that the client sent.
    pub body: String,
    /// Content type of that body.
    pub content_type: String,
}

impl Call {
    /// Whether verb and resource are these; an empty string stands for anything.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        (verb.is_empty() || self.verb == verb) && (resource.is_empty() || self.resource == resource)
    }

    /// Whether the server said yes.
    pub fn succeeded(&self) -> bool {
        StatusCode::from_u16(self.code).is_ok_and(|code| code.is_success())
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)?;
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => {}
            ("", name) => write!(formatter, " {name}")?,
            (namespace, "") => write!(formatter, " {namespace}/")?,
            (namespace, name) => write!(formatter, " {namespace}/{name}")?,
        }
        if self.code == 0 { Ok(()) } else { write!(formatter, " -> {}", self.code) }
    }
}
