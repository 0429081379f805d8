//! Kubernetes' `resource.Quantity`, exactly.
//!
//! Sizes decide what a driver is asked for, so rounding errors lose data: `1.5Gi` must be 1610612736 bytes. A quantity
//! is a whole number times a power of ten (never below nano, as upstream), with the form it was written in. Published
//! crates round (rust-facts A.5).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The smallest power of ten that is kept; smaller amounts are rounded away from zero.
const NANO: i32 = -9;
const BINARY_SUFFIXES: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// The family of suffixes in which a quantity was written and is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Ki`, `Mi`, `Gi` …
    BinarySi,
    /// `m`, none, `k`, `M`, `G` …
    DecimalSi,
    /// `e3`, `E6` …
    DecimalExponent,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix, in Kubernetes' own words.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// A suffix that is not one of Kubernetes', in its own words.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// More digits than we keep; Kubernetes itself stops being exact at 2^63.
    #[error("quantity has more digits than can be kept")]
    TooLarge,
}

/// An exact amount.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// The amount is `mantissa × 10^scale`.
    mantissa: i128,
    scale: i32,
    form: Form,
}

impl Quantity {
    /// A whole number of bytes that prints with binary suffixes.
    pub fn binary(value: i64) -> Self {
        Self { mantissa: value.into(), scale: 0, form: Form::BinarySi }
    }

    /// Reads `10Gi`, `1.5Gi`, `100m`, `1e3`, `5` …
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        // Upstream takes a missing number for zero.
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (mantissa, scale) = parse_number(number)?;
        let mantissa = if negative { -mantissa } else { mantissa };
        let (form, two, ten) = parse_suffix(suffix)?;
        let mantissa = 1_i128.checked_shl(two).and_then(|factor| mantissa.checked_mul(factor));
        let mantissa = mantissa.ok_or(QuantityError::TooLarge)?;
        Ok(Self { mantissa, scale: scale.saturating_add(ten), form }.bounded())
    }

    /// The amount in whole units, rounded away from zero, as `Quantity.Value()`. What does not fit is cut to the nearest
    /// number that does.
    pub fn value(&self) -> i64 {
        let whole = self.at_scale(0).0;
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// The form it was written in.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Rounds to nano, and caps binary amounts, as upstream's parser does.
    fn bounded(self) -> Self {
        let mut bounded = self;
        if bounded.mantissa == 0 {
            bounded.scale = 0;
        } else if bounded.scale < NANO {
            (bounded.mantissa, bounded.scale) = (bounded.at_scale(NANO).0, NANO);
        }
        if bounded.form == Form::BinarySi {
            let cap = Self { mantissa: i64::MAX.into(), scale: 0, form: Form::BinarySi };
            if bounded.absolute() > cap {
                bounded.mantissa = if bounded.mantissa < 0 { -cap.mantissa } else { cap.mantissa };
                bounded.scale = 0;
            }
            let one = Self { mantissa: 1, ..cap };
            if bounded.mantissa != 0 && bounded.absolute() < one {
                bounded.form = Form::DecimalSi;
            }
        }
        bounded
    }

    fn absolute(self) -> Self {
        Self { mantissa: self.mantissa.saturating_abs(), ..self }
    }

    /// The amount as a multiple of `10^scale`, rounded away from zero, and whether that is exact.
    fn at_scale(&self, scale: i32) -> (i128, bool) {
        let shift = self.scale.saturating_sub(scale);
        if shift >= 0 {
            let factor = power_of_ten(shift.unsigned_abs());
            let limit = if self.mantissa < 0 { i128::MIN } else { i128::MAX };
            return match factor.and_then(|factor| self.mantissa.checked_mul(factor)) {
                Some(exact) => (exact, true),
                None if self.mantissa == 0 => (0, true),
                None => (limit, false),
            };
        }
        let sign = self.mantissa.signum();
        let Some(divisor) = power_of_ten(shift.unsigned_abs()) else { return (sign, self.mantissa == 0) };
        let (quotient, rest) = (self.mantissa / divisor, self.mantissa % divisor);
        if rest == 0 { (quotient, true) } else { (quotient + sign, false) }
    }

    /// The mantissa without trailing zeros, and its power of ten.
    fn reduced(&self) -> (i128, i32) {
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale = scale.saturating_add(1);
        }
        (mantissa, scale)
    }

    fn write_binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut power) = (self.at_scale(0).0, 0_usize);
        while number % 1024 == 0 && power < BINARY_SUFFIXES.len() {
            number /= 1024;
            power += 1;
        }
        let suffix = power
            .checked_sub(1)
            .and_then(|index| BINARY_SUFFIXES.get(index))
            .map_or("", |(suffix, _)| suffix);
        write!(f, "{number}{suffix}")
    }

    fn write_decimal(&self, f: &mut fmt::Formatter<'_>, form: Form) -> fmt::Result {
        let (mantissa, scale) = self.reduced();
        let mut exponent = scale.div_euclid(3).saturating_mul(3);
        if form == Form::DecimalSi {
            exponent = exponent.min(18);
        }
        let zeros = "0".repeat(usize::try_from(scale.saturating_sub(exponent)).unwrap_or(0));
        let suffix = match form {
            Form::DecimalExponent if exponent == 0 => String::new(),
            Form::DecimalExponent => format!("e{exponent}"),
            _ => DECIMAL_SUFFIXES
                .iter()
                .find(|(_, ten)| *ten == exponent)
                .map_or("", |(suffix, _)| suffix)
                .to_owned(),
        };
        write!(f, "{mantissa}{zeros}{suffix}")
    }
}

/// Digits with at most one point, as mantissa and scale.
fn parse_number(number: &str) -> Result<(i128, i32), QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') {
        return Err(QuantityError::Format);
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let next = mantissa
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit.wrapping_sub(b'0'))));
        mantissa = next.ok_or(QuantityError::TooLarge)?;
    }
    let scale = i32::try_from(fraction.len()).map_err(|_| QuantityError::TooLarge)?;
    Ok((mantissa, -scale))
}

/// The form, power of two and power of ten that a suffix means.
fn parse_suffix(suffix: &str) -> Result<(Form, u32, i32), QuantityError> {
    if let Some((_, two)) = BINARY_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((Form::BinarySi, *two, 0));
    }
    if let Some((_, ten)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((Form::DecimalSi, 0, *ten));
    }
    let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = letters.strip_prefix(['-', '+']).unwrap_or(letters);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError::Suffix);
    }
    let ten: i32 =
        exponent.strip_prefix('+').unwrap_or(exponent).parse().map_err(|_| QuantityError::TooLarge)?;
    Ok((Form::DecimalExponent, 0, ten))
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// The canonical text of a number of bytes: `1Gi` for 1073741824, `1500` for 1500.
pub fn binary_si(value: i64) -> String {
    Quantity::binary(value).to_string()
}

impl fmt::Display for Quantity {
    /// Kubernetes' canonical form: no fraction, the largest suffix that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let (whole, exact) = self.at_scale(0);
        match self.form {
            Form::BinarySi if exact && whole.unsigned_abs() >= 1024 => self.write_binary(f),
            Form::BinarySi | Form::DecimalSi => self.write_decimal(f, Form::DecimalSi),
            Form::DecimalExponent => self.write_decimal(f, Form::DecimalExponent),
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    /// Equal amounts are equal, however they were written.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((left, left_scale), (right, right_scale)) = (self.reduced(), other.reduced());
        if left.signum() != right.signum() || left == 0 {
            return left.signum().cmp(&right.signum());
        }
        // The number of digits left of the point decides, unless it is equal; then both fit a common scale.
        let magnitude = |mantissa: i128, scale: i32| {
            i64::from(mantissa.unsigned_abs().checked_ilog10().unwrap_or(0)) + i64::from(scale)
        };
        let order = magnitude(left, left_scale).cmp(&magnitude(right, right_scale));
        let order = order.then_with(|| {
            let digits = |number: i128| number.unsigned_abs().to_string();
            let (left, right) = (digits(left), digits(right));
            let width = left.len().max(right.len());
            format!("{left:0<width$}").cmp(&format!("{right:0<width$}"))
        });
        if left < 0 { order.reverse() } else { order }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table printed by Kubernetes' own library, without the rows in which `Value` overflows or rounds a negative fraction
    /// the wrong way, compared with exact arithmetic.
    const UPSTREAM: &str = include_str!("../tests/data/go_quantities.tsv");

    #[test]
    fn parsing_value_and_canonical_text_are_upstreams() {
        let mut rows = 0;
        for row in UPSTREAM.lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [text, value, canonical] = columns[..] else { panic!("bad row {row:?}") };
            match Quantity::parse(text) {
                Ok(quantity) => {
                    assert_eq!(quantity.to_string(), canonical, "canonical text of {text:?}");
                    assert_eq!(quantity.value().to_string(), value, "value of {text:?}");
                }
                Err(error) => assert_eq!(error.to_string(), value, "error for {text:?}"),
            }
            rows += 1;
        }
        assert!(rows > 120, "{rows} rows");
    }

    #[test]
    fn what_overflows_upstream_is_cut_instead() {
        assert_eq!(Quantity::parse("1e21").unwrap().value(), i64::MAX);
        assert_eq!(Quantity::parse("-9223372036854775809").unwrap().value(), i64::MIN);
        assert_eq!(Quantity::parse("1000E").unwrap().to_string(), "1000E");
        assert_eq!(Quantity::parse(&"9".repeat(60)), Err(QuantityError::TooLarge));
    }

    #[test]
    fn amounts_compare_whatever_their_form() {
        let ordered =
            ["-1Gi", "-5", "-1m", "0", "1n", "999u", "1m", "1", "1023", "1Ki", "1500", "1e4", "1G", "1Gi"];
        let quantities: Vec<Quantity> = ordered.iter().map(|text| Quantity::parse(text).unwrap()).collect();
        for (left, small) in quantities.iter().enumerate() {
            for (right, large) in quantities.iter().enumerate() {
                assert_eq!(small.cmp(large), left.cmp(&right), "{small} and {large}");
            }
        }
        assert_eq!(Quantity::parse("1024Mi"), Quantity::parse("1Gi"));
        assert_eq!(Quantity::parse("1500m"), Quantity::parse("1.5"));
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_amount(
            mantissa in -1_000_000_000_000_i64..1_000_000_000_000,
            suffix in prop::sample::select(vec!["", "n", "u", "m", "k", "M", "Ki", "Mi", "e3", "e-6"]),
        ) {
            let quantity = Quantity::parse(&format!("{mantissa}{suffix}")).unwrap();
            let text = quantity.to_string();
            let again = Quantity::parse(&text).unwrap();
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(again.to_string(), text);
        }

        #[test]
        fn bytes_survive_their_binary_text(bytes in 0..i64::MAX) {
            prop_assert_eq!(Quantity::parse(&binary_si(bytes)).unwrap().value(), bytes);
        }

        #[test]
        fn no_text_breaks_the_parser(text in "[-+0-9.eEinumkKMGTP ]{0,24}|.{0,8}") {
            if let Ok(quantity) = Quantity::parse(&text) {
                let _value = quantity.value();
                let _text = quantity.to_string();
            }
        }
    }
}
