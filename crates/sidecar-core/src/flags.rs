//! Command lines as Go programs read them, from one table for all binaries.
//!
//! Upstream's provisioner uses `pflag`, the others Go's `flag`; they differ in dashes, in positional arguments and in
//! every error text (sheet `common-library`, 2.5), and clap can imitate neither. So the table ([`matrix`]) feeds clap only for
//! help, man pages and completions, and an own small parser does the reading.

mod additions;
mod all_in_one;
mod binary;
mod environment;
mod go_flag;
mod kind;
mod matrix;
mod number;
pub mod pending;
mod pflag;
mod reader;
mod table;
mod union;
mod usage;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

pub use binary::Binary;
pub use kind::Kind;
pub use table::{Flag, Mode, Origin, Table};
pub use usage::command;

use crate::context::Variables;
use crate::exit::{Exit, Style};
use crate::quantity::Quantity;
use reader::{Reader, Stop};

/// The rules by which a command line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Go's standard `flag` package.
    Flag,
    /// `pflag`, merged with a Go flag set.
    Pflag,
    /// The union of both, without positional arguments (sheet `all-in-one`, 2.1).
    Union,
}

/// The value of a flag.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool` and Go's bool functions.
    Bool(bool),
    /// Signed integers.
    Int(i64),
    /// Unsigned integers and the log verbosity.
    Uint(u64),
    /// Floats of both widths.
    Float(f64),
    /// Durations.
    Duration(SignedDuration),
    /// Texts.
    Text(String),
    /// Kubernetes quantities.
    Quantity(Quantity),
    /// Feature gates.
    Gates(BTreeMap<String, bool>),
    /// `key:value` lists, and the hostpath driver's capacities.
    Labels(BTreeMap<String, String>),
    /// `pattern=N` lists.
    Vmodule(Vec<(String, u32)>),
    /// Lists of texts.
    List(Vec<String>),
}

/// A command line that has been read: every flag of the binary has its value, given or default.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The program whose flags these are.
    pub binary: Binary,
    /// `argv[0]` as invoked.
    pub program: String,
    /// What the user should be told about the flags that were used.
    pub notices: Vec<Notice>,
    /// Words that are no flags; upstream ignores them.
    pub positional: Vec<String>,
    values: BTreeMap<String, Value>,
    given: BTreeSet<String>,
    occurrences: Vec<(String, String)>,
}

/// Something to tell about a flag that was used, once, when logging works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Another name for an option.
    Alias {
        /// The name used.
        option: String,
        /// The name upstream knows.
        instead: String,
    },
    /// Accepted, but without effect.
    NoEffect {
        /// The name used.
        option: String,
        /// Why it has none.
        reason: &'static str,
    },
    /// An environment variable took the place of a flag.
    Variable {
        /// The variable.
        name: &'static str,
        /// The flag.
        option: &'static str,
    },
}

/// Reads a command line: `arguments` without the program's name, which is `program` as invoked.
///
/// The error is a finished [`Exit`]: help with code 0, a mistake with code 2 in the words of the Go package that the
/// binary uses upstream, a bad environment variable with code 1.
pub fn parse(
    binary: Binary,
    program: &str,
    arguments: &[String],
    variables: &Variables,
) -> Result<Parsed, Exit> {
    let table = Table::of(binary, Mode::Documented);
    let (reader, outcome) = read(binary, &table, arguments);
    if reader.values.get(additions::STRICT) == Some(&Value::Bool(true)) {
        let table = Table::of(binary, Mode::UpstreamOnly);
        let (reader, outcome) = read(binary, &table, arguments);
        outcome.map_err(|stop| stopped(stop, &table, binary, program))?;
        let mut parsed = Parsed::from_reader(reader, binary, program);
        environment::apply(&mut parsed, variables, Mode::UpstreamOnly)?;
        return Ok(parsed);
    }
    outcome.map_err(|stop| stopped(stop, &table, binary, program))?;
    let mut parsed = Parsed::from_reader(reader, binary, program);
    environment::apply(&mut parsed, variables, Mode::Documented)?;
    Ok(parsed)
}

fn read<'a>(binary: Binary, table: &'a Table, arguments: &[String]) -> (Reader<'a>, Result<(), Stop>) {
    let dialect = binary.dialect();
    let mut reader = Reader::new(table, dialect);
    let outcome = match dialect {
        Dialect::Flag => go_flag::read(&mut reader, arguments),
        Dialect::Pflag => pflag::read(&mut reader, arguments),
        Dialect::Union => union::read(&mut reader, arguments),
    };
    reader.finish_gates();
    (reader, outcome)
}

/// The text around a mistake: Go's `flag` names it before the usage, `pflag` after it.
fn stopped(stop: Stop, table: &Table, binary: Binary, program: &str) -> Exit {
    let usage = usage::usage(table, binary.dialect(), program);
    match (stop, binary.dialect()) {
        (Stop::Help, _) => Exit { code: 0, style: Style::Plain, ..Exit::usage(usage) },
        (Stop::Bad(mistake), Dialect::Flag) => Exit::usage(format!("{mistake}\n{usage}")),
        (Stop::Bad(mistake), Dialect::Pflag) => Exit::usage(format!("{usage}{mistake}\n")),
        (Stop::Bad(mistake), Dialect::Union) => {
            Exit::usage(format!("{mistake}\nSee --help for the flags.\n"))
        }
    }
}

impl Parsed {
    fn from_reader(reader: Reader<'_>, binary: Binary, program: &str) -> Self {
        Self {
            binary,
            program: program.to_owned(),
            notices: reader.notices,
            positional: reader.positional,
            values: reader.values,
            given: reader.given,
            occurrences: reader.occurrences,
        }
    }

    /// Every flag with its value, by name; for `/flagz`.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Every flag as it was given, in order, before defaults, aliases and variables.
    pub fn occurrences(&self) -> &[(String, String)] {
        &self.occurrences
    }

    /// Whether the flag was on the command line (or came from its environment variable).
    pub fn is_set(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// A flag's value; `None` if the binary has no such flag.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A text; empty if the binary has no such flag.
    pub fn string(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// A bool; false if the binary has no such flag.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    /// A signed integer; 0 if the binary has no such flag.
    pub fn int(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Int(number)) => *number,
            Some(Value::Uint(number)) => i64::try_from(*number).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// An unsigned integer; negative values of signed flags give 0, and so does a flag that the binary lacks.
    pub fn uint(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Uint(number)) => *number,
            Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// A float; 0 if the binary has no such flag.
    pub fn float(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Float(number)) => *number,
            _ => 0.0,
        }
    }

    /// A duration, negative ones cut to zero: as a deadline both have passed already.
    pub fn duration(&self, name: &str) -> Duration {
        Duration::try_from(self.signed_duration(name)).unwrap_or(Duration::ZERO)
    }

    /// A duration as given; zero if the binary has no such flag.
    pub fn signed_duration(&self, name: &str) -> SignedDuration {
        match self.value(name) {
            Some(Value::Duration(duration)) => *duration,
            _ => SignedDuration::ZERO,
        }
    }

    /// `Name=bool` pairs; empty if the binary has no such flag.
    pub fn gates(&self, name: &str) -> BTreeMap<String, bool> {
        match self.value(name) {
            Some(Value::Gates(gates)) => gates.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// `key:value` pairs; empty if the binary has no such flag.
    pub fn labels(&self, name: &str) -> BTreeMap<String, String> {
        match self.value(name) {
            Some(Value::Labels(labels)) => labels.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// A list of texts; empty if the binary has no such flag.
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// `pattern=N` pairs; empty if the binary has no such flag.
    pub fn vmodule(&self, name: &str) -> &[(String, u32)] {
        match self.value(name) {
            Some(Value::Vmodule(patterns)) => patterns,
            _ => &[],
        }
    }
}

impl std::fmt::Display for Value {
    /// As Go prints the value of a flag.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn join<T>(items: impl IntoIterator<Item = T>, print: impl Fn(T) -> String) -> String {
            items.into_iter().map(print).collect::<Vec<_>>().join(",")
        }
        match self {
            Self::Bool(on) => write!(f, "{on}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Uint(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&crate::metrics::go_float(*number)),
            Self::Duration(duration) => f.write_str(&crate::duration::format(*duration)),
            Self::Text(text) => f.write_str(text),
            Self::Quantity(quantity) => write!(f, "{quantity}"),
            Self::Gates(gates) => f.write_str(&join(gates, |(name, on)| format!("{name}={on}"))),
            Self::Labels(labels) => f.write_str(&join(labels, |(key, value)| format!("{key}:{value}"))),
            Self::Vmodule(patterns) => {
                f.write_str(&join(patterns, |(pattern, level)| format!("{pattern}={level}")))
            }
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}
