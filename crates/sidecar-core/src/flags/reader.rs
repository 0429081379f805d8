//! The state of reading a command line, common to all dialects: which flag has which value so far.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Texts;
use super::table::{Flag, Origin, Table};
use super::{Dialect, Notice, Value};

/// Why reading ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Help was asked for.
    Help,
    /// A mistake; the dialect decides on the text around it.
    Bad(String),
}

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) table: &'a Table,
    dialect: Dialect,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) given: BTreeSet<String>,
    /// Every occurrence as `(name, text)`, in order.
    pub(super) occurrences: Vec<(String, String)>,
    pub(super) positional: Vec<String>,
    pub(super) notices: Vec<Notice>,
    gates: BTreeMap<String, bool>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table, dialect: Dialect) -> Self {
        let canonical = table.flags().iter().filter(|flag| flag.holds_value());
        let values =
            canonical.map(|flag| (flag.name.to_string(), flag.kind.default_value(flag.default))).collect();
        Self {
            table,
            dialect,
            values,
            given: BTreeSet::new(),
            occurrences: Vec::new(),
            positional: Vec::new(),
            notices: Vec::new(),
            gates: BTreeMap::new(),
        }
    }

    /// Takes one occurrence of a flag; the error is the reason in the dialect's words.
    pub(super) fn set(&mut self, flag: &Flag, text: &str) -> Result<(), String> {
        self.occurrences.push((flag.name.to_string(), text.to_owned()));
        match flag.origin {
            Origin::Own | Origin::Shared | Origin::Ours => self.assign(flag, text),
            Origin::Same(target) => self.assign_to(target, text),
            Origin::Alias(target) => {
                self.assign_to(target, text)?;
                self.notice(Notice::Alias { option: flag.name.to_string(), instead: target.to_owned() });
                Ok(())
            }
            Origin::Gate(gate) => {
                let value = flag.kind.read(text, None, self.texts(flag))?;
                self.gates.insert(gate.to_owned(), value == Value::Bool(true));
                self.notice(Notice::Alias {
                    option: flag.name.to_string(),
                    instead: format!("feature-gates={gate}="),
                });
                Ok(())
            }
            Origin::NoEffect(reason) => {
                flag.kind.read(text, None, self.texts(flag))?;
                self.notice(Notice::NoEffect { option: flag.name.to_string(), reason });
                Ok(())
            }
        }
    }

    /// Feature gates that were given in another spelling count unless `--feature-gates` says otherwise.
    pub(super) fn finish_gates(&mut self) {
        let Some(Value::Gates(gates)) = self.values.get_mut("feature-gates") else { return };
        for (gate, on) in std::mem::take(&mut self.gates) {
            gates.entry(gate).or_insert(on);
            self.given.insert("feature-gates".to_owned());
        }
    }

    fn assign_to(&mut self, target: &str, text: &str) -> Result<(), String> {
        let table = self.table;
        match table.find(target) {
            Some(flag) => self.assign(flag, text),
            None => Err(format!("no flag {target}")),
        }
    }

    fn assign(&mut self, flag: &Flag, text: &str) -> Result<(), String> {
        let name = flag.name.as_ref();
        let before = if self.given.contains(name) { self.values.get(name) } else { None };
        let value = flag.kind.read(text, before, self.texts(flag))?;
        self.values.insert(name.to_owned(), value);
        self.given.insert(name.to_owned());
        Ok(())
    }

    /// The provisioner merges the shared flags from a Go flag set, so these keep Go's short texts.
    fn texts(&self, flag: &Flag) -> Texts {
        match self.dialect {
            Dialect::Flag | Dialect::Union => Texts::GoFlag,
            Dialect::Pflag if flag.origin == Origin::Shared => Texts::GoFlag,
            Dialect::Pflag => Texts::Pflag,
        }
    }

    fn notice(&mut self, notice: Notice) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}
