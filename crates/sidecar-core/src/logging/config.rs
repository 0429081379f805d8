//! The logging flags and their rules.
//!
//! The alpha options exist, but no flag can enable them: their gates are private to component-base (sheet
//! `common-library`, 2.4).

use crate::flags::{Binary, Parsed, Value};
use crate::go_text::quote;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// klog's text.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Form of the lines.
    pub format: Format,
    /// `-v`.
    pub verbosity: u32,
    /// `--vmodule`: file name patterns without `.rs`, and their verbosity.
    pub vmodule: Vec<(String, u32)>,
}

/// The logging flags contradict each other or ask for what cannot be enabled; the text is component-base's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(String);

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, verbosity: 0, vmodule: Vec::new() }
    }
}

impl Config {
    /// Reads and checks the logging flags. Binaries without `--logging-format` log text.
    pub fn from_flags(parsed: &Parsed) -> Result<Self, InvalidConfig> {
        let config = Self {
            format: if parsed.string("logging-format") == "json" { Format::Json } else { Format::Text },
            verbosity: u32::try_from(parsed.uint("v")).unwrap_or(u32::MAX),
            vmodule: parsed.vmodule("vmodule").to_vec(),
        };
        // The webhook and the hostpath driver never look at these flags.
        if matches!(parsed.binary, Binary::ConversionWebhook | Binary::Hostpath) {
            return Ok(if parsed.binary == Binary::Hostpath { config } else { Self::default() });
        }
        match faults(parsed).as_slice() {
            [] => Ok(config),
            [fault] => Err(InvalidConfig(fault.clone())),
            faults => Err(InvalidConfig(format!("[{}]", faults.join(", ")))),
        }
    }

    /// The highest verbosity that any file may log at.
    pub fn highest_verbosity(&self) -> u32 {
        self.vmodule.iter().map(|(_, level)| *level).chain([self.verbosity]).max().unwrap_or(0)
    }

    /// The verbosity of a source file, given its path: the first pattern that matches its base name, else `-v`.
    pub fn verbosity_of(&self, path: &str) -> u32 {
        if self.vmodule.is_empty() {
            return self.verbosity;
        }
        let base = path.rsplit('/').next().unwrap_or(path);
        let base = base.strip_suffix(".rs").unwrap_or(base);
        let matching = self.vmodule.iter().find(|(pattern, _)| glob_matches(pattern, base));
        matching.map_or(self.verbosity, |(_, level)| *level)
    }
}

fn faults(parsed: &Parsed) -> Vec<String> {
    let mut faults = Vec::new();
    let frequency = parsed.signed_duration("log-flush-frequency");
    if !frequency.is_positive() {
        let frequency = quote(&crate::duration::format(frequency));
        faults.push(format!("flushFrequency: Invalid value: {frequency}: Must be greater than zero"));
    }
    let format = parsed.string("logging-format");
    if !matches!(format, "text" | "json") {
        faults.push(format!("format: Invalid value: {}: Unsupported log format", quote(format)));
    }
    if !parsed.vmodule("vmodule").is_empty() && !matches!(format, "text" | "") {
        faults.push("vmodule: Forbidden: Only supported for text log format".to_owned());
    }
    for kind in ["text", "json"] {
        if parsed.bool(&format!("log-{kind}-split-stream")) {
            faults.push(format!("options.{kind}.splitStream: Forbidden: {ALPHA_DISABLED}"));
        }
        let size = parsed.value(&format!("log-{kind}-info-buffer-size"));
        if matches!(size, Some(Value::Quantity(size)) if size.value() != 0) {
            faults.push(format!("options.{kind}.infoBufferSize: Forbidden: {ALPHA_DISABLED}"));
        }
    }
    faults
}

const ALPHA_DISABLED: &str = "Feature LoggingAlphaOptions is disabled";

/// Go's `filepath.Match` without character classes: `*` for any run of characters, `?` for one.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_rest.as_str();
            let starts = text.char_indices().map(|(index, _)| index).chain([text.len()]);
            starts.into_iter().any(|start| text.get(start..).is_some_and(|tail| glob_matches(rest, tail)))
        }
        Some(wanted) => {
            let mut text_rest = text.chars();
            let fits = text_rest.next().is_some_and(|c| wanted == '?' || wanted == c);
            fits && glob_matches(pattern_rest.as_str(), text_rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vmodule_matches_base_names_and_globs() {
        let config = Config {
            vmodule: vec![("socket".to_owned(), 5), ("c*e".to_owned(), 3), ("?b".to_owned(), 2)],
            verbosity: 1,
            ..Config::default()
        };
        assert_eq!(config.verbosity_of("crates/csi-client/src/connection/socket.rs"), 5);
        assert_eq!(config.verbosity_of("src/cache.rs"), 3);
        assert_eq!(config.verbosity_of("src/ab.rs"), 2);
        assert_eq!(config.verbosity_of("src/sockets.rs"), 1);
        assert_eq!(config.highest_verbosity(), 5);
    }
}
