//! The types that a flag can have: how each is read, with Go's error texts.

use std::collections::BTreeMap;

use super::Value;
use super::number::{NumberError, parse_bool, parse_float, parse_int, parse_uint, parse_uint31};
use crate::duration;
use crate::go_text::quote;
use crate::quantity::Quantity;

/// The type of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bool; without a value it is true.
    Bool,
    /// `--automaxprocs`: a bool whose empty value is true, too.
    BoolFunc,
    /// A signed integer of 64 bits.
    Int,
    /// An unsigned integer of 64 bits.
    Uint,
    /// The log verbosity: decimal, 0 to 2147483647.
    Uint31,
    /// A float that is kept in 32 bits.
    Float32,
    /// A float.
    Float64,
    /// A Go duration.
    Duration,
    /// Any text.
    Text,
    /// A Kubernetes quantity.
    Quantity,
    /// `Name=bool,…`; repeats merge.
    Gates,
    /// `key:value,…`; repeats merge.
    Labels,
    /// `pattern=N,…`; repeats append.
    Vmodule,
    /// `a,b,…`, trimmed; repeats append.
    List,
    /// `<kind>=<quantity>`, one per occurrence; repeats merge.
    Capacity,
}

/// Whose error texts apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// Go's `flag`: short.
    GoFlag,
    /// `pflag`: the texts of `strconv` and `time`.
    Pflag,
}

impl Kind {
    /// Whether the flag may stand without a value.
    pub(crate) fn is_switch(self) -> bool {
        matches!(self, Self::Bool | Self::BoolFunc)
    }

    /// The type's name in `--help`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Bool | Self::BoolFunc => "",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Uint31 => "Level",
            Self::Float32 | Self::Float64 => "float",
            Self::Duration => "duration",
            Self::Text => "string",
            Self::Quantity => "quantity",
            Self::Gates => "Name=bool,...",
            Self::Labels => "key:value,...",
            Self::Vmodule => "pattern=N,...",
            Self::List => "a,b,...",
            Self::Capacity => "kind=quantity",
        }
    }

    /// The value of a flag that is not given. An unreadable default gives the type's zero; a test reads all.
    pub(crate) fn default_value(self, default: &str) -> Value {
        let zero = match self {
            Self::Bool | Self::BoolFunc => Value::Bool(false),
            Self::Int => Value::Int(0),
            Self::Uint | Self::Uint31 => Value::Uint(0),
            Self::Float32 | Self::Float64 => Value::Float(0.0),
            Self::Duration => Value::Duration(jiff::SignedDuration::ZERO),
            Self::Text => Value::Text(String::new()),
            Self::Quantity => Value::Quantity(Quantity::binary(0)),
            Self::Gates => Value::Gates(BTreeMap::new()),
            Self::Labels | Self::Capacity => Value::Labels(BTreeMap::new()),
            Self::Vmodule => Value::Vmodule(Vec::new()),
            Self::List => Value::List(Vec::new()),
        };
        if default.is_empty() {
            return zero;
        }
        self.read(default, None, Texts::GoFlag).unwrap_or(zero)
    }

    /// Reads one occurrence; `before` is the value of earlier occurrences, for the types that merge.
    pub(crate) fn read(self, text: &str, before: Option<&Value>, texts: Texts) -> Result<Value, String> {
        let number = |function: &str, error: NumberError| number_error(texts, function, text, error);
        match self {
            Self::Bool => parse_bool(text).map(Value::Bool).map_err(|error| number("ParseBool", error)),
            Self::BoolFunc if text.is_empty() => Ok(Value::Bool(true)),
            Self::BoolFunc => parse_bool(text)
                .map(Value::Bool)
                .map_err(|error| number_error(Texts::Pflag, "ParseBool", text, error)),
            Self::Int => parse_int(text).map(Value::Int).map_err(|error| number("ParseInt", error)),
            Self::Uint => parse_uint(text).map(Value::Uint).map_err(|error| number("ParseUint", error)),
            Self::Uint31 => parse_uint31(text)
                .map(Value::Uint)
                .map_err(|error| number_error(Texts::Pflag, "ParseUint", text, error)),
            Self::Float32 => {
                parse_float(text, true).map(Value::Float).map_err(|error| number("ParseFloat", error))
            }
            Self::Float64 => {
                parse_float(text, false).map(Value::Float).map_err(|error| number("ParseFloat", error))
            }
            Self::Duration => duration::parse(text).map(Value::Duration).map_err(|error| match texts {
                Texts::GoFlag => "parse error".to_owned(),
                Texts::Pflag => error.to_string(),
            }),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Quantity => Quantity::parse(text).map(Value::Quantity).map_err(|error| error.to_string()),
            Self::Gates => read_gates(text, before),
            Self::Labels => read_labels(text, before),
            Self::Vmodule => read_vmodule(text, before),
            Self::List => Ok(read_list(text, before)),
            Self::Capacity => read_capacity(text, before),
        }
    }
}

fn number_error(texts: Texts, function: &str, text: &str, error: NumberError) -> String {
    match (texts, error) {
        (Texts::GoFlag, NumberError::Syntax) => "parse error".to_owned(),
        (Texts::GoFlag, NumberError::Range) => "value out of range".to_owned(),
        (Texts::Pflag, _) => format!("strconv.{function}: parsing {}: {}", quote(text), error.text()),
    }
}

fn read_gates(text: &str, before: Option<&Value>) -> Result<Value, String> {
    let mut gates = match before {
        Some(Value::Gates(gates)) => gates.clone(),
        _ => BTreeMap::new(),
    };
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("malformed pair, expect string=bool")?;
        let (name, value) = (name.trim(), value.trim());
        let on = parse_bool(value).map_err(|error| {
            let cause = number_error(Texts::Pflag, "ParseBool", value, error);
            format!("invalid value of {name}: {value}, err: {cause}")
        })?;
        gates.insert(name.to_owned(), on);
    }
    Ok(Value::Gates(gates))
}

/// Stricter than one would think: an empty list is an error, and so is a value with a colon (sheet
/// `common-library`, 2.3).
fn read_labels(text: &str, before: Option<&Value>) -> Result<Value, String> {
    let mut labels = merged_labels(before);
    for item in text.split(',') {
        let malformed = || format!("malformed item in list of labels: {item}");
        let (key, value) = item.split_once(':').ok_or_else(malformed)?;
        if value.contains(':') {
            return Err(malformed());
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(Value::Labels(labels))
}

fn read_capacity(text: &str, before: Option<&Value>) -> Result<Value, String> {
    let mut capacities = merged_labels(before);
    let (kind, size) = text.split_once('=').ok_or("must be of format <type>=<size>")?;
    Quantity::parse(size).map_err(|error| error.to_string())?;
    capacities.insert(kind.to_owned(), size.to_owned());
    Ok(Value::Labels(capacities))
}

fn merged_labels(before: Option<&Value>) -> BTreeMap<String, String> {
    match before {
        Some(Value::Labels(labels)) => labels.clone(),
        _ => BTreeMap::new(),
    }
}

fn read_vmodule(text: &str, before: Option<&Value>) -> Result<Value, String> {
    let mut patterns = match before {
        Some(Value::Vmodule(patterns)) => patterns.clone(),
        _ => Vec::new(),
    };
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let malformed = || format!("{} does not have the pattern=N format", quote(item));
        let (pattern, level) = item.split_once('=').ok_or_else(malformed)?;
        if pattern.is_empty() || level.is_empty() || level.contains('=') {
            return Err(malformed());
        }
        let level = parse_uint31(level).map_err(|error| {
            format!(
                "parsing verbosity in {}: {}",
                quote(item),
                number_error(Texts::Pflag, "ParseUint", level, error)
            )
        })?;
        patterns.push((pattern.to_owned(), u32::try_from(level).unwrap_or(u32::MAX)));
    }
    Ok(Value::Vmodule(patterns))
}

fn read_list(text: &str, before: Option<&Value>) -> Value {
    let mut items = match before {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    items.extend(text.split(',').map(|item| item.trim().to_owned()));
    Value::List(items)
}
