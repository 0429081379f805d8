//! What a driver says it can do, as sets that are asked by name.
//!
//! Drivers list capabilities twice, leave entries empty or name numbers that this version does not know; all of
//! that is normal and none of it may fail (csi-proto sheet, section 12).

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use crate::csi;

pub use csi::controller_service_capability::rpc::Type as ControllerRpc;
pub use csi::group_controller_service_capability::rpc::Type as GroupControllerRpc;
pub use csi::node_service_capability::rpc::Type as NodeRpc;
pub use csi::plugin_capability::service::Type as PluginService;
pub use csi::plugin_capability::volume_expansion::Type as VolumeExpansion;

/// A set of enumerated capabilities; numbers without a name are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct CapabilitySet<T> {
    numbers: BTreeSet<i32>,
    kind: PhantomData<fn(T)>,
}

impl<T: Into<i32>> CapabilitySet<T> {
    /// Whether the driver has this capability.
    #[must_use]
    pub fn has(&self, capability: T) -> bool {
        self.numbers.contains(&capability.into())
    }

    /// The numbers in ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = i32> + '_ {
        self.numbers.iter().copied()
    }

    /// Whether the driver has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

impl<T> Default for CapabilitySet<T> {
    fn default() -> Self {
        Self { numbers: BTreeSet::new(), kind: PhantomData }
    }
}

impl<T> fmt::Debug for CapabilitySet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(&self.numbers).finish()
    }
}

impl<T: Into<i32>> FromIterator<T> for CapabilitySet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(capabilities: I) -> Self {
        Self::from_numbers(capabilities.into_iter().map(Into::into))
    }
}

impl<T> CapabilitySet<T> {
    fn from_numbers(numbers: impl Iterator<Item = i32>) -> Self {
        Self { numbers: numbers.collect(), kind: PhantomData }
    }
}

/// Capabilities of the controller service.
pub type ControllerCapabilities = CapabilitySet<ControllerRpc>;
/// Capabilities of the group controller service.
pub type GroupControllerCapabilities = CapabilitySet<GroupControllerRpc>;
/// Capabilities of the node service.
pub type NodeCapabilities = CapabilitySet<NodeRpc>;

/// Capabilities of the plugin as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginCapabilities {
    /// Services and constraints.
    pub services: CapabilitySet<PluginService>,
    /// When volumes may grow.
    pub expansion: CapabilitySet<VolumeExpansion>,
}

impl PluginCapabilities {
    /// Whether the plugin offers this service or constraint.
    #[must_use]
    pub fn has(&self, service: PluginService) -> bool {
        self.services.has(service)
    }
}

impl From<csi::GetPluginCapabilitiesResponse> for PluginCapabilities {
    fn from(response: csi::GetPluginCapabilitiesResponse) -> Self {
        use csi::plugin_capability::Type;
        let kinds: Vec<Type> = response.capabilities.into_iter().filter_map(|entry| entry.r#type).collect();
        Self {
            services: CapabilitySet::from_numbers(kinds.iter().filter_map(|kind| match kind {
                Type::Service(service) => Some(service.r#type),
                Type::VolumeExpansion(_) => None,
            })),
            expansion: CapabilitySet::from_numbers(kinds.iter().filter_map(|kind| match kind {
                Type::VolumeExpansion(expansion) => Some(expansion.r#type),
                Type::Service(_) => None,
            })),
        }
    }
}

impl From<csi::ControllerGetCapabilitiesResponse> for ControllerCapabilities {
    fn from(response: csi::ControllerGetCapabilitiesResponse) -> Self {
        use csi::controller_service_capability::Type;
        Self::from_numbers(response.capabilities.into_iter().filter_map(|entry| {
            let Type::Rpc(rpc) = entry.r#type?;
            Some(rpc.r#type)
        }))
    }
}

impl From<csi::GroupControllerGetCapabilitiesResponse> for GroupControllerCapabilities {
    fn from(response: csi::GroupControllerGetCapabilitiesResponse) -> Self {
        use csi::group_controller_service_capability::Type;
        Self::from_numbers(response.capabilities.into_iter().filter_map(|entry| {
            let Type::Rpc(rpc) = entry.r#type?;
            Some(rpc.r#type)
        }))
    }
}

impl From<csi::NodeGetCapabilitiesResponse> for NodeCapabilities {
    fn from(response: csi::NodeGetCapabilitiesResponse) -> Self {
        use csi::node_service_capability::Type;
        Self::from_numbers(response.capabilities.into_iter().filter_map(|entry| {
            let Type::Rpc(rpc) = entry.r#type?;
            Some(rpc.r#type)
        }))
    }
}
