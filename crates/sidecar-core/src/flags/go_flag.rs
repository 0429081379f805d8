//! Go's standard `flag` package: one dash or two, reading stops at the first word that is no flag.

use super::reader::{Reader, Stop};
use crate::go_text::quote;

/// Reads `arguments` (without the program's name).
pub(super) fn read(reader: &mut Reader<'_>, arguments: &[String]) -> Result<(), Stop> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(name) = argument.strip_prefix('-').filter(|name| !name.is_empty()) else {
            reader.positional.push(argument.clone());
            break;
        };
        let name = match name.strip_prefix('-') {
            Some("") => break,
            Some(name) => name,
            None => name,
        };
        read_flag(reader, argument, name, &mut rest)?;
    }
    reader.positional.extend(rest.cloned());
    Ok(())
}

fn read_flag(
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
        if name == "help" || name == "h" {
            return Err(Stop::Help);
        }
        return Err(Stop::Bad(format!("flag provided but not defined: -{name}")));
    };
    let text = match value {
        Some(value) => value,
        None if flag.kind.is_switch() => "true",
        None => rest.next().ok_or_else(|| Stop::Bad(format!("flag needs an argument: -{name}")))?,
    };
    reader.set(flag, text).map_err(|error| {
        Stop::Bad(if flag.kind.is_switch() {
            format!("invalid boolean value {} for -{name}: {error}", quote(text))
        } else {
            format!("invalid value {} for flag -{name}: {error}", quote(text))
        })
    })
}
