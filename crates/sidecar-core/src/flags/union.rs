//! The all-in-one's dialect: what either Go package accepts, without positional arguments.
//!
//! Upstream ignores stray words, so `--leader-election false` silently means true; here they are an error that names
//! them (sheet `all-in-one`, 2.1).

use super::number::parse_uint31;
use super::reader::{Reader, Stop};
use crate::go_text::quote;

/// Reads `arguments` (without the program's name).
pub(super) fn read(reader: &mut Reader<'_>, arguments: &[String]) -> Result<(), Stop> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        match name {
            Some(name) if !name.is_empty() => read_flag(reader, argument, name, &mut rest)?,
            _ => return Err(unexpected(argument)),
        }
    }
    Ok(())
}

fn read_flag(
    reader: &mut Reader<'_>,
    argument: &str,
    name: &str,
    rest: &mut std::slice::Iter<'_, String>,
) -> Result<(), Stop> {
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let table = reader.table;
    let (flag, value) = match (table.find(name), name.strip_prefix('v')) {
        (Some(flag), _) => (flag, value),
        (None, Some(level)) if value.is_none() && parse_uint31(level).is_ok() => {
            let Some(flag) = table.find("v") else { return Err(unknown(argument)) };
            (flag, Some(level))
        }
        (None, _) if matches!(name, "h" | "help") => return Err(Stop::Help),
        (None, _) => return Err(unknown(argument)),
    };
    let text = match value {
        Some(value) => value,
        None if flag.kind.is_switch() => "true",
        None => rest.next().ok_or_else(|| Stop::Bad(format!("flag needs an argument: --{name}")))?,
    };
    reader
        .set(flag, text)
        .map_err(|error| Stop::Bad(format!("invalid value {} for flag --{name}: {error}", quote(text))))
}

fn unknown(argument: &str) -> Stop {
    let name = argument.split('=').next().unwrap_or(argument);
    Stop::Bad(format!("unknown flag: {name} (no controller has it)"))
}

fn unexpected(argument: &str) -> Stop {
    Stop::Bad(format!(
        "unexpected argument {}: every argument must be a flag, and a bool takes its value after =, as in --flag=false",
        quote(argument)
    ))
}
