//! Where the content of a new volume comes from (sheet 5.3 rows 2 to 7, 5.6.1).
//!
//! The checks of each kind of source are in [`restore`] and [`clone`], those for leaving the namespace in [`grants`].

pub(crate) mod clone;
#[cfg(test)]
mod fixtures;
pub(crate) mod grants;
pub(crate) mod restore;

use std::fmt;

use sidecar_core::objects::Claim;

pub(crate) use snapshot_api::names::kinds::SNAPSHOT_GROUP;

/// The kind of snapshots.
const SNAPSHOT: &str = "VolumeSnapshot";
/// The kind of claims.
const CLAIM: &str = "PersistentVolumeClaim";

/// An object by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The content that a claim asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// None: an empty volume.
    Empty,
    /// A VolumeSnapshot.
    Snapshot(Place),
    /// Another claim.
    Claim(Place),
    /// Something that an external populator fills the volume from.
    Populator {
        /// The kind of the source.
        kind: String,
    },
}

/// The content as the driver knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A snapshot of the driver.
    Snapshot(String),
    /// A volume of the driver.
    Volume(String),
}

/// What a claim refers to, before it is known what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Namespace; that of the claim unless the reference names another.
    pub namespace: &'a str,
}

/// Why a source is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// A source in another namespace, while the gate is off.
    #[error("dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled")]
    CrossNamespaceDisabled,
    /// A source without name.
    #[error("the PVC source not found for PVC {0}")]
    NoName(String),
    /// A VolumeSnapshot of the wrong group.
    #[error("the PVC source does not belong to the right APIGroup. Expected {SNAPSHOT_GROUP}, Got {0}")]
    WrongGroup(String),
}

/// What `claim` refers to. `dataSource` wins over `dataSourceRef`.
pub(crate) fn reference(claim: &Claim, cross_namespace: bool) -> Result<Option<Reference<'_>>, SourceError> {
    let found = match (claim.data_source.as_deref(), claim.data_source_ref.as_deref()) {
        (Some(source), _) => source,
        (None, Some(reference)) => reference,
        (None, None) => return Ok(None),
    };
    // Only a reference can name a namespace. An empty one is none: upstream would look for grants in namespace "".
    let elsewhere = found.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    if elsewhere.is_some() && !cross_namespace {
        return Err(SourceError::CrossNamespaceDisabled);
    }
    Ok(Some(Reference {
        group: found.api_group.as_deref().unwrap_or_default(),
        kind: &found.kind,
        name: &found.name,
        namespace: elsewhere.unwrap_or_else(|| claim.meta.namespace()),
    }))
}

/// The source of `claim`, which refers to `reference`.
pub(crate) fn source(claim: &Claim, reference: Option<&Reference<'_>>) -> Result<Source, SourceError> {
    let Some(reference) = reference else { return Ok(Source::Empty) };
    if reference.name.is_empty() {
        return Err(SourceError::NoName(claim.meta.name.to_string()));
    }
    let place = Place { namespace: reference.namespace.to_owned(), name: reference.name.to_owned() };
    match reference.kind {
        SNAPSHOT if reference.group != SNAPSHOT_GROUP => {
            Err(SourceError::WrongGroup(reference.group.to_owned()))
        }
        SNAPSHOT => Ok(Source::Snapshot(place)),
        CLAIM => Ok(Source::Claim(place)),
        kind => Ok(Source::Populator { kind: kind.to_owned() }),
    }
}

impl Source {
    /// The text for a problem with finding what the driver calls this source.
    pub(crate) fn problem(&self, problem: impl fmt::Display) -> String {
        let (kind, name) = match self {
            Self::Empty => ("", ""),
            Self::Snapshot(place) => (SNAPSHOT, place.name.as_str()),
            Self::Claim(place) => (CLAIM, place.name.as_str()),
            Self::Populator { kind } => (kind.as_str(), ""),
        };
        format!("error getting handle for DataSource Type {kind} by Name {name}: {problem}")
    }
}
