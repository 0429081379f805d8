//! The flags of one binary, put together from the tables.

use std::borrow::Cow;

use super::{Binary, Kind, additions, all_in_one, matrix, vocabulary};

/// Which flags a command line may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Upstream's and those that documents promise.
    Documented,
    /// Upstream's alone (`--upstream-flags-only`).
    UpstreamOnly,
}

/// Where a flag comes from and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Upstream's, declared by the binary itself.
    Own,
    /// Upstream's, from a library shared by all sidecars.
    Shared,
    /// Upstream's, another name for the same variable: the later one on the command line wins.
    Same(&'static str),
    /// Not upstream's.
    Ours,
    /// Not upstream's: another name for a flag.
    Alias(&'static str),
    /// Not upstream's: another spelling of a feature gate.
    Gate(&'static str),
    /// Not upstream's: accepted without effect, for the reason given.
    NoEffect(&'static str),
}

/// One flag of one binary.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Name without dashes.
    pub name: Cow<'static, str>,
    /// Type.
    pub kind: Kind,
    /// Value when not given, in the flag's own syntax.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// What users have to know about it in this version; mostly nothing.
    pub note: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

impl Flag {
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        default: &'static str,
        help: &'static str,
        origin: Origin,
    ) -> Self {
        Self { name: name.into(), kind, default, help, note: "", origin }
    }

    /// Whether the flag has a value of its own, rather than setting another one's or nothing.
    pub(super) fn holds_value(&self) -> bool {
        matches!(self.origin, Origin::Own | Origin::Shared | Origin::Ours)
    }

    /// Whether upstream's binary has no such flag.
    pub fn is_addition(&self) -> bool {
        !matches!(self.origin, Origin::Own | Origin::Shared | Origin::Same(_))
    }
}

/// The flags of a binary, sorted by name as `--help` lists them.
#[derive(Debug, Clone)]
pub struct Table {
    flags: Vec<Flag>,
}

impl Table {
    /// The flags of `binary` in `mode`.
    pub fn of(binary: Binary, mode: Mode) -> Self {
        let mut flags: Vec<Flag> = match binary {
            Binary::Hostpath => vocabulary::hostpath().collect(),
            Binary::ClusterDriverRegistrar => vocabulary::cluster_driver_registrar().collect(),
            Binary::AllInOne => all_in_one::flags(mode),
            _ => matrix::flags(binary).collect(),
        };
        let wanted = |flag: &Flag| mode == Mode::Documented || flag.name == additions::STRICT;
        flags.extend(additions::flags(binary).filter(wanted));
        flags.sort_by(|left, right| left.name.cmp(&right.name));
        Self { flags }
    }

    /// All flags, by name.
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// The flag called `name`.
    pub fn find(&self, name: &str) -> Option<&Flag> {
        let index = self.flags.binary_search_by(|flag| flag.name.as_ref().cmp(name)).ok()?;
        self.flags.get(index)
    }
}
