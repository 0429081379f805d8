//! Go's durations, exactly: the grammar of `time.ParseDuration` and the text of `Duration.String`.
//!
//! Flags, messages and `--help` show durations in this form. No published crate has the same grammar (rust-facts A.5).
//! A value is a signed number of nanoseconds in 64 bits, as in Go.

use std::fmt::Write as _;

use jiff::SignedDuration;

/// Why a text is no duration, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units, or out of range.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit, other than a bare `0`.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit that Go does not know; days are one of them.
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// The text between two numbers.
        unit: String,
        /// The whole input.
        text: String,
    },
}

/// Reads a duration such as `1m30s`, `-1.5h`, `500ms` or `0`.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_part(rest, text)?;
        total = total.checked_add(nanos).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
        rest = after;
    }
    let signed = if negative { i128::from(total).checked_neg() } else { Some(i128::from(total)) };
    signed.and_then(|nanos| i64::try_from(nanos).ok()).map(SignedDuration::from_nanos).ok_or_else(invalid)
}

/// Reads one number with its unit; gives its nanoseconds and what follows it.
fn parse_part<'a>(part: &'a str, text: &str) -> Result<(u64, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (whole_digits, rest) = split_digits(part);
    let (fraction_digits, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if whole_digits.is_empty() && fraction_digits.is_empty() {
        return Err(invalid());
    }
    let whole =
        if whole_digits.is_empty() { 0 } else { whole_digits.parse::<u64>().map_err(|_| invalid())? };
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit_nanos: u64 = match unit {
        "" => return Err(DurationError::MissingUnit(text.to_owned())),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
    };
    let nanos = whole.checked_mul(unit_nanos).filter(|nanos| *nanos <= 1 << 63).ok_or_else(invalid)?;
    let nanos = nanos.checked_add(fraction_nanos(fraction_digits, unit_nanos)).ok_or_else(invalid)?;
    Ok((nanos, rest))
}

/// The digits after the point in nanoseconds, rounded towards zero by the same floating-point product as in Go.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Go"
)]
fn fraction_nanos(digits: &str, unit_nanos: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale: f64 = 1.0;
    for digit in digits.bytes().map(|byte| u64::from(byte.wrapping_sub(b'0'))) {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(digit));
        let Some(next) = next.filter(|next| *next <= 1 << 63) else { break };
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit_nanos as f64 / scale)) as u64
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Prints a duration as Go does: `1m0s`, `1h2m3.5s`, `1.5ms`, `0s`.
pub fn format(duration: SignedDuration) -> String {
    let nanos = i64::try_from(duration.as_nanos()).unwrap_or(if duration.is_negative() {
        i64::MIN
    } else {
        i64::MAX
    });
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let text = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", with_fraction(nanos, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", with_fraction(nanos, 6)),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = with_fraction(rest, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Prints a non-negative duration; longer ones than Go can express print as its longest.
pub fn format_std(duration: std::time::Duration) -> String {
    format(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}

/// `value` divided by ten to the power `digits`, without trailing zeros.
fn with_fraction(value: u64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let fraction = format!("{:0width$}", value % unit, width = digits as usize);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (value / unit).to_string() } else { format!("{}.{fraction}", value / unit) }
}

/// Quotes as the `time` package does: bytes outside printable ASCII become `\xNN`.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _cannot_fail = write!(quoted, "\\x{byte:02x}");
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table printed by Go itself.
    const UPSTREAM: &str = include_str!("../tests/data/go_durations.tsv");

    #[test]
    fn grammar_and_text_are_gos() {
        let mut rows = 0;
        for row in UPSTREAM.lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [text, nanos, printed] = columns[..] else { panic!("bad row {row:?}") };
            match parse(text) {
                Ok(duration) => {
                    assert_eq!(duration.as_nanos().to_string(), nanos, "nanoseconds of {text:?}");
                    assert_eq!(format(duration), printed, "text of {text:?}");
                }
                Err(error) => assert_eq!(error.to_string(), nanos, "error for {text:?}"),
            }
            rows += 1;
        }
        assert!(rows > 90, "{rows} rows");
    }

    proptest! {
        #[test]
        fn the_text_reads_back_as_the_same_duration(nanos: i64) {
            let duration = SignedDuration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "[-+0-9.hmsnuµ]{0,24}|.{0,8}") {
            let _either = parse(&text);
        }
    }
}
