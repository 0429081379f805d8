//! Pod, as far as "is this claim in use" needs it.

use serde::Deserialize;

use super::meta::WireMeta;
use super::wire::{Items, Text};
use super::{Interest, Interned, Kind, Meta, Projected, Resource};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// `spec.nodeName`, `None` until scheduled.
    pub node: Option<Interned>,
    /// Claims named in `spec.volumes`, in their order. Generic ephemeral volumes are not among them.
    pub claims: Box<[Interned]>,
    /// Whether the phase is Succeeded or Failed, so that the pod uses nothing any more.
    pub finished: bool,
}

/// Lookups of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodIndex {
    /// By `namespace/name` of a claim the pod uses; finished pods use none.
    Claim,
}

impl Kind for Pod {
    const RESOURCE: Resource =
        Resource { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };

    type Wire<'a> = WirePod<'a>;
    type Index = PodIndex;

    // A pod without claims can never gain one: `spec.volumes` is immutable.
    fn project(wire: WirePod<'_>, _: &Interest) -> Projected<Self> {
        let pod = wire.keep();
        if pod.claims.is_empty() { Projected::Nothing(pod.meta) } else { Projected::Own(pod) }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: PodIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            PodIndex::Claim if self.finished => {}
            PodIndex::Claim => {
                self.claims.iter().for_each(|claim| emit(&format!("{}/{claim}", self.meta.namespace())));
            }
        }
    }
}

/// A pod as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WirePod<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
    #[serde(borrow)]
    status: WireStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec<'a> {
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow)]
    volumes: Items<WireVolume<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireVolume<'a> {
    #[serde(borrow)]
    persistent_volume_claim: Option<WireClaim<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireClaim<'a> {
    #[serde(borrow)]
    claim_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireStatus<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
}

impl WirePod<'_> {
    fn keep(&self) -> Pod {
        let claims = self.spec.volumes.0.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        Pod {
            meta: self.metadata.keep(false),
            node: super::claim::some(&self.spec.node_name),
            claims: claims.map(|claim| Interned::new(claim.claim_name.as_str())).collect(),
            finished: matches!(self.status.phase.as_str(), "Succeeded" | "Failed"),
        }
    }
}
