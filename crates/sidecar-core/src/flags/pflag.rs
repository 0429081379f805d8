//! The `pflag` package: long names with two dashes, one-letter names in clusters, words that are no flags anywhere.
//!
//! The only one-letter names are `-v` and `-h`.

use super::reader::{Reader, Stop};
use super::table::Flag;
use crate::go_text::quote;

/// Reads `arguments` (without the program's name).
pub(super) fn read(reader: &mut Reader<'_>, arguments: &[String]) -> Result<(), Stop> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if let Some(name) = argument.strip_prefix("--") {
            read_long(reader, argument, name, &mut rest)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            read_letters(reader, letters, &mut rest)?;
        } else {
            reader.positional.push(argument.clone());
        }
    }
    reader.positional.extend(rest.cloned());
    Ok(())
}

fn read_long(
    reader: &mut Reader<'_>,
    argument: &str,
    name: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), Stop> {
    if name.starts_with(['-', '=']) {
        return Err(Stop::Bad(format!("bad flag syntax: {argument}")));
    }
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let table = reader.table;
    let Some(flag) = table.find(name) else {
        return Err(if name == "help" { Stop::Help } else { Stop::Bad(format!("unknown flag: --{name}")) });
    };
    let text = match value {
        Some(value) => value,
        None if flag.kind.is_switch() => "true",
        None => rest.next().ok_or_else(|| Stop::Bad(format!("flag needs an argument: --{name}")))?,
    };
    set(reader, flag, text)
}

/// A cluster of one-letter flags; the last one may carry its value: `-v5`, `-v=5`, `-v 5`.
fn read_letters(
    reader: &mut Reader<'_>,
    letters: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), Stop> {
    let mut characters = letters.chars();
    let Some(letter) = characters.next() else { return Ok(()) };
    let after = characters.as_str();
    let table = reader.table;
    let mut name = [0; 4];
    let Some(flag) = table.find(letter.encode_utf8(&mut name)) else {
        return Err(if letter == 'h' {
            Stop::Help
        } else {
            // A rune beyond ASCII is cut to its first byte, as pflag does.
            let shown = char::from(letters.as_bytes().first().copied().unwrap_or_default());
            Stop::Bad(format!("unknown shorthand flag: '{shown}' in -{letters}"))
        });
    };
    // `-v=` is not an empty value: pflag looks for `=` only where something follows it.
    let text = match after.strip_prefix('=').filter(|value| !value.is_empty()) {
        Some(value) => value,
        None if !after.is_empty() => after,
        None => rest
            .next()
            .ok_or_else(|| Stop::Bad(format!("flag needs an argument: '{letter}' in -{letters}")))?,
    };
    set(reader, flag, text)
}

fn set(reader: &mut Reader<'_>, flag: &Flag, text: &str) -> Result<(), Stop> {
    let name =
        if flag.name.len() == 1 { format!("-{0}, --{0}", flag.name) } else { format!("--{}", flag.name) };
    reader
        .set(flag, text)
        .map_err(|error| Stop::Bad(format!("invalid argument {} for \"{name}\" flag: {error}", quote(text))))
}
