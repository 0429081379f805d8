//! Types, required members, choices and formats.

use serde_json::Value;
use snapshot_api::crd::{QUANTITY, Schema, Shape};

use super::{join, quantity};
use crate::api::failure::Cause;

/// Checks the shape of a value at `path`; `root` is where the checked part begins, which messages leave out.
pub(super) fn check(schema: &Schema, value: &Value, path: &str, root: &str, causes: &mut Vec<Cause>) {
    let place = Place { path, root };
    match (&schema.shape, value) {
        (Shape::Metadata, _) | (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => {}
        (Shape::Object(members), Value::Object(fields)) => {
            for member in members {
                let path = join(path, member.name);
                match fields.get(member.name) {
                    Some(field) => check(&member.schema, field, &path, root, causes),
                    None if member.required => causes.push(Cause::required(&path, "")),
                    None => {}
                }
            }
        }
        (Shape::Texts, Value::Object(fields)) => {
            for (name, field) in fields.iter().filter(|(_, field)| !field.is_string()) {
                let path = join(path, name);
                causes.push(Place { path: &path, root }.mistyped(field, "string"));
            }
        }
        (Shape::List(items), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                check(items, value, &format!("{path}[{index}]"), root, causes);
            }
        }
        (Shape::Choice(texts), Value::String(text)) => {
            if !texts.contains(&text.as_str()) {
                causes.push(Cause::unsupported(path, text, texts));
            }
        }
        (Shape::Time, Value::String(text)) => {
            if text.parse::<jiff::Timestamp>().is_err() {
                causes.push(place.no_time(text));
            }
        }
        (Shape::Quantity, Value::String(text)) => {
            if !quantity::is_quantity(text) {
                let hint = format!("{} in body should match '{QUANTITY}'", place.shown());
                causes.push(Cause::invalid(path, value, &hint));
            }
        }
        (Shape::Quantity, Value::Number(number)) if number.is_i64() => {}
        (Shape::Quantity, _) => causes.push(place.mistyped(value, "integer,string")),
        (Shape::Integer { minimum }, Value::Number(number)) if number.is_i64() => {
            if let Some(minimum) = minimum.filter(|minimum| number.as_i64() < Some(*minimum)) {
                let hint = format!("{} in body should be greater than or equal to {minimum}", place.shown());
                causes.push(Cause::invalid(path, value, &hint));
            }
        }
        (shape, _) => causes.push(place.mistyped(value, shape.type_name())),
    }
}

/// A place in an object, for messages.
struct Place<'a> {
    path: &'a str,
    root: &'a str,
}

impl Place<'_> {
    /// The path from where the checked part begins.
    fn shown(&self) -> &str {
        let rest = self.path.strip_prefix(self.root).unwrap_or(self.path);
        rest.strip_prefix('.').unwrap_or(rest)
    }

    fn mistyped(&self, value: &Value, wanted: &str) -> Cause {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.wrong_type(found, wanted)
    }

    fn no_time(&self, text: &str) -> Cause {
        self.wrong_type(text, "date-time")
    }

    fn wrong_type(&self, found: &str, wanted: &str) -> Cause {
        let hint = format!("{} in body must be of type {wanted}: {found:?}", self.shown());
        Cause { reason: "FieldValueTypeInvalid", ..Cause::invalid(self.path, &found.into(), &hint) }
    }
}
