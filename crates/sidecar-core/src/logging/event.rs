//! One event, taken apart: message, values, and the fields that steer its line.

use std::borrow::Cow;
use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};

/// Stands before a text that is JSON already.
pub(super) const RAW_MARK: char = '\u{1}';
/// Ends a key of the field `pairs`.
pub(super) const KEY_END: char = '\u{2}';
/// Ends a value of the field `pairs`.
pub(super) const VALUE_END: char = '\u{3}';

/// A value as it will be printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Printed {
    /// A text, to be quoted.
    Text(String),
    /// JSON, printed as it is.
    Json(String),
}

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) verbosity: u32,
    pub(super) unstructured: bool,
    pub(super) fatal: bool,
    pub(super) logger: Option<String>,
    /// In the order of the event's fields; of equal keys only the last is kept.
    pub(super) values: Vec<(Cow<'static, str>, Printed)>,
}

impl Said {
    /// Takes `err` out, which error records put in a place of its own.
    pub(super) fn take_error(&mut self) -> Option<Printed> {
        let index = self.values.iter().position(|(key, _)| *key == "err")?;
        Some(self.values.remove(index).1)
    }

    fn add(&mut self, field: &Field, value: Printed) {
        self.values.retain(|(key, _)| *key != field.name());
        self.values.push((field.name().into(), value));
    }

    fn add_pairs(&mut self, packed: &str) {
        let pairs = packed.split_terminator(VALUE_END).filter_map(|pair| pair.split_once(KEY_END));
        self.values
            .extend(pairs.map(|(key, value)| (key.to_owned().into(), Printed::Text(value.to_owned()))));
    }

    fn add_number(&mut self, field: &Field, number: u64, printed: String) {
        if field.name() == "v" {
            self.verbosity = u32::try_from(number).unwrap_or(u32::MAX);
        } else {
            self.add(field, Printed::Json(printed));
        }
    }

    fn add_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            "logger" => self.logger = Some(text),
            "pairs" => self.add_pairs(&text),
            // How csi-client prints the error of a call that had none.
            "err" if text == "null" => self.add(field, Printed::Json(text)),
            _ => match text.strip_prefix(RAW_MARK) {
                Some(json) => self.add(field, Printed::Json(json.to_owned())),
                None => self.add(field, Printed::Text(text)),
            },
        }
    }
}

impl Visit for Said {
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "unstructured" => self.unstructured = value,
            "fatal" => self.fatal = value,
            _ => self.add(field, Printed::Json(value.to_string())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_number(field, u64::try_from(value).unwrap_or(0), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_number(field, value, value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field, Printed::Json(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, Printed::Json(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let printed = if value.is_finite() { value.to_string() } else { "null".to_owned() };
        self.add(field, Printed::Json(printed));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add_text(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _cannot_fail = write!(text, "{value:?}");
        self.add_text(field, text);
    }
}
