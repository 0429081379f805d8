//! Node and CSINode, as far as topology and attaching need them.

use serde::Deserialize;

use super::meta::WireMeta;
use super::wire::{Items, Pairs, Present, Text};
use super::{Finalizers, Interest, Interned, Kind, Meta, NoIndex, Projected, Resource, Shape, Uid, protobuf};

/// A node: its labels are the topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// Labels, sorted by key.
    pub labels: Box<[(Interned, Interned)]>,
}

impl Node {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&Interned> {
        self.labels.iter().find(|(name, _)| &**name == key).map(|(_, value)| value)
    }
}

impl Kind for Node {
    const RESOURCE: Resource =
        Resource { group: "", version: "v1", kind: "Node", plural: "nodes", namespaced: false };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::NODE);

    type Wire<'a> = WireNode<'a>;
    type Index = NoIndex;

    fn project(wire: WireNode<'_>, _: &Interest) -> Projected<Self> {
        let mut labels: Vec<_> = wire
            .metadata
            .labels
            .0
            .iter()
            .map(|(key, value)| (Interned::new(key.as_str()), Interned::new(value.as_str())))
            .collect();
        labels.sort();
        Projected::Own(Node { meta: wire.metadata.keep(), labels: labels.into() })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}

/// A node as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireNode<'a> {
    #[serde(borrow)]
    metadata: WireNodeMeta<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireNodeMeta<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    resource_version: Text<'a>,
    #[serde(borrow)]
    finalizers: Items<Text<'a>>,
    deletion_timestamp: Present,
    #[serde(borrow)]
    labels: Pairs<'a>,
}

impl WireNodeMeta<'_> {
    fn keep(&self) -> Meta {
        Meta {
            namespace: None,
            name: Interned::new(self.name.as_str()),
            uid: Uid::new(self.uid.as_str()),
            resource_version: self.resource_version.as_str().parse().unwrap_or_default(),
            finalizers: Finalizers::new(self.finalizers.0.iter().map(Text::as_str)),
            deleting: self.deletion_timestamp.0,
        }
    }
}

/// What kubelet knows about the drivers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNode {
    /// Metadata.
    pub meta: Meta,
    /// `spec.drivers`.
    pub drivers: Box<[CsiNodeDriver]>,
}

impl CsiNode {
    /// The entry of a driver.
    pub fn driver(&self, name: &str) -> Option<&CsiNodeDriver> {
        self.drivers.iter().find(|driver| &*driver.name == name)
    }
}

/// One driver on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNodeDriver {
    /// Driver name.
    pub name: Interned,
    /// The node's id as the driver knows it.
    pub node_id: Box<str>,
    /// Topology keys of the driver, in their order.
    pub topology_keys: Box<[Interned]>,
    /// `allocatable.count`.
    pub allocatable: Option<i32>,
}

impl Kind for CsiNode {
    const RESOURCE: Resource = Resource {
        group: "storage.k8s.io",
        version: "v1",
        kind: "CSINode",
        plural: "csinodes",
        namespaced: false,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::CSI_NODE);

    type Wire<'a> = WireCsiNode<'a>;
    type Index = NoIndex;

    fn project(wire: WireCsiNode<'_>, interest: &Interest) -> Projected<Self> {
        let drivers = wire.spec.drivers.0.iter().filter(|d| interest.drivers.contains(d.name.as_str()));
        let drivers = drivers.map(WireDriver::keep).collect();
        Projected::Own(CsiNode { meta: wire.metadata.keep(true), drivers })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}

/// A CSINode as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireCsiNode<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireSpec<'a> {
    #[serde(borrow)]
    drivers: Items<WireDriver<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDriver<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, rename = "nodeID")]
    node_id: Text<'a>,
    #[serde(borrow)]
    topology_keys: Items<Text<'a>>,
    allocatable: Option<WireAllocatable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireAllocatable {
    count: Option<i32>,
}

impl WireDriver<'_> {
    fn keep(&self) -> CsiNodeDriver {
        CsiNodeDriver {
            name: Interned::new(self.name.as_str()),
            node_id: self.node_id.as_str().into(),
            topology_keys: self.topology_keys.0.iter().map(|key| Interned::new(key.as_str())).collect(),
            allocatable: self.allocatable.as_ref().and_then(|allocatable| allocatable.count),
        }
    }
}
