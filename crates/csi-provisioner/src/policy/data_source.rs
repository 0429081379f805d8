//! Where the content of a new volume comes from.
//!
//! Restoring snapshots and cloning claims are not part of this version. They are told apart from each other and from
//! the kinds of external populators here, so that the first two are refused with a clear event and the third is left
//! to its populator, exactly as the sheet has it (5.3 rows 2 to 7, 5.6.1).

use sidecar_core::objects::Claim;

/// The API group of VolumeSnapshots.
const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";

/// The content that a claim asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// None: an empty volume.
    Empty,
    /// A VolumeSnapshot.
    Snapshot {
        /// Its name.
        name: String,
    },
    /// Another claim.
    Claim {
        /// Its name.
        name: String,
    },
    /// Something that an external populator fills the volume from.
    Populator {
        /// The kind of the source.
        kind: String,
    },
}

/// Why a source is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// A source in another namespace, while the gate is off.
    #[error("dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled")]
    CrossNamespaceDisabled,
    /// A source in another namespace: not in this version.
    #[error("data sources in another namespace are not supported yet by this version")]
    CrossNamespaceUnsupported,
    /// A source without name.
    #[error("the PVC source not found for PVC {0}")]
    NoName(String),
    /// A VolumeSnapshot of the wrong group.
    #[error("the PVC source does not belong to the right APIGroup. Expected {SNAPSHOT_GROUP}, Got {0}")]
    WrongGroup(String),
}

/// The source of `claim`. `dataSource` wins over `dataSourceRef`.
pub(crate) fn source(claim: &Claim, cross_namespace: bool) -> Result<Source, SourceError> {
    let found = match (&claim.data_source, &claim.data_source_ref) {
        (Some(source), _) => source,
        (None, Some(reference)) => {
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            if !namespace.is_empty() && !cross_namespace {
                return Err(SourceError::CrossNamespaceDisabled);
            }
            if !namespace.is_empty() && Some(namespace) != claim.meta.namespace.as_deref() {
                return Err(SourceError::CrossNamespaceUnsupported);
            }
            reference
        }
        (None, None) => return Ok(Source::Empty),
    };
    let name = found.name.to_string();
    if name.is_empty() {
        return Err(SourceError::NoName(claim.meta.name.to_string()));
    }
    let group = found.api_group.as_deref().unwrap_or_default();
    match &*found.kind {
        "VolumeSnapshot" if group != SNAPSHOT_GROUP => Err(SourceError::WrongGroup(group.to_owned())),
        "VolumeSnapshot" => Ok(Source::Snapshot { name }),
        "PersistentVolumeClaim" => Ok(Source::Claim { name }),
        kind => Ok(Source::Populator { kind: kind.to_owned() }),
    }
}

impl Source {
    /// The refusal of a kind of source that this version cannot use.
    pub(crate) fn unsupported(&self) -> Option<String> {
        let (kind, name) = match self {
            Self::Empty | Self::Populator { .. } => return None,
            Self::Snapshot { name } => ("VolumeSnapshot", name),
            Self::Claim { name } => ("PersistentVolumeClaim", name),
        };
        Some(format!("data source {name} of kind {kind} is not supported yet by this version"))
    }
}
