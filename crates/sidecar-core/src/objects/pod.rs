//! Pod, as far as "is this claim in use" needs it: namespace, name, uid and the names of the claims.

use serde::Deserialize;

use super::meta::WireMeta;
use super::wire::{Items, Present, Text};
use super::{Interest, Interned, Kind, Meta, Projected, Resource, Shape, protobuf};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// The claims of `spec.volumes`, in their order; a generic ephemeral volume has a claim named after pod and volume.
    pub claims: Box<[Interned]>,
}

/// Lookups of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodIndex {
    /// By `namespace/name` of a claim the pod uses.
    Claim,
}

impl Kind for Pod {
    const RESOURCE: Resource =
        Resource { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };

    /// Finished pods use nothing any more, and there may be many of them.
    const FIELD_SELECTOR: &'static str = "status.phase!=Succeeded,status.phase!=Failed";

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::POD);

    type Wire<'a> = WirePod<'a>;
    type Index = PodIndex;

    // A pod without claims can never gain one: `spec.volumes` is immutable.
    fn project(wire: WirePod<'_>, _: &Interest) -> Projected<Self> {
        let finished = matches!(wire.status.phase.as_str(), "Succeeded" | "Failed");
        let pod = wire.keep();
        if finished || pod.claims.is_empty() { Projected::Nothing(pod.meta) } else { Projected::Own(pod) }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: PodIndex, emit: &mut dyn FnMut(&str)) {
        match index {
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
    volumes: Items<WireVolume<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireVolume<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    persistent_volume_claim: Option<WireClaim<'a>>,
    ephemeral: Present,
}

impl WireVolume<'_> {
    /// The claim behind the volume of a pod of this name.
    fn claim(&self, pod: &str) -> Option<Interned> {
        match &self.persistent_volume_claim {
            Some(claim) => Some(Interned::new(claim.claim_name.as_str())),
            None if self.ephemeral.0 => Some(Interned::from(format!("{pod}-{}", self.name.as_str()))),
            None => None,
        }
    }
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
        let meta = self.metadata.keep(false);
        let claims = self.spec.volumes.0.iter().filter_map(|volume| volume.claim(&meta.name)).collect();
        Pod { meta, claims }
    }
}
