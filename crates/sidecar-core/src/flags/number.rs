//! Numbers and bools as Go's `strconv` reads them: base prefixes, underscores, Go's bool words.

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// Not a number.
    Syntax,
    /// A number that does not fit.
    Range,
}

impl NumberError {
    /// The last part of a `strconv.NumError`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Syntax => "invalid syntax",
            Self::Range => "value out of range",
        }
    }
}

/// `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, NumberError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(NumberError::Syntax),
    }
}

/// `strconv.ParseInt(text, 0, 64)`.
pub(crate) fn parse_int(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = i128::from(parse_uint(digits)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| NumberError::Range)
}

/// `strconv.ParseUint(text, 0, 64)`.
pub(crate) fn parse_uint(text: &str) -> Result<u64, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix, prefixed) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16, true)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2, true)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.strip_prefix('0').unwrap_or(&lower), 8, true)
    } else {
        (lower.as_str(), 10, false)
    };
    if !underscores_separate_digits(digits, prefixed) {
        return Err(NumberError::Syntax);
    }
    parse_digits(&digits.replace('_', ""), radix)
}

/// `strconv.ParseUint(text, 10, 31)`.
pub(crate) fn parse_uint31(text: &str) -> Result<u64, NumberError> {
    parse_digits(text, 10)
        .and_then(|number| if number < 1 << 31 { Ok(number) } else { Err(NumberError::Range) })
}

/// `strconv.ParseFloat(text, 64)`, or 32 bits wide. Hexadecimal floats are not supported.
pub(crate) fn parse_float(text: &str, narrow: bool) -> Result<f64, NumberError> {
    let number = if narrow {
        text.parse::<f32>().map(f64::from).map_err(|_| NumberError::Syntax)?
    } else {
        text.parse::<f64>().map_err(|_| NumberError::Syntax)?
    };
    let says_infinity = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i'));
    if number.is_infinite() && !says_infinity { Err(NumberError::Range) } else { Ok(number) }
}

/// Digits only; Rust's own parser would also take a sign.
fn parse_digits(digits: &str, radix: u32) -> Result<u64, NumberError> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(NumberError::Syntax);
    }
    u64::from_str_radix(digits, radix).map_err(|_| NumberError::Range)
}

/// Underscores may stand between digits, or between a base prefix and a digit.
fn underscores_separate_digits(digits: &str, prefixed: bool) -> bool {
    let allowed_start = prefixed || !digits.starts_with('_');
    allowed_start
        && !digits.ends_with('_')
        && !digits.contains("__")
        && (prefixed || !digits.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_know_base_prefixes_and_underscores() {
        let good = [("0", 0), ("-5", -5), ("+7", 7), ("0x10", 16), ("0b11", 3), ("0o17", 15), ("017", 15)];
        for (text, number) in good {
            assert_eq!(parse_int(text), Ok(number), "{text}");
        }
        for (text, number) in [("1_000", 1000), ("0x_ff", 255), ("0_7", 7), ("-0X1F", -31)] {
            assert_eq!(parse_int(text), Ok(number), "{text}");
        }
        for text in ["", "-", "x", "1__0", "_1", "1_", "08", "0x", "1.5", " 1", "--1", "0x-1"] {
            assert_eq!(parse_int(text), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(parse_int("9223372036854775808"), Err(NumberError::Range));
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_uint("-1"), Err(NumberError::Syntax));
        assert_eq!(parse_uint("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_uint("18446744073709551616"), Err(NumberError::Range));
    }

    #[test]
    fn verbosity_is_decimal_and_fits_31_bits() {
        assert_eq!(parse_uint31("2147483647"), Ok(2_147_483_647));
        assert_eq!(parse_uint31("2147483648"), Err(NumberError::Range));
        for text in ["0x10", "-1", "+1", "1_0", ""] {
            assert_eq!(parse_uint31(text), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(parse_uint31("007"), Ok(7));
    }

    #[test]
    fn floats_and_bools_are_gos() {
        for (text, number) in [("5", 5.0), ("5.0", 5.0), ("1e2", 100.0), ("-.5", -0.5), ("5.", 5.0)] {
            assert_eq!(parse_float(text, false), Ok(number), "{text}");
        }
        assert_eq!(parse_float("1e400", false), Err(NumberError::Range));
        assert_eq!(parse_float("1e39", true), Err(NumberError::Range));
        assert_eq!(parse_float("Inf", false), Ok(f64::INFINITY));
        assert_eq!(parse_float("x", false), Err(NumberError::Syntax));
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("FALSE"), Ok(false));
        assert_eq!(parse_bool("yes"), Err(NumberError::Syntax));
    }
}
