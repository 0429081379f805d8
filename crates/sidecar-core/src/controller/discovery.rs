//! What the API server has, where that decides about a feature.

use tracing::{info, warn};

use super::CommonFlags;
use crate::api::message;

/// Gate whose API may be missing.
const ATTRIBUTES_CLASS: &str = "VolumeAttributesClass";

/// Whether VolumeAttributesClasses count: as the gate says, or, if nobody set it, if the API server has them.
///
/// Errors other than a missing API leave the gate as it is; the question is asked once (sheets csi-provisioner 3.1 and
/// csi-resizer 3).
pub async fn has_attributes_classes(flags: &CommonFlags, client: &kube::Client) -> bool {
    let gates = &flags.gates;
    let enabled = gates.enabled(ATTRIBUTES_CLASS);
    if gates.is_set(ATTRIBUTES_CLASS) || !enabled {
        return enabled;
    }
    match client.list_api_group_resources("storage.k8s.io/v1").await {
        Ok(list) => {
            let found = list.resources.iter().any(|resource| resource.kind == ATTRIBUTES_CLASS);
            if !found {
                info!("The API server has no VolumeAttributesClass, its feature gate is off");
            }
            found
        }
        Err(kube::Error::Api(status)) if status.code == 404 => false,
        Err(error) => {
            warn!(
                err = message(&error),
                "Cannot ask the API server for VolumeAttributesClass, its gate stays on"
            );
            true
        }
    }
}
