//! How a process ends, as a value.
//!
//! `run` functions return [`Exit`] instead of ending the process, so that a test can look at code and message, and the
//! all-in-one can restart one controller. Only [`crate::entry`] turns it into a log line and an exit code.
//! The codes are upstream's convention (sheet `common-library`, 3.1).

use std::fmt;

/// Why and with which code a process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The process's exit code.
    pub code: u8,
    /// What happened and, where it helps, what to do about it.
    pub message: String,
    /// The error behind it; logged as `err`.
    pub error: Option<String>,
    /// Further key and value pairs of the log line.
    pub details: Vec<(&'static str, String)>,
    /// Written to the pod's termination log, where upstream does so.
    pub termination: Option<String>,
    /// How the message reaches the log.
    pub style: Style,
}

/// The form of an [`Exit`]'s last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing is printed: all has been said.
    Silent,
    /// Plain text on stderr without a log header, as the Go runtime and the flag packages print.
    Plain,
    /// A structured error record: `E… "message" err="…"`.
    Structured,
    /// An unstructured error record: `E… message: error`.
    Unstructured,
    /// A fatal record: `F… message: error`.
    Fatal,
}

impl Exit {
    /// Code 0 although `run` ended early; nothing is printed.
    pub fn success() -> Self {
        Self::new(0, String::new(), Style::Silent)
    }

    /// A mistake on the command line, or what upstream answers with a Go panic: plain text, code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(2, message.into(), Style::Plain)
    }

    /// An error that ends the process with a structured record, normally with code 1.
    pub fn failure(code: u8, message: impl Into<String>) -> Self {
        Self::new(code, message.into(), Style::Structured)
    }

    /// What upstream reports through klog's `Fatal` functions, normally code 255.
    pub fn fatal(code: u8, message: impl Into<String>) -> Self {
        Self::new(code, message.into(), Style::Fatal)
    }

    /// Names the error behind it.
    #[must_use]
    pub fn because(mut self, error: impl fmt::Display) -> Self {
        self.error = Some(error.to_string());
        self
    }

    /// Adds a key and value to the log record.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((key, value.to_string()));
        self
    }

    /// Logs the message as raw text, for the lines that upstream prints without structure.
    #[must_use]
    pub fn unstructured(mut self) -> Self {
        self.style = Style::Unstructured;
        self
    }

    /// Prints nothing, because the caller has logged it already.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.style = Style::Silent;
        self
    }

    /// Also leaves `text` in the pod's termination log.
    #[must_use]
    pub fn terminating_with(mut self, text: impl Into<String>) -> Self {
        self.termination = Some(text.into());
        self
    }

    fn new(code: u8, message: String, style: Style) -> Self {
        Self { code, message, error: None, details: Vec::new(), termination: None, style }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Exit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_upstreams_code() {
        assert_eq!(Exit::success().code, 0);
        assert_eq!(Exit::usage("x").code, 2);
        assert_eq!(Exit::failure(1, "x").because("y").to_string(), "x: y");
        assert_eq!(Exit::fatal(255, "x").style, Style::Fatal);
    }
}
