//! The rows of the csi-proto sheet, section 12, one test each.

use std::collections::BTreeMap;
use std::time::Duration;

use csi_client::capabilities::{ControllerCapabilities, ControllerRpc, PluginCapabilities, PluginService};
use csi_client::csi::volume_capability::AccessMode;
use csi_client::sanitize::{Stripped, to_json};
use csi_client::{CallOptions, csi};
use prost::Message;
use tokio::time::Instant;
use tonic::Status;

use crate::support::Driver;

fn none() -> CallOptions {
    CallOptions::default()
}

/// Messages as somebody knows them who has only one version of the specification.
mod other {
    /// 1.13: the condition of a volume has moved to calls of its own.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct VolumeStatus {
        #[prost(string, repeated, tag = "1")]
        pub(super) published_node_ids: Vec<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Entry {
        #[prost(message, optional, tag = "2")]
        pub(super) status: Option<VolumeStatus>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ListVolumesResponse {
        #[prost(message, repeated, tag = "1")]
        pub(super) entries: Vec<Entry>,
    }

    /// 1.12: a snapshot is everywhere.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Snapshot {
        #[prost(string, tag = "2")]
        pub(super) snapshot_id: String,
    }
}

#[test]
fn decode_a_1_12_list_volumes_answer_with_volume_condition_using_a_1_13_only_schema() {
    let status = csi::list_volumes_response::VolumeStatus {
        published_node_ids: vec!["node".into()],
        volume_condition: Some(csi::VolumeCondition { abnormal: true, message: "worn".into() }),
    };
    let entry = csi::list_volumes_response::Entry { volume: None, status: Some(status) };
    let sent = csi::ListVolumesResponse { entries: vec![entry], ..Default::default() };
    let wire = sent.encode_to_vec();
    let decoded = other::ListVolumesResponse::decode(&*wire).unwrap();
    assert_eq!(decoded.entries[0].status.as_ref().unwrap().published_node_ids, ["node"]);
    assert_eq!(csi::ListVolumesResponse::decode(&*wire).unwrap(), sent, "ours knows both versions");
}

#[test]
fn decode_a_1_13_snapshot_with_accessible_topology_using_a_1_12_schema() {
    let topology = csi::Topology { segments: BTreeMap::from([("zone".into(), "a".into())]) };
    let sent = csi::Snapshot {
        snapshot_id: "s".into(),
        accessible_topology: vec![topology],
        ..csi::Snapshot::default()
    };
    let wire = sent.encode_to_vec();
    assert_eq!(other::Snapshot::decode(&*wire).unwrap().snapshot_id, "s");
    assert_eq!(csi::Snapshot::decode(&*wire).unwrap(), sent, "ours knows both versions");
}

fn controller(kinds: &[Option<i32>]) -> ControllerCapabilities {
    use csi::controller_service_capability::{Rpc, Type};
    let entry = |kind: &Option<i32>| csi::ControllerServiceCapability {
        r#type: kind.map(|number| Type::Rpc(Rpc { r#type: number })),
    };
    csi::ControllerGetCapabilitiesResponse { capabilities: kinds.iter().map(entry).collect() }.into()
}

fn plugin(kinds: &[Option<i32>]) -> PluginCapabilities {
    use csi::plugin_capability::{Service, Type};
    let entry = |kind: &Option<i32>| csi::PluginCapability {
        r#type: kind.map(|number| Type::Service(Service { r#type: number })),
    };
    csi::GetPluginCapabilitiesResponse { capabilities: kinds.iter().map(entry).collect() }.into()
}

#[test]
fn capability_list_contains_number_99() {
    let capabilities = controller(&[Some(99), Some(1)]);
    assert_eq!(capabilities.numbers().collect::<Vec<_>>(), [1, 99], "kept");
    assert!(capabilities.has(ControllerRpc::CreateDeleteVolume));
    assert!(plugin(&[Some(99), Some(1)]).has(PluginService::ControllerService));
    // Over the wire too: rpc { type: 99 }.
    let wire = [0x0a, 4, 0x0a, 2, 0x08, 99];
    let decoded = csi::ControllerGetCapabilitiesResponse::decode(&wire[..]).unwrap();
    assert_eq!(ControllerCapabilities::from(decoded).numbers().collect::<Vec<_>>(), [99]);
}

#[test]
fn capability_entry_without_a_type_oneof_member_set() {
    assert!(controller(&[None]).is_empty());
    assert!(controller(&[None, Some(1)]).has(ControllerRpc::CreateDeleteVolume));
    assert!(plugin(&[None]).services.is_empty());
    assert!(plugin(&[None, Some(1)]).has(PluginService::ControllerService));
}

#[test]
fn same_capability_listed_twice() {
    assert_eq!(controller(&[Some(6), Some(1), Some(6)]), controller(&[Some(1), Some(6)]));
    assert_eq!(plugin(&[Some(1), Some(1)]), plugin(&[Some(1)]));
}

#[tokio::test]
async fn probe_answer_empty() {
    let driver = Driver::fixed(&csi::ProbeResponse { ready: None });
    assert!(driver.connection().is_ready(none()).await.unwrap());
}

#[tokio::test]
async fn probe_answer_ready_false() {
    let driver = Driver::fixed(&csi::ProbeResponse { ready: Some(false) });
    assert!(!driver.connection().is_ready(none()).await.unwrap(), "not ready, and not an error");
}

#[tokio::test(start_paused = true)]
async fn probe_deadline_exceeded_in_the_start_up_loop() {
    let late = || Err(Status::deadline_exceeded("slow"));
    for end in [Status::internal("no"), Status::unimplemented("no"), Status::unavailable("no")] {
        let begun = Instant::now();
        let (driver, calls) = Driver::script(vec![late(), late(), Err(end.clone())]);
        let error = driver.connection().probe_forever(Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(error.0.code(), end.code(), "fatal");
        assert_eq!((*calls.lock().unwrap(), begun.elapsed().as_secs()), (3, 2), "retried every second");
    }
}

#[tokio::test]
async fn get_plugin_info_with_empty_name() {
    let driver = Driver::fixed(&csi::GetPluginInfoResponse::default());
    let error = driver.connection().driver_name(none()).await.unwrap_err();
    assert_eq!(error.to_string(), "driver name is empty");
}

#[test]
fn access_mode_number_12345_in_a_logged_request() {
    let mode = AccessMode::decode(&[0x08, 0xb9, 0x60][..]).unwrap();
    assert_eq!(mode.mode, 12345);
    let capability = csi::VolumeCapability { access_mode: Some(mode), ..Default::default() };
    let request = csi::NodeStageVolumeRequest { volume_capability: Some(capability), ..Default::default() };
    assert_eq!(to_json(&request), r#"{"volume_capability":{"access_mode":{"mode":12345}}}"#);
}

/// That the log has this text, and not the message: `v5_logs_of_calls_are_built_only_when_wanted`.
#[test]
fn request_with_secrets_logged_at_level_5() {
    let request = csi::NodePublishVolumeRequest {
        volume_id: "v".into(),
        secrets: BTreeMap::from([("user".into(), "hunter2".into())]),
        ..csi::NodePublishVolumeRequest::default()
    };
    let logged = r#"{"secrets":"***stripped***","volume_id":"v"}"#;
    assert_eq!(to_json(&request), logged);
    assert_eq!(format!("{:?}", Stripped(&request)), logged);
}

/// For bytes that were never decoded: `sanitiser_message_of_a_newer_schema`.
#[test]
fn unknown_fields_holding_future_secrets() {
    // Field 99, a string, after volume_id.
    let wire = [&[0x0a, 1, b'v', 0x9a, 0x06, 7][..], b"hunter2"].concat();
    let request = csi::DeleteVolumeRequest::decode(&*wire).unwrap();
    assert_eq!(to_json(&request), r#"{"volume_id":"v"}"#);
    assert!(!format!("{request:?} {:?}", Stripped(&request)).contains("hunter2"));
}

#[test]
fn bool_value_and_int64_value_wrappers() {
    for ready in [None, Some(false), Some(true)] {
        let encoded = csi::ProbeResponse { ready }.encode_to_vec();
        assert_eq!(csi::ProbeResponse::decode(&*encoded).unwrap().ready, ready);
    }
    for size in [None, Some(0), Some(5)] {
        let response = csi::GetCapacityResponse { maximum_volume_size: size, ..Default::default() };
        assert_eq!(csi::GetCapacityResponse::decode(&*response.encode_to_vec()).unwrap(), response);
    }
}

/// What the driver's side of it is: every snapshot of ours has a time (`a_directory_is_as_it_was_when_the_snapshot_was_cut`
/// of the hostpath driver, and csi-sanity).
#[test]
fn timestamp_absent_in_snapshot() {
    assert_eq!(csi::Snapshot::decode(&[][..]).unwrap().creation_time, None, "absent is not 1970");
    let epoch =
        csi::Snapshot { creation_time: Some(prost_types::Timestamp::default()), ..Default::default() };
    assert_eq!(csi::Snapshot::decode(&*epoch.encode_to_vec()).unwrap(), epoch);
}
