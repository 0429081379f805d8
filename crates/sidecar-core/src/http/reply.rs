//! What is asked and what is answered, without the details of HTTP.

use bytes::Bytes;

/// A request, as far as the routes care; any method is welcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// What stands after `?`.
    pub query: String,
    /// Whether the answer may be compressed.
    pub accepts_gzip: bool,
}

impl Asked {
    /// The number that the query gives for `key`.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    /// A text, sent as it is.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let body = Bytes::from(text.into());
        Self { status, content_type: "text/plain; charset=utf-8", headers: Vec::new(), body }
    }

    /// An error as Go's `http.Error` sends it: the text with a newline, and no guessing of its type.
    pub fn error(status: u16, text: &str) -> Self {
        Self::text(status, format!("{text}\n")).with_header("x-content-type-options", "nosniff")
    }

    /// What an unknown path gets.
    pub fn not_found() -> Self {
        Self::error(404, "404 page not found")
    }

    /// Another content type.
    #[must_use]
    pub fn with_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// One more header; the name in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
