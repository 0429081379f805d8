//! Rows of section 10 of the sheet, through the gRPC services without a socket, so that validation takes part.

use std::collections::BTreeMap;
use std::sync::Arc;

use csi_client::csi;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use hostpath_driver::Plugin;
use hostpath_driver::config::Config;
use hostpath_driver::steps::Steps;
use tonic::{Code, Status};

use crate::support::{MIB, Place, capability, create_request, publish_request};
use csi_client::csi::volume_capability::access_mode::Mode;

fn serve(place: &Place, config: Config) -> Connection {
    let driver = Arc::new(place.open_with(config, Steps::default()));
    Connection::from_service(Plugin::service(driver).routes().prepare(), ConnectionSettings::default())
}

fn modify(place: &Place, accepted: Option<&[&str]>) -> Config {
    Config {
        enable_modify: true,
        accepted_mutable_parameters: accepted.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
        ..place.config()
    }
}

fn with_mutable(key: &str) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        mutable_parameters: BTreeMap::from([(key.to_owned(), "bar".to_owned())]),
        ..create_request("v", 0, false)
    }
}

async fn create(connection: &Connection, request: csi::CreateVolumeRequest) -> Result<csi::Volume, Status> {
    let answer = connection.create_volume(request, CallOptions::default()).await?;
    Ok(answer.volume.expect("a volume"))
}

#[track_caller]
fn assert_status<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, text: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn create_volume_empty_name_nil_capabilities_block_and_mount_together_mutable_parameters_without_the_capability_unaccepted_mutable_key()
 {
    let place = Place::new();
    let plain = serve(&place, place.config());
    let refused = Code::InvalidArgument;
    let nameless = create_request("", MIB, false);
    assert_status(create(&plain, nameless).await, refused, "Name missing in request");
    let mut none = create_request("v", MIB, false);
    none.volume_capabilities.clear();
    assert_status(create(&plain, none).await, refused, "Volume Capabilities missing in request");
    let mut both = create_request("v", MIB, false);
    both.volume_capabilities.push(capability(true, Mode::SingleNodeWriter));
    assert_status(create(&plain, both).await, refused, "cannot have both block and mount access type");
    let unsupported = create(&plain, with_mutable("foo")).await;
    assert_status(unsupported, refused, "unsupported capability MODIFY_VOLUME");
    drop(plain);
    let other = Place::new();
    let limited = serve(&other, modify(&other, Some(&["bar"])));
    assert_status(create(&limited, with_mutable("foo")).await, refused, "invalid parameters: [foo]");
    assert!(place.data().is_empty() && other.data().is_empty());
}

#[tokio::test]
async fn create_volume_with_mutable_parameters_no_accepted_list_or_key_in_the_list() {
    for accepted in [None, Some(["foo"].as_slice())] {
        let place = Place::new();
        let connection = serve(&place, modify(&place, accepted));
        let volume = create(&connection, with_mutable("foo")).await.unwrap();
        assert_eq!(volume.accessible_topology[0].segments["topology.hostpath.csi/node"], "node-1");
        assert_eq!((volume.capacity_bytes, volume.volume_context.len()), (0, 0));
    }
}

async fn modify_volume(connection: &Connection, id: &str, keys: &[&str]) -> Result<(), Status> {
    let request = csi::ControllerModifyVolumeRequest {
        volume_id: id.into(),
        mutable_parameters: keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect(),
        ..csi::ControllerModifyVolumeRequest::default()
    };
    connection.controller_modify_volume(request, CallOptions::default()).await.map(drop)
}

#[tokio::test]
async fn controller_modify_volume_empty_id_empty_map_unknown_volume_no_capability_unaccepted_key() {
    let place = Place::new();
    let connection = serve(&place, modify(&place, Some(&["foo"])));
    let id = create(&connection, create_request("v", MIB, false)).await.unwrap().volume_id;
    let bad = Code::InvalidArgument;
    assert_status(modify_volume(&connection, "", &["foo"]).await, bad, "Volume ID cannot be empty");
    assert_status(modify_volume(&connection, &id, &[]).await, bad, "Mutable parameters cannot be empty");
    assert_status(modify_volume(&connection, &id, &["a", "b"]).await, bad, "invalid parameters: [a b]");
    let unknown = modify_volume(&connection, "unknown", &["foo"]).await;
    assert_status(unknown, Code::NotFound, "volume id unknown does not exist in the volumes list");
    let other = Place::new();
    let without = serve(&other, other.config());
    assert_status(modify_volume(&without, "x", &["foo"]).await, bad, "unsupported capability MODIFY_VOLUME");
}

#[tokio::test]
async fn controller_modify_volume_allowed_key_or_no_list() {
    for accepted in [None, Some(["foo"].as_slice())] {
        let place = Place::new();
        let connection = serve(&place, modify(&place, accepted));
        let id = create(&connection, create_request("v", MIB, false)).await.unwrap().volume_id;
        modify_volume(&connection, &id, &["foo"]).await.unwrap();
    }
}

#[tokio::test]
async fn capabilities_list_each_thing_once_and_nothing_that_is_not_there() {
    use csi::controller_service_capability::rpc::Type as Controller;
    let place = Place::new();
    let connection = serve(&place, place.config());
    let wanted = [
        Controller::CreateDeleteVolume,
        Controller::GetVolume,
        Controller::GetCapacity,
        Controller::CreateDeleteSnapshot,
        Controller::ListSnapshots,
        Controller::GetSnapshot,
        Controller::ListVolumes,
        Controller::CloneVolume,
        Controller::VolumeCondition,
        Controller::SingleNodeMultiWriter,
        Controller::ExpandVolume,
    ];
    assert_eq!(listed(&connection).await, wanted);
    let node = connection
        .node_get_capabilities(csi::NodeGetCapabilitiesRequest {}, CallOptions::default())
        .await
        .unwrap();
    assert_eq!(node.capabilities.len(), 5);
    let group = connection
        .group_controller_get_capabilities(
            csi::GroupControllerGetCapabilitiesRequest {},
            CallOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(group.capabilities.len(), 1);
}

#[tokio::test]
async fn calls_that_are_switched_off() {
    let place = Place::new();
    let config = Config { enable_expansion: false, enable_list_snapshots: false, ..place.config() };
    let connection = serve(&place, config);
    let options = CallOptions::default;
    let expand = csi::ControllerExpandVolumeRequest::default();
    let text = "ControllerExpandVolume is not supported";
    assert_status(connection.controller_expand_volume(expand, options()).await, Code::Unimplemented, text);
    let expand = csi::NodeExpandVolumeRequest::default();
    let text = "NodeExpandVolume is not supported";
    assert_status(connection.node_expand_volume(expand, options()).await, Code::Unimplemented, text);
    let attach = csi::ControllerPublishVolumeRequest::default();
    let text = "ControllerPublishVolume is not supported";
    assert_status(connection.controller_publish_volume(attach, options()).await, Code::Unimplemented, text);
    let detach = csi::ControllerUnpublishVolumeRequest::default();
    let text = "ControllerUnpublishVolume is not supported";
    assert_status(connection.controller_unpublish_volume(detach, options()).await, Code::Unimplemented, text);
    let list = connection.list_snapshots(csi::ListSnapshotsRequest::default(), options()).await;
    assert_status(list, Code::InvalidArgument, "unsupported capability LIST_SNAPSHOTS");
}

/// Number of each in the answer, in its order.
async fn listed(connection: &Connection) -> Vec<csi::controller_service_capability::rpc::Type> {
    use csi::controller_service_capability::Type;
    let answer = connection
        .controller_get_capabilities(csi::ControllerGetCapabilitiesRequest {}, CallOptions::default())
        .await
        .unwrap();
    let kinds = answer.capabilities.into_iter().map(|capability| {
        let Type::Rpc(rpc) = capability.r#type.unwrap();
        rpc.r#type()
    });
    kinds.collect()
}

#[tokio::test]
async fn capabilities_follow_the_flags() {
    use csi::controller_service_capability::rpc::Type as Controller;
    let place = Place::new();
    let config = Config {
        enable_attach: true,
        enable_modify: true,
        disable_controller_expansion: true,
        enable_list_snapshots: false,
        list_published_nodes: true,
        enable_snapshot_metadata: true,
        disable_node_expansion: true,
        ..place.config()
    };
    let connection = serve(&place, config);
    let wanted = [
        Controller::CreateDeleteVolume,
        Controller::GetVolume,
        Controller::GetCapacity,
        Controller::CreateDeleteSnapshot,
        Controller::GetSnapshot,
        Controller::ListVolumes,
        Controller::CloneVolume,
        Controller::VolumeCondition,
        Controller::SingleNodeMultiWriter,
        Controller::PublishUnpublishVolume,
        Controller::ModifyVolume,
        Controller::ListVolumesPublishedNodes,
    ];
    assert_eq!(listed(&connection).await, wanted);
    let node = connection
        .node_get_capabilities(csi::NodeGetCapabilitiesRequest {}, CallOptions::default())
        .await
        .unwrap();
    assert_eq!(node.capabilities.len(), 4);
    let services = connection
        .get_plugin_capabilities(csi::GetPluginCapabilitiesRequest {}, CallOptions::default())
        .await
        .unwrap();
    assert_eq!(services.capabilities.len(), 4);
}

#[tokio::test]
async fn the_ephemeral_flag_takes_all_controller_capabilities() {
    let place = Place::new();
    let connection = serve(&place, Config { ephemeral: true, ..place.config() });
    let controller = connection
        .controller_get_capabilities(csi::ControllerGetCapabilitiesRequest {}, CallOptions::default())
        .await
        .unwrap();
    assert!(controller.capabilities.is_empty());
    let refused = create(&connection, create_request("v", MIB, false)).await;
    assert_status(refused, Code::InvalidArgument, "unsupported capability CREATE_DELETE_VOLUME");
    let mut request = publish_request(&place, "csi-1", "target", false);
    request.staging_target_path.clear();
    connection.node_publish_volume(request, CallOptions::default()).await.unwrap();
    let request =
        csi::NodeUnpublishVolumeRequest { volume_id: "csi-1".into(), target_path: place.text("target") };
    connection.node_unpublish_volume(request, CallOptions::default()).await.unwrap();
    place.assert_clean();
}

#[tokio::test]
async fn negative_max_entries() {
    let place = Place::new();
    let connection = serve(&place, place.config());
    let request = csi::ListVolumesRequest { max_entries: -1, starting_token: String::new() };
    let result = connection.list_volumes(request, CallOptions::default()).await;
    assert_status(result, Code::InvalidArgument, "max_entries cannot be negative");
}

#[tokio::test]
async fn identity_and_node_info() {
    let place = Place::new();
    let connection = serve(&place, Config { attach_limit: 5, max_volumes_per_node: 9, ..place.config() });
    let options = CallOptions::default;
    let info = connection.get_plugin_info(csi::GetPluginInfoRequest {}, options()).await.unwrap();
    assert_eq!(info.name, "hostpath.csi.k8s.io");
    assert!(!info.vendor_version.is_empty());
    assert_eq!(connection.probe(csi::ProbeRequest {}, options()).await.unwrap().ready, None);
    let node = connection.node_get_info(csi::NodeGetInfoRequest {}, options()).await.unwrap();
    assert_eq!((node.node_id.as_str(), node.max_volumes_per_node), ("node-1", 5));
    assert_eq!(node.accessible_topology.unwrap().segments["topology.hostpath.csi/node"], "node-1");
    let without = Place::new();
    let connection = serve(&without, Config { enable_topology: false, ..without.config() });
    let node = connection.node_get_info(csi::NodeGetInfoRequest {}, options()).await.unwrap();
    assert_eq!((node.accessible_topology, node.max_volumes_per_node), (None, 0));
    let services =
        connection.get_plugin_capabilities(csi::GetPluginCapabilitiesRequest {}, options()).await.unwrap();
    assert_eq!(services.capabilities.len(), 2);
    let volume = create(&connection, create_request("v", MIB, false)).await.unwrap();
    assert!(volume.accessible_topology.is_empty());
}

#[tokio::test]
async fn a_second_call_for_one_volume_is_aborted() {
    let place = Place::new();
    let (entered, wait) = (Arc::new(tokio::sync::Notify::new()), Arc::new(std::sync::Barrier::new(2)));
    let (seen, barrier) = (entered.clone(), wait.clone());
    let steps = Steps::watched(move |step| {
        if step == "create: recorded" {
            seen.notify_one();
            barrier.wait();
        }
        Ok(())
    });
    let driver = Arc::new(place.open_with(place.config(), steps));
    let connection =
        Connection::from_service(Plugin::service(driver).routes().prepare(), ConnectionSettings::default());
    let first = tokio::spawn({
        let connection = connection.clone();
        async move { create(&connection, create_request("v", MIB, false)).await }
    });
    entered.notified().await;
    let second = create(&connection, create_request("v", MIB, false)).await;
    assert_status(second, Code::Aborted, "an operation on volume name \"v\" is still pending");
    tokio::task::spawn_blocking(move || wait.wait()).await.unwrap();
    let made = first.await.unwrap().unwrap();
    let again = create(&connection, create_request("v", MIB, false)).await.unwrap();
    assert_eq!(again.volume_id, made.volume_id);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_work() {
    let place = Place::new();
    let (entered, wait) = (Arc::new(tokio::sync::Notify::new()), Arc::new(std::sync::Barrier::new(2)));
    let (seen, barrier) = (entered.clone(), wait.clone());
    let steps = Steps::watched(move |step| {
        if step == "create: data made" {
            seen.notify_one();
            barrier.wait();
        }
        Ok(())
    });
    let driver = Arc::new(place.open_with(place.config(), steps));
    let service = Plugin::service(driver);
    let connection = Connection::from_service(service.routes().prepare(), ConnectionSettings::default());
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { create(&connection, create_request("v", MIB, false)).await }
    });
    entered.notified().await;
    call.abort();
    call.await.unwrap_err();
    tokio::task::spawn_blocking(move || wait.wait()).await.unwrap();
    service.finished().await;
    assert_eq!(place.data().len(), 1, "made and recorded although nobody waited");
    let retried = create(&connection, create_request("v", MIB, false)).await.unwrap();
    assert_eq!(place.data(), [retried.volume_id]);
}
