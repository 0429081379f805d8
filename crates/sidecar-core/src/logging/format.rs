//! The two line formats.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::Level;

use super::event::{Printed, Said};
use crate::go_text::quote_into;

/// Where an event comes from and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) level: Level,
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) time: Timestamp,
    pub(super) pid: u32,
}

/// klog's text: `I1121 05:09:10.530784   30736 main.go:180] "message" key="value"`.
pub(super) fn text(out: &mut String, origin: &Origin<'_>, zone: &TimeZone, mut said: Said) {
    let severity = match origin.level {
        _ if said.fatal => 'F',
        Level::ERROR => 'E',
        Level::WARN => 'W',
        _ => 'I',
    };
    let time = origin.time.to_zoned(zone.clone());
    let base = origin.file.rsplit('/').next().unwrap_or(origin.file);
    let _cannot_fail = write!(
        out,
        "{severity}{:02}{:02} {:02}:{:02}:{:02}.{:06} {:>7} {base}:{}] ",
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond() / 1000,
        origin.pid,
        origin.line,
    );
    if said.unstructured {
        out.push_str(&said.message);
        let error = said.take_error();
        if let Some(Printed::Text(error) | Printed::Json(error)) = error {
            let _cannot_fail = write!(out, ": {error}");
        }
    } else {
        quote_into(out, &said.message);
        if let Some(logger) = said.logger.take() {
            pair(out, "logger", &Printed::Text(logger));
        }
        if origin.level == Level::ERROR
            && let Some(error) = said.take_error()
        {
            pair(out, "err", &error);
        }
    }
    for (key, value) in &said.values {
        pair(out, key, value);
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn pair(out: &mut String, key: &str, value: &Printed) {
    let _cannot_fail = write!(out, " {key}=");
    match value {
        Printed::Json(json) => out.push_str(json),
        Printed::Text(text) if text.contains('\n') => indent(out, text),
        Printed::Text(text) => quote_into(out, text),
    }
}

/// Text of several lines stays readable: each line behind a tab, the end marked by ` >`.
fn indent(out: &mut String, text: &str) {
    out.push_str("<\n");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let _cannot_fail = writeln!(out, "\t{line}");
    }
    out.push_str(" >");
}

/// component-base's JSON: `ts`, `logger`, `caller`, `msg`, `v` of info records, the values, `err` of error records last.
pub(super) fn json(out: &mut String, origin: &Origin<'_>, mut said: Said) {
    #[expect(clippy::cast_precision_loss, reason = "upstream prints the float, too")]
    let milliseconds = origin.time.as_nanosecond() as f64 / 1e6;
    let _cannot_fail = write!(out, "{{\"ts\":{milliseconds}");
    if let Some(logger) = said.logger.take() {
        member(out, "logger", &Printed::Text(logger));
    }
    member(out, "caller", &Printed::Text(caller(origin)));
    let mut message = std::mem::take(&mut said.message);
    let is_error = origin.level == Level::ERROR && !said.fatal;
    if said.unstructured
        && let Some(Printed::Text(error) | Printed::Json(error)) = said.take_error()
    {
        message = format!("{message}: {error}");
    }
    member(out, "msg", &Printed::Text(message));
    if !is_error {
        member(out, "v", &Printed::Json(said.verbosity.to_string()));
    }
    let error = if is_error { said.take_error() } else { None };
    for (key, value) in &said.values {
        member(out, key, value);
    }
    if let Some(error) = error {
        member(out, "err", &error);
    }
    out.push_str("}\n");
}

/// `directory/file:line`; the directory `src` says nothing, so the crate's stands for it.
fn caller(origin: &Origin<'_>) -> String {
    let mut parts = origin.file.rsplit('/');
    let file = parts.next().unwrap_or(origin.file);
    let directory = parts.find(|part| *part != "src");
    match directory {
        Some(directory) => format!("{directory}/{file}:{}", origin.line),
        None => format!("{file}:{}", origin.line),
    }
}

fn member(out: &mut String, key: &str, value: &Printed) {
    out.push(',');
    json_string(out, key);
    out.push(':');
    match value {
        Printed::Json(json) => out.push_str(json),
        Printed::Text(text) => json_string(out, text),
    }
}

/// Escapes as upstream's encoder: only what JSON demands, with `\u00xx` for control characters.
fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..=' ' if c != ' ' => {
                let _cannot_fail = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
