//! Effects on volumes, with the idempotency and the codes of the specification (csi-proto sheet, section 9.3).

use std::sync::Arc;

use csi_client::csi::{self, CapacityRange};
use tonic::Status;

use super::DriverConfig;
use super::backend::{Backend, Fact, Published, Volume};

pub(super) fn find<'a>(backend: &'a mut Backend, id: &str) -> Result<&'a mut Volume, Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument("volume id is missing"));
    }
    backend
        .volumes
        .get_mut(id)
        .map(Arc::make_mut)
        .ok_or_else(|| Status::not_found(format!("volume {id} not found")))
}

pub(super) fn create(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::CreateVolumeRequest,
) -> Result<csi::CreateVolumeResponse, Status> {
    if request.name.is_empty() {
        return Err(Status::invalid_argument("name is missing"));
    }
    if request.volume_capabilities.is_empty() {
        return Err(Status::invalid_argument("volume capabilities are missing"));
    }
    let range = request.capacity_range.unwrap_or_default();
    if let Some(existing) = backend.volumes.values().find(|volume| volume.name == request.name) {
        if !compatible(existing, request, range) {
            let text = format!("volume {} exists with other properties", request.name);
            return Err(Status::already_exists(text));
        }
        return Ok(csi::CreateVolumeResponse { volume: Some(message(existing, config)) });
    }
    check_source(backend, request)?;
    let capacity = if range.required_bytes > 0 { range.required_bytes } else { config.default_size };
    if range.limit_bytes > 0 && capacity > range.limit_bytes {
        return Err(Status::out_of_range("the limit is smaller than the size"));
    }
    if capacity > config.capacity - backend.used() {
        return Err(Status::resource_exhausted("no space left in the backend"));
    }
    let volume = Volume {
        id: backend.id("vol"),
        name: request.name.clone(),
        capacity,
        request: request.clone(),
        published: std::collections::BTreeMap::new(),
    };
    backend.history.push(Fact::VolumeCreated { name: volume.name.clone(), id: volume.id.clone() });
    let answer = csi::CreateVolumeResponse { volume: Some(message(&volume, config)) };
    backend.volumes.insert(volume.id.clone(), Arc::new(volume));
    Ok(answer)
}

fn compatible(existing: &Volume, request: &csi::CreateVolumeRequest, range: CapacityRange) -> bool {
    existing.capacity >= range.required_bytes
        && (range.limit_bytes <= 0 || existing.capacity <= range.limit_bytes)
        && existing.request.parameters == request.parameters
        && existing.request.volume_capabilities == request.volume_capabilities
        && existing.request.volume_content_source == request.volume_content_source
}

fn check_source(backend: &Backend, request: &csi::CreateVolumeRequest) -> Result<(), Status> {
    use csi::volume_content_source::Type;
    let source = request.volume_content_source.as_ref().and_then(|source| source.r#type.as_ref());
    let found = match source {
        None => true,
        Some(Type::Snapshot(snapshot)) => backend.snapshots.contains_key(&snapshot.snapshot_id),
        Some(Type::Volume(volume)) => backend.volumes.contains_key(&volume.volume_id),
    };
    if found { Ok(()) } else { Err(Status::not_found("the source does not exist")) }
}

fn message(volume: &Volume, config: &DriverConfig) -> csi::Volume {
    let mut accessible_topology = Vec::new();
    if !config.topology.is_empty() {
        accessible_topology.push(csi::Topology { segments: config.topology.clone() });
    }
    csi::Volume {
        capacity_bytes: volume.capacity,
        volume_id: volume.id.clone(),
        volume_context: std::collections::BTreeMap::new(),
        content_source: volume.request.volume_content_source.clone(),
        accessible_topology,
    }
}

pub(super) fn delete(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::DeleteVolumeRequest,
) -> Result<csi::DeleteVolumeResponse, Status> {
    if request.volume_id.is_empty() {
        return Err(Status::invalid_argument("volume id is missing"));
    }
    if backend.volumes.get(&request.volume_id).is_some_and(|volume| !volume.published.is_empty()) {
        return Err(Status::failed_precondition("the volume is in use"));
    }
    if backend.volumes.remove(&request.volume_id).is_some() {
        backend.history.push(Fact::VolumeDeleted { id: request.volume_id.clone() });
    }
    Ok(csi::DeleteVolumeResponse {})
}

pub(super) fn publish(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::ControllerPublishVolumeRequest,
) -> Result<csi::ControllerPublishVolumeResponse, Status> {
    if request.node_id.is_empty() || request.volume_capability.is_none() {
        return Err(Status::invalid_argument("node id or volume capability is missing"));
    }
    let volume = find(backend, &request.volume_id)?;
    let wanted = Published { capability: request.volume_capability.clone(), readonly: request.readonly };
    match volume.published.get(&request.node_id) {
        Some(existing) if *existing == wanted => {}
        Some(_) => return Err(Status::already_exists("published with another capability")),
        None => {
            volume.published.insert(request.node_id.clone(), wanted);
            let (id, node) = (request.volume_id.clone(), request.node_id.clone());
            backend.history.push(Fact::Published { id, node });
        }
    }
    let publish_context = [("device".to_owned(), format!("/dev/{}", request.volume_id))].into();
    Ok(csi::ControllerPublishVolumeResponse { publish_context })
}

pub(super) fn unpublish(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::ControllerUnpublishVolumeRequest,
) -> Result<csi::ControllerUnpublishVolumeResponse, Status> {
    if request.volume_id.is_empty() {
        return Err(Status::invalid_argument("volume id is missing"));
    }
    let Some(volume) = backend.volumes.get_mut(&request.volume_id).map(Arc::make_mut) else {
        return Ok(csi::ControllerUnpublishVolumeResponse {});
    };
    let gone: Vec<String> = volume
        .published
        .keys()
        .filter(|node| request.node_id.is_empty() || **node == request.node_id)
        .cloned()
        .collect();
    for node in gone {
        volume.published.remove(&node);
        backend.history.push(Fact::Unpublished { id: request.volume_id.clone(), node });
    }
    Ok(csi::ControllerUnpublishVolumeResponse {})
}

pub(super) fn validate(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::ValidateVolumeCapabilitiesRequest,
) -> Result<csi::ValidateVolumeCapabilitiesResponse, Status> {
    find(backend, &request.volume_id)?;
    if request.volume_capabilities.is_empty() {
        return Err(Status::invalid_argument("volume capabilities are missing"));
    }
    let confirmed = csi::validate_volume_capabilities_response::Confirmed {
        volume_context: request.volume_context.clone(),
        volume_capabilities: request.volume_capabilities.clone(),
        parameters: request.parameters.clone(),
        ..Default::default()
    };
    Ok(csi::ValidateVolumeCapabilitiesResponse { confirmed: Some(confirmed), message: String::new() })
}

pub(super) fn list(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::ListVolumesRequest,
) -> Result<csi::ListVolumesResponse, Status> {
    let (page, next_token) = page(&backend.volumes, &request.starting_token, request.max_entries)?;
    let entries = page.into_iter().map(|volume| csi::list_volumes_response::Entry {
        volume: Some(message(volume, config)),
        status: Some(csi::list_volumes_response::VolumeStatus {
            published_node_ids: volume.published.keys().cloned().collect(),
            ..Default::default()
        }),
    });
    Ok(csi::ListVolumesResponse { entries: entries.collect(), next_token })
}

/// A page of a map; the token is the key that the page starts with.
pub(super) fn page<'a, T>(
    items: &'a std::collections::BTreeMap<String, T>,
    token: &str,
    limit: i32,
) -> Result<(Vec<&'a T>, String), Status> {
    if !token.is_empty() && !items.contains_key(token) {
        return Err(Status::aborted(format!("the starting token {token} is not valid")));
    }
    let mut rest = items.range(token.to_owned()..);
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let page = rest.by_ref().take(limit).map(|(_, item)| item).collect();
    Ok((page, rest.next().map(|(key, _)| key.clone()).unwrap_or_default()))
}

pub(super) fn get(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::ControllerGetVolumeRequest,
) -> Result<csi::ControllerGetVolumeResponse, Status> {
    let volume = find(backend, &request.volume_id)?;
    Ok(csi::ControllerGetVolumeResponse {
        volume: Some(message(volume, config)),
        status: Some(csi::controller_get_volume_response::VolumeStatus {
            published_node_ids: volume.published.keys().cloned().collect(),
            ..Default::default()
        }),
    })
}

pub(super) fn expand(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::ControllerExpandVolumeRequest,
) -> Result<csi::ControllerExpandVolumeResponse, Status> {
    let range =
        request.capacity_range.ok_or_else(|| Status::invalid_argument("capacity range is missing"))?;
    let free = config.capacity - backend.used();
    let volume = find(backend, &request.volume_id)?;
    let more = range.required_bytes - volume.capacity;
    if more > free {
        return Err(Status::out_of_range("no space left in the backend"));
    }
    if more > 0 && backend.in_use.contains(&request.volume_id) {
        return Err(Status::failed_precondition("the volume is in use"));
    }
    if more > 0 {
        find(backend, &request.volume_id)?.capacity = range.required_bytes;
        let (id, capacity) = (request.volume_id.clone(), range.required_bytes);
        backend.history.push(Fact::Expanded { id, capacity });
    }
    let capacity_bytes = find(backend, &request.volume_id)?.capacity;
    let node_expansion_required = config.node.contains(&super::NodeCapability::ExpandVolume);
    Ok(csi::ControllerExpandVolumeResponse { capacity_bytes, node_expansion_required })
}

pub(super) fn modify(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::ControllerModifyVolumeRequest,
) -> Result<csi::ControllerModifyVolumeResponse, Status> {
    if let Some(refused) =
        request.mutable_parameters.keys().find(|key| config.refused_parameters.contains(*key))
    {
        return Err(Status::invalid_argument(format!("parameter {refused} is not known")));
    }
    let parameters = request.mutable_parameters.clone();
    let volume = find(backend, &request.volume_id)?;
    volume.request.mutable_parameters.extend(parameters.clone());
    backend.history.push(Fact::Modified { id: request.volume_id.clone(), parameters });
    Ok(csi::ControllerModifyVolumeResponse {})
}
