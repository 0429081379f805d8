//! The pattern of quantities, by hand: the testkit has no other use for regular expressions.

const SUFFIXES: &[&str] =
    &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n", "u", "m", "k", "M", "G", "T", "P", "E"];

/// Whether the API server takes `text` for a quantity: a decimal number with a suffix or an exponent.
pub(super) fn is_quantity(text: &str) -> bool {
    let unsigned = unsigned(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, rest) = unsigned.split_at(end);
    is_decimal(number) && (SUFFIXES.contains(&rest) || is_exponent(rest))
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_decimal(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.')
        && text.chars().any(|c| c.is_ascii_digit())
        && text.matches('.').count() <= 1
}

fn is_exponent(text: &str) -> bool {
    text.strip_prefix(['e', 'E']).is_some_and(|power| is_decimal(unsigned(power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_from_other_texts() {
        for text in ["0", "1Gi", "1000", "+1.5M", "-.5", "5.", "1e3", "1E-3", "1E", "100m"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "Gi", ".", "1.2.3", "12x", "1Gib", "1e", "- 1", "1 Gi", "+-1"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
