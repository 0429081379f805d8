//! `CreateVolume` and `DeleteVolume` requests (sheet 6.2).

use std::collections::BTreeMap;

use csi_client::csi::volume_content_source::{SnapshotSource, Type, VolumeSource};
use csi_client::csi::{CapacityRange, CreateVolumeRequest, DeleteVolumeRequest, VolumeContentSource};

use crate::policy::data_source::Content;
use crate::policy::wish::VolumeWish;

/// The request for a volume.
pub(crate) fn create(wish: &VolumeWish, secrets: &BTreeMap<String, String>) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: wish.name.clone(),
        capacity_range: Some(CapacityRange { required_bytes: wish.required_bytes, limit_bytes: 0 }),
        volume_capabilities: wish.capabilities.clone(),
        parameters: wish.parameters.clone(),
        secrets: secrets.clone(),
        mutable_parameters: wish.mutable_parameters.clone(),
        volume_content_source: wish.content.as_ref().map(content),
        ..CreateVolumeRequest::default()
    }
}

fn content(content: &Content) -> VolumeContentSource {
    let source = match content {
        Content::Snapshot(id) => Type::Snapshot(SnapshotSource { snapshot_id: id.clone() }),
        Content::Volume(id) => Type::Volume(VolumeSource { volume_id: id.clone() }),
    };
    VolumeContentSource { r#type: Some(source) }
}

/// The request to delete a volume.
pub(crate) fn delete(volume_id: &str, secrets: &BTreeMap<String, String>) -> DeleteVolumeRequest {
    DeleteVolumeRequest { volume_id: volume_id.to_owned(), secrets: secrets.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_range_is_always_there_and_has_no_limit() {
        let request = create(&VolumeWish { name: "v".into(), ..VolumeWish::default() }, &BTreeMap::new());
        assert_eq!(request.capacity_range, Some(CapacityRange { required_bytes: 0, limit_bytes: 0 }));
        assert_eq!((request.volume_content_source, request.accessibility_requirements), (None, None));
    }
}
