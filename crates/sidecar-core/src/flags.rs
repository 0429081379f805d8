//! Command lines as Go programs read them, from one table for all binaries.
//!
//! Upstream's provisioner uses `pflag`, the others Go's `flag`; they differ in dashes, in positional arguments and in
//! every error text (sheet `common-library`, 2.5), and clap can imitate neither. So the table ([`matrix`]) feeds clap only for
//! help, man pages and completions, and an own small parser does the reading.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

use crate::quantity::Quantity;

/// A program of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binary {
    /// `csi-provisioner`
    Provisioner,
    /// `csi-attacher`
    Attacher,
    /// `csi-resizer`
    Resizer,
    /// `csi-snapshotter`
    Snapshotter,
    /// `snapshot-controller`
    SnapshotController,
    /// `snapshot-conversion-webhook`
    ConversionWebhook,
    /// `csi-node-driver-registrar`
    NodeDriverRegistrar,
    /// `livenessprobe`
    Livenessprobe,
    /// `cluster-driver-registrar`
    ClusterDriverRegistrar,
    /// `hostpathplugin`
    Hostpath,
    /// `csi-sidecars`
    AllInOne,
}

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
    values: BTreeMap<String, Value>,
    given: BTreeSet<String>,
}

impl Parsed {
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
}
