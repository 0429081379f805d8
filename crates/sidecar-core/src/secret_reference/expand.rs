//! `${token}` expansion with the meaning of Go's `os.Expand`, which secret templates of classes rely on.
//!
//! The corners matter because templates are user input that already works with upstream: `$name` without braces is a
//! token too, `${}` and an unterminated `${` vanish, and a `$` before anything else stays.

/// Replaces every token of `template` by what `lookup` answers for it.
pub(super) fn expand(template: &str, mut lookup: impl FnMut(&str) -> String) -> String {
    let mut output = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        output.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        let (token, length) = token(after);
        match token {
            Token::Name(name) => output.push_str(&lookup(name)),
            Token::Nothing => {}
            Token::Dollar => output.push('$'),
        }
        rest = after.get(length..).unwrap_or_default();
    }
    output.push_str(rest);
    output
}

/// What a `$` introduces.
enum Token<'a> {
    /// A token to look up.
    Name(&'a str),
    /// Bad syntax that is swallowed.
    Nothing,
    /// A plain dollar sign.
    Dollar,
}

/// The token at the start of `text` (the part behind the `$`) and how many bytes of it are used up.
fn token(text: &str) -> (Token<'_>, usize) {
    let Some(first) = text.bytes().next() else {
        return (Token::Dollar, 0);
    };
    if first == b'{' {
        return braced(text);
    }
    if is_special(first) {
        return (Token::Name(text.get(..1).unwrap_or_default()), 1);
    }
    let length = text.bytes().take_while(|&byte| byte == b'_' || byte.is_ascii_alphanumeric()).count();
    match length {
        0 => (Token::Dollar, 0),
        _ => (Token::Name(text.get(..length).unwrap_or_default()), length),
    }
}

/// A token in braces; `text` starts with the opening one.
fn braced(text: &str) -> (Token<'_>, usize) {
    match text.find('}') {
        // `${}` is dropped whole.
        Some(1) => (Token::Nothing, 2),
        Some(end) => (Token::Name(text.get(1..end).unwrap_or_default()), end + 1),
        // Unterminated: only the opening is dropped.
        None => (Token::Nothing, 1),
    }
}

/// The one-character shell variables.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'#' | b'$' | b'@' | b'!' | b'?' | b'-') || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(template: &str) -> String {
        expand(template, |token| format!("<{token}>"))
    }

    #[test]
    fn tokens_with_and_without_braces() {
        assert_eq!(marked("a-${pvc.name}-b"), "a-<pvc.name>-b");
        assert_eq!(marked("$name.rest"), "<name>.rest");
        assert_eq!(marked("${pvc.annotations['a.b/c']}"), "<pvc.annotations['a.b/c']>");
        assert_eq!(marked("plain"), "plain");
        assert_eq!(marked(""), "");
    }

    #[test]
    fn special_characters_are_tokens() {
        for special in ["*", "#", "$", "@", "!", "?", "-", "0", "9"] {
            assert_eq!(marked(&format!("x${special}y")), format!("x<{special}>y"));
        }
        assert_eq!(marked("$1a"), "<1>a", "a digit is a token of one character");
    }

    #[test]
    fn bad_syntax_is_swallowed_and_other_dollars_stay() {
        assert_eq!(marked("a${}b"), "ab");
        assert_eq!(marked("a${b"), "ab");
        assert_eq!(marked("a$"), "a$");
        assert_eq!(marked("a$.b"), "a$.b");
        assert_eq!(marked("a$ü"), "a$ü");
    }
}
