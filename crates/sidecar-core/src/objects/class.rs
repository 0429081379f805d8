//! StorageClass and VolumeAttributesClass, kept whole: there are few of them and every field matters.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::meta::WireMeta;
use super::wire::{Items, Pairs, Text};
use super::{Interest, Interned, Kind, Meta, NoIndex, Projected, Resource, Shape, protobuf};

/// A storage class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// Metadata.
    pub meta: Meta,
    /// `provisioner`: a CSI driver name or an in-tree plugin name.
    pub provisioner: Interned,
    /// `parameters`.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
    /// `reclaimPolicy`; the API server defaults it to Delete.
    pub reclaim: Option<ReclaimPolicy>,
    /// `mountOptions`.
    pub mount_options: Vec<Box<str>>,
    /// `volumeBindingMode`.
    pub binding_mode: BindingMode,
    /// `allowVolumeExpansion`.
    pub allow_expansion: bool,
    /// `allowedTopologies`, any one of which may be used.
    pub allowed_topologies: Vec<TopologyTerm>,
}

/// One term of `allowedTopologies`: all its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyTerm {
    /// `matchLabelExpressions`.
    pub requirements: Vec<TopologyRequirement>,
}

/// A label and the values it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyRequirement {
    /// Label key.
    pub key: Interned,
    /// Allowed values.
    pub values: Vec<Interned>,
}

/// `volumeBindingMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindingMode {
    /// Provision at once; also when the field is absent.
    #[default]
    Immediate,
    /// Provision when a pod has been scheduled.
    WaitForFirstConsumer,
}

/// What happens to a volume when its claim is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReclaimPolicy {
    /// Kept; also when a volume says nothing, as the API server defaults it so.
    #[default]
    Retain,
    /// Deleted.
    Delete,
    /// Scrubbed (deprecated).
    Recycle,
    /// A policy this program does not know.
    Other,
}

impl ReclaimPolicy {
    pub(super) fn read(text: &str) -> Self {
        match text {
            "" | "Retain" => Self::Retain,
            "Delete" => Self::Delete,
            "Recycle" => Self::Recycle,
            _ => Self::Other,
        }
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retain | Self::Other => "Retain",
            Self::Delete => "Delete",
            Self::Recycle => "Recycle",
        }
    }
}

impl Kind for Class {
    const RESOURCE: Resource = Resource {
        group: "storage.k8s.io",
        version: "v1",
        kind: "StorageClass",
        plural: "storageclasses",
        namespaced: false,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::CLASS);

    type Wire<'a> = WireClass<'a>;
    type Index = NoIndex;

    fn project(wire: WireClass<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(wire.keep())
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}

/// A storage class as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    provisioner: Text<'a>,
    #[serde(borrow)]
    parameters: Pairs<'a>,
    #[serde(borrow)]
    reclaim_policy: Text<'a>,
    #[serde(borrow)]
    mount_options: Items<Text<'a>>,
    #[serde(borrow)]
    volume_binding_mode: Text<'a>,
    allow_volume_expansion: Option<bool>,
    #[serde(borrow)]
    allowed_topologies: Items<WireTerm<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerm<'a> {
    #[serde(borrow)]
    match_label_expressions: Items<WireRequirement<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireRequirement<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    values: Items<Text<'a>>,
}

impl WireClass<'_> {
    fn keep(&self) -> Class {
        let binding_mode = match self.volume_binding_mode.as_str() {
            "WaitForFirstConsumer" => BindingMode::WaitForFirstConsumer,
            _ => BindingMode::Immediate,
        };
        Class {
            meta: self.metadata.keep(true),
            provisioner: Interned::new(self.provisioner.as_str()),
            parameters: keep_map(&self.parameters),
            reclaim: self.reclaim_policy.non_empty().map(ReclaimPolicy::read),
            mount_options: self.mount_options.0.iter().map(|option| option.as_str().into()).collect(),
            binding_mode,
            allow_expansion: self.allow_volume_expansion.unwrap_or_default(),
            allowed_topologies: self.allowed_topologies.0.iter().map(WireTerm::keep).collect(),
        }
    }
}

impl WireTerm<'_> {
    fn keep(&self) -> TopologyTerm {
        let requirements = self.match_label_expressions.0.iter().map(|requirement| TopologyRequirement {
            key: Interned::new(requirement.key.as_str()),
            values: requirement.values.0.iter().map(|value| Interned::new(value.as_str())).collect(),
        });
        TopologyTerm { requirements: requirements.collect() }
    }
}

pub(super) fn keep_map(pairs: &Pairs<'_>) -> BTreeMap<Box<str>, Box<str>> {
    pairs.0.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

/// A class of mutable volume attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttributesClass {
    /// Metadata.
    pub meta: Meta,
    /// `driverName`.
    pub driver: Interned,
    /// `parameters`.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}

impl Kind for AttributesClass {
    const RESOURCE: Resource = Resource {
        group: "storage.k8s.io",
        version: "v1",
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        namespaced: false,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::ATTRIBUTES_CLASS);

    type Wire<'a> = WireAttributesClass<'a>;
    type Index = NoIndex;

    fn project(wire: WireAttributesClass<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(AttributesClass {
            meta: wire.metadata.keep(true),
            driver: Interned::new(wire.driver_name.as_str()),
            parameters: keep_map(&wire.parameters),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}

/// An attributes class as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireAttributesClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    driver_name: Text<'a>,
    #[serde(borrow)]
    parameters: Pairs<'a>,
}
