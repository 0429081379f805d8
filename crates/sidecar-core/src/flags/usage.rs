//! `--help`, in the form of the Go package that the binary uses upstream, and the same table as a clap command for
//! man pages and completions.

use std::fmt::Write as _;

use super::table::Mode;
use super::table::{Flag, Origin, Table};
use super::{Binary, Dialect, Kind};
use crate::duration;
use crate::go_text::quote;

/// The text of `--help`, ending in a newline.
pub(super) fn usage(table: &Table, dialect: Dialect, program: &str) -> String {
    let mut text = format!("Usage of {program}:\n");
    let lines: Vec<(String, String)> = table.flags().iter().map(|flag| describe(flag, dialect)).collect();
    let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    for (left, help) in lines {
        let _cannot_fail = match dialect {
            Dialect::Flag => writeln!(text, "  {left}\n    \t{help}"),
            Dialect::Pflag | Dialect::Union => writeln!(text, "{left:width$}   {help}"),
        };
    }
    text
}

fn describe(flag: &Flag, dialect: Dialect) -> (String, String) {
    let name = &flag.name;
    let dashes = match dialect {
        Dialect::Flag => format!("-{name}"),
        Dialect::Pflag | Dialect::Union if name.len() == 1 => format!("  -{name}, --{name}"),
        Dialect::Pflag | Dialect::Union => format!("      --{name}"),
    };
    let label = flag.kind.label();
    let left = if label.is_empty() { dashes } else { format!("{dashes} {label}") };
    (left, help(flag))
}

/// The help with the default, unless that is the type's zero.
fn help(flag: &Flag) -> String {
    let default = match flag.kind {
        Kind::Duration => duration::parse(flag.default).map(duration::format).unwrap_or_default(),
        Kind::Text if !flag.default.is_empty() => quote(flag.default),
        _ => flag.default.to_owned(),
    };
    let mut text = flag.help.to_owned();
    if !flag.note.is_empty() {
        let _cannot_fail = write!(text, " {}", flag.note);
    }
    if !matches!(default.as_str(), "" | "0" | "0s" | "false") {
        let _cannot_fail = write!(text, " (default {default})");
    }
    text
}

/// The flags of `binary` as a clap command, for man pages and shell completions. It is not what reads the command line.
pub fn command(binary: Binary) -> clap::Command {
    let arguments = Table::of(binary, Mode::Documented).flags().iter().map(argument).collect::<Vec<_>>();
    clap::Command::new(binary.name())
        .about(binary.about())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(arguments)
}

fn argument(flag: &Flag) -> clap::Arg {
    let name = flag.name.to_string();
    // What has no effect is accepted, not recommended.
    let hidden = matches!(flag.origin, Origin::NoEffect(_));
    let argument = clap::Arg::new(name.clone()).help(help(flag)).hide(hidden);
    let argument = match name.chars().next() {
        Some(letter) if name.len() == 1 => argument.short(letter),
        _ => argument.long(name),
    };
    if flag.kind.is_switch() {
        return argument.action(clap::ArgAction::SetTrue);
    }
    argument.action(clap::ArgAction::Append).value_name(flag.kind.label())
}
