//! Feature gates (sheet `common-library`, section 10).
//!
//! None of upstream's gates is locked: a GA gate can still be switched off. Gates of the generic API server library are
//! accepted, because upstream links it and manifests may name them; they have no effect here and say so once.

use std::collections::BTreeMap;

use crate::flags::Binary;

/// How far a gate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Off by default.
    Alpha,
    /// On by default.
    Beta,
    /// On, and will go.
    Ga,
}

/// A gate of some binaries.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Its value if nothing sets it.
    pub default: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// `--feature-gates` names a gate that the binary does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized feature gate: {0}")]
pub struct UnknownGate(pub String);

/// The gates of one binary, decided.
#[derive(Debug, Clone, Default)]
pub struct Gates {
    enabled: BTreeMap<&'static str, bool>,
    given: BTreeMap<String, bool>,
    finished: Vec<(&'static str, bool)>,
    without_effect: Vec<String>,
    removed: Vec<String>,
}

impl Gates {
    /// Decides the gates of `binary` from what `--feature-gates` gives.
    pub fn decide(binary: Binary, given: &BTreeMap<String, bool>) -> Result<Self, UnknownGate> {
        let gates: Vec<&Gate> = of(binary).collect();
        let mut decided = Self { given: given.clone(), ..Self::default() };
        for gate in &gates {
            let group = match gate.stage {
                Stage::Alpha => given.get("AllAlpha"),
                Stage::Beta => given.get("AllBeta"),
                Stage::Ga => None,
            };
            let value = given.get(gate.name).or(group).copied().unwrap_or(gate.default);
            decided.enabled.insert(gate.name, value);
        }
        for (name, value) in given {
            match gates.iter().find(|gate| gate.name == name) {
                Some(gate) if gate.stage == Stage::Ga => decided.finished.push((gate.name, *value)),
                Some(_) => {}
                None if matches!(name.as_str(), "AllAlpha" | "AllBeta") => {}
                // What the gate once switched on is how things are now. Switched off it asks for what nobody can do.
                None if *value && is_removed(binary, name) => decided.removed.push(name.clone()),
                None if GENERIC.contains(&name.as_str()) => decided.without_effect.push(name.clone()),
                None => return Err(UnknownGate(name.clone())),
            }
        }
        Ok(decided)
    }

    /// Whether a gate is on; false if the binary has no such gate.
    pub fn enabled(&self, name: &str) -> bool {
        self.enabled.get(name).copied().unwrap_or(false)
    }

    /// Whether `--feature-gates` names the gate itself.
    pub fn is_set(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The lines upstream logs once the gates are decided.
    pub fn log(&self) {
        for (gate, value) in &self.finished {
            tracing::info!(
                featureGate = gate,
                value,
                "Warning: setting GA feature gate. It will be removed in a future release."
            );
        }
        for gate in &self.removed {
            tracing::warn!(
                featureGate = gate,
                "The feature gate was removed, what it switched on is always on: drop it from --feature-gates"
            );
        }
        for gate in &self.without_effect {
            tracing::info!(featureGate = gate, "The feature gate has no effect here");
        }
        let given = serde_json::to_string(&self.given).unwrap_or_default();
        tracing::info!(v = 1, featureGates = %crate::logging::json(given), "Updated");
    }
}

/// The gates of `binary`.
pub fn of(binary: Binary) -> impl Iterator<Item = &'static Gate> {
    GATES.iter().filter(move |(_, binaries)| binaries.contains(&binary)).map(|(gate, _)| gate)
}

/// Whether some binary of this project has the gate.
pub fn known_to_any(name: &str) -> bool {
    GATES.iter().any(|(gate, _)| gate.name == name)
        || GENERIC.contains(&name)
        || matches!(name, "AllAlpha" | "AllBeta")
}

use Binary::{Attacher, Provisioner, Resizer, SnapshotController, Snapshotter};

const fn gate(name: &'static str, default: bool, stage: Stage) -> Gate {
    Gate { name, default, stage }
}

static GATES: [(Gate, &[Binary]); 8] = [
    (
        gate("ReleaseLeaderElectionOnExit", false, Stage::Alpha),
        &[Provisioner, Attacher, Resizer, Snapshotter, SnapshotController],
    ),
    (gate("Topology", true, Stage::Ga), &[Provisioner]),
    (gate("CrossNamespaceVolumeDataSource", false, Stage::Alpha), &[Provisioner]),
    (gate("VolumeAttributesClass", true, Stage::Ga), &[Provisioner, Resizer]),
    (gate("MutableCSINodeAllocatableCount", true, Stage::Ga), &[Attacher]),
    (gate("AnnotateFsResize", true, Stage::Beta), &[Resizer]),
    (gate("RecoverVolumeExpansionFailure", true, Stage::Ga), &[Resizer]),
    (gate("CSIVolumeGroupSnapshot", true, Stage::Ga), &[Snapshotter, SnapshotController]),
];

/// Gates that had become GA and are gone; upstream's newer versions end with 255 when one is named.
static REMOVED: [(&str, &[Binary]); 1] = [("HonorPVReclaimPolicy", &[Provisioner])];

fn is_removed(binary: Binary, name: &str) -> bool {
    REMOVED.iter().any(|(gate, binaries)| *gate == name && binaries.contains(&binary))
}

/// Gates of Kubernetes 1.36's generic API server library.
static GENERIC: [&str; 44] = [
    "APIResponseCompression",
    "APIServerIdentity",
    "APIServerTracing",
    "APIServingWithRoutine",
    "AggregatedDiscoveryRemoveBetaType",
    "AllowParsingUserUIDFromCertAuth",
    "AllowUnsafeMalformedObjectDeletion",
    "AnonymousAuthConfigurableEndpoints",
    "AuthorizeWithSelectors",
    "BtreeWatchCache",
    "CBORServingAndStorage",
    "ComponentFlagz",
    "ComponentStatusz",
    "ConcurrentWatchObjectDecode",
    "ConsistentListFromCache",
    "ConstrainedImpersonation",
    "CoordinatedLeaderElection",
    "DeclarativeValidation",
    "DeclarativeValidationBeta",
    "DeclarativeValidationTakeover",
    "DetectCacheInconsistency",
    "KMSv1",
    "ListFromCacheSnapshot",
    "ManifestBasedAdmissionControlConfig",
    "MutatingAdmissionPolicy",
    "OpenAPIEnums",
    "RemoteRequestHeaderUID",
    "ResilientWatchCacheInitialization",
    "RetryGenerateName",
    "SeparateCacheWatchRPC",
    "ShardedListAndWatch",
    "SizeBasedListCostEstimate",
    "StorageVersionAPI",
    "StorageVersionHash",
    "StreamingCollectionEncodingToJSON",
    "StreamingCollectionEncodingToProtobuf",
    "StructuredAuthenticationConfiguration",
    "StructuredAuthenticationConfigurationEgressSelector",
    "StructuredAuthenticationConfigurationJWKSMetrics",
    "TokenRequestServiceAccountUIDValidation",
    "UnauthenticatedHTTP2DOSMitigation",
    "UnknownVersionInteroperabilityProxy",
    "WatchCacheInitializationPostStartHook",
    "WatchList",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(binary: Binary, pairs: &[(&str, bool)]) -> Result<Gates, UnknownGate> {
        Gates::decide(binary, &pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    #[test]
    fn defaults_are_upstreams() {
        let gates = decide(Provisioner, &[]).unwrap();
        assert!(gates.enabled("Topology") && gates.enabled("VolumeAttributesClass"));
        assert!(
            !gates.enabled("ReleaseLeaderElectionOnExit") && !gates.enabled("CrossNamespaceVolumeDataSource")
        );
        assert!(!gates.enabled("AnnotateFsResize"), "a gate of another binary");
    }

    #[test]
    fn ga_gates_can_be_switched_off() {
        let gates = decide(Provisioner, &[("Topology", false)]).unwrap();
        assert!(!gates.enabled("Topology") && gates.is_set("Topology"));
    }

    #[test]
    fn all_alpha_sets_what_is_not_set() {
        let gates =
            decide(Provisioner, &[("AllAlpha", true), ("CrossNamespaceVolumeDataSource", false)]).unwrap();
        assert!(gates.enabled("ReleaseLeaderElectionOnExit"));
        assert!(!gates.enabled("CrossNamespaceVolumeDataSource"));
        assert!(!decide(Resizer, &[("AllBeta", false)]).unwrap().enabled("AnnotateFsResize"));
    }

    #[test]
    fn unknown_gates_are_refused_and_kubernetes_own_are_not() {
        let unknown = decide(Attacher, &[("Topology", true)]).unwrap_err();
        assert_eq!(unknown.to_string(), "unrecognized feature gate: Topology");
        assert!(decide(Attacher, &[("LoggingAlphaOptions", true)]).is_err());
        assert!(decide(Attacher, &[("WatchList", false)]).is_ok());
        assert!(decide(Provisioner, &[("HonorPVReclaimPolicy", true)]).is_ok(), "it is how things are");
        assert!(decide(Provisioner, &[("HonorPVReclaimPolicy", false)]).is_err(), "nobody can do that");
        assert!(decide(Attacher, &[("HonorPVReclaimPolicy", true)]).is_err(), "never had it");
        assert!(known_to_any("Topology") && !known_to_any("Nonsense"));
    }
}
