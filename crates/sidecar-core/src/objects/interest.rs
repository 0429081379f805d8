//! What the controllers of this process want to know about a kind.
//!
//! Each sidecar declares its interest before the caches start; the process keeps the union, and the decoder drops the
//! rest. That is why a provisioner alone pays nothing for the status fields that only a resizer reads, and why the
//! all-in-one process still watches every kind once.

use std::collections::BTreeSet;
use std::ops::BitOr;

use super::Interned;

/// The optional parts of the projections, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections(u32);

impl Sections {
    /// Only what every projection always has.
    pub const NONE: Self = Self(0);
    /// [`Claim::resize`](super::Claim::resize): sizes, conditions and modification state.
    pub const CLAIM_RESIZE: Self = Self(1);
    /// [`Volume::source`](super::Volume::source): what a CSI call about an existing volume needs.
    pub const VOLUME_SOURCE: Self = Self(1 << 1);
    /// [`Volume::affinity`](super::Volume::affinity): the node affinity terms.
    pub const VOLUME_AFFINITY: Self = Self(1 << 2);
    /// [`Attachment::status`](super::Attachment::status): metadata and errors of an attachment.
    pub const ATTACHMENT_STATUS: Self = Self(1 << 3);
    /// Every section there is.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether all of `other` is contained.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Sections {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whose objects are wanted in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drivers {
    /// Objects of every driver.
    All,
    /// Only objects of these drivers (CSI names and the in-tree names they replace).
    Only(BTreeSet<Interned>),
}

impl Drivers {
    /// The set of exactly these names.
    pub fn only<I: IntoIterator<Item = S>, S: AsRef<str>>(names: I) -> Self {
        Self::Only(names.into_iter().map(|name| Interned::new(name.as_ref())).collect())
    }

    /// Whether objects of this driver are wanted.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

/// Objects with which labels are asked of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// Nobody has asked for any yet.
    #[default]
    Nobodys,
    /// Those that match this selector, such as `key=value`.
    Matching(Interned),
    /// All.
    Any,
}

impl Labels {
    fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobodys, labels) | (labels, Self::Nobodys) => labels,
            (Self::Matching(ours), Self::Matching(theirs)) if ours == theirs => Self::Matching(ours),
            _ => Self::Any,
        }
    }
}

/// What is wanted of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Optional parts to keep.
    pub sections: Sections,
    /// Drivers whose objects are kept in full; of others at most the name is kept.
    pub drivers: Drivers,
    /// Which objects the API server is asked for. Who asks for few may get more if somebody else asks for others.
    pub labels: Labels,
}

impl Interest {
    /// Nothing at all: the neutral element of [`Interest::union`].
    pub fn nothing() -> Self {
        Self { sections: Sections::NONE, drivers: Drivers::Only(BTreeSet::new()), labels: Labels::Nobodys }
    }

    /// Every object with every section.
    pub fn everything() -> Self {
        Self { sections: Sections::ALL, drivers: Drivers::All, labels: Labels::Any }
    }

    /// All objects, without optional sections.
    pub fn all() -> Self {
        Self { sections: Sections::NONE, drivers: Drivers::All, labels: Labels::Any }
    }

    /// The objects of these drivers, without optional sections.
    pub fn of_drivers<I: IntoIterator<Item = S>, S: AsRef<str>>(names: I) -> Self {
        Self { sections: Sections::NONE, drivers: Drivers::only(names), labels: Labels::Any }
    }

    /// The same interest with more sections.
    #[must_use]
    pub fn with(mut self, sections: Sections) -> Self {
        self.sections = self.sections | sections;
        self
    }

    /// The same interest in objects that match a label selector only.
    #[must_use]
    pub fn matching(mut self, selector: &str) -> Self {
        self.labels = Labels::Matching(Interned::new(selector));
        self
    }

    /// What satisfies both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let drivers = match (self.drivers, other.drivers) {
            (Drivers::Only(mut ours), Drivers::Only(theirs)) => {
                ours.extend(theirs);
                Drivers::Only(ours)
            }
            _ => Drivers::All,
        };
        let labels = self.labels.union(other.labels);
        Self { sections: self.sections | other.sections, drivers, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_satisfies_both_sides() {
        let one = Interest::of_drivers(["a"]).with(Sections::VOLUME_SOURCE);
        let two = Interest::of_drivers(["b"]).with(Sections::VOLUME_AFFINITY);
        let both = one.union(two);
        assert!(both.drivers.contains("a") && both.drivers.contains("b") && !both.drivers.contains("c"));
        assert!(both.sections.has(Sections::VOLUME_SOURCE | Sections::VOLUME_AFFINITY));
        assert!(both.union(Interest::all()).drivers.contains("c"));
    }

    #[test]
    fn a_selector_stays_as_long_as_it_is_the_only_one() {
        let one = Interest::nothing().union(Interest::all().matching("a=b"));
        assert_eq!(one.labels, Labels::Matching("a=b".into()));
        assert_eq!(one.clone().union(Interest::all().matching("a=b")).labels, one.labels);
        assert_eq!(one.clone().union(Interest::all().matching("a=c")).labels, Labels::Any);
        assert_eq!(one.union(Interest::all()).labels, Labels::Any);
    }
}
