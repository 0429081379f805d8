//! Rows "GetDriverName", "plugin caps", "controller caps, group caps" and "ProbeForever".

use std::time::Duration;

use csi_client::capabilities::{ControllerRpc, GroupControllerRpc, NodeRpc, PluginService};
use csi_client::{CallOptions, csi};
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::support::{Driver, Lines};

fn none() -> CallOptions {
    CallOptions::default()
}

fn info(name: &str) -> Driver {
    Driver::fixed(&csi::GetPluginInfoResponse { name: name.into(), ..Default::default() })
}

#[tokio::test]
async fn get_driver_name_ok() {
    assert_eq!(info("csi/example").connection().driver_name(none()).await.unwrap(), "csi/example");
}

#[tokio::test]
async fn get_driver_name_grpc_error() {
    let error = Driver::failing(Status::internal("boom")).connection().driver_name(none()).await.unwrap_err();
    assert_eq!(error.to_string(), "rpc error: code = Internal desc = boom");
}

#[tokio::test]
async fn get_driver_name_empty_name() {
    let error = info("").connection().driver_name(none()).await.unwrap_err();
    assert_eq!(error.to_string(), "driver name is empty");
}

fn service(number: i32) -> csi::PluginCapability {
    use csi::plugin_capability::{Service, Type};
    csi::PluginCapability { r#type: Some(Type::Service(Service { r#type: number })) }
}

fn expansion() -> csi::PluginCapability {
    use csi::plugin_capability::{Type, VolumeExpansion};
    csi::PluginCapability { r#type: Some(Type::VolumeExpansion(VolumeExpansion { r#type: 1 })) }
}

async fn plugin(entries: Vec<csi::PluginCapability>) -> Vec<i32> {
    let driver = Driver::fixed(&csi::GetPluginCapabilitiesResponse { capabilities: entries });
    driver.connection().plugin_capabilities(none()).await.unwrap().services.numbers().collect()
}

#[tokio::test]
async fn plugin_caps_controller_and_unknown() {
    assert_eq!(plugin(vec![service(1), service(0), service(1)]).await, [0, 1]);
}

#[tokio::test]
async fn plugin_caps_only_unknown() {
    assert_eq!(plugin(vec![service(0)]).await, [0]);
}

#[tokio::test]
async fn plugin_caps_null_type() {
    assert!(plugin(vec![csi::PluginCapability { r#type: None }]).await.is_empty());
}

#[tokio::test]
async fn plugin_caps_entries_of_another_kind_are_not_services() {
    assert_eq!(plugin(vec![expansion(), service(2)]).await, [2]);
}

#[tokio::test]
async fn plugin_caps_empty_list() {
    assert!(plugin(vec![]).await.is_empty());
}

#[tokio::test]
async fn plugin_caps_error() {
    let connection = Driver::failing(Status::not_found("no")).connection();
    assert_eq!(connection.plugin_capabilities(none()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn plugin_caps_are_asked_by_name() {
    let driver = Driver::fixed(&csi::GetPluginCapabilitiesResponse { capabilities: vec![service(1)] });
    let capabilities = driver.connection().plugin_capabilities(none()).await.unwrap();
    assert!(capabilities.has(PluginService::ControllerService));
    assert!(!capabilities.has(PluginService::GroupControllerService));
}

fn controller(kinds: &[Option<i32>]) -> csi::ControllerGetCapabilitiesResponse {
    use csi::controller_service_capability::{Rpc, Type};
    let entry = |kind: &Option<i32>| csi::ControllerServiceCapability {
        r#type: kind.map(|number| Type::Rpc(Rpc { r#type: number })),
    };
    csi::ControllerGetCapabilitiesResponse { capabilities: kinds.iter().map(entry).collect() }
}

#[tokio::test]
async fn controller_caps() {
    for (kinds, expected) in [
        (&[Some(1), Some(0)][..], &[0, 1][..]),
        (&[Some(0)], &[0]),
        (&[None], &[]),
        (&[], &[]),
        (&[Some(99), Some(1), Some(1)], &[1, 99]),
    ] {
        let capabilities =
            Driver::fixed(&controller(kinds)).connection().controller_capabilities(none()).await.unwrap();
        assert_eq!(capabilities.numbers().collect::<Vec<_>>(), expected);
        assert_eq!(capabilities.has(ControllerRpc::CreateDeleteVolume), kinds.contains(&Some(1)));
    }
    let failing = Driver::failing(Status::internal("no")).connection();
    assert_eq!(failing.controller_capabilities(none()).await.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn group_caps() {
    use csi::group_controller_service_capability::{Rpc, Type};
    for (kinds, expected) in
        [(&[Some(1), Some(0)][..], &[0, 1][..]), (&[Some(0)], &[0]), (&[None], &[]), (&[], &[])]
    {
        let entry = |kind: &Option<i32>| csi::GroupControllerServiceCapability {
            r#type: kind.map(|number| Type::Rpc(Rpc { r#type: number })),
        };
        let response =
            csi::GroupControllerGetCapabilitiesResponse { capabilities: kinds.iter().map(entry).collect() };
        let connection = Driver::fixed(&response).connection();
        let capabilities = connection.group_controller_capabilities(none()).await.unwrap();
        assert_eq!(capabilities.numbers().collect::<Vec<_>>(), expected);
        let has = capabilities.has(GroupControllerRpc::CreateDeleteGetVolumeGroupSnapshot);
        assert_eq!(has, kinds.contains(&Some(1)));
    }
    let failing = Driver::failing(Status::internal("no")).connection();
    assert_eq!(failing.group_controller_capabilities(none()).await.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn node_caps() {
    use csi::node_service_capability::{Rpc, Type};
    let entry = csi::NodeServiceCapability { r#type: Some(Type::Rpc(Rpc { r#type: 3 })) };
    let response =
        csi::NodeGetCapabilitiesResponse { capabilities: vec![entry, csi::NodeServiceCapability::default()] };
    let capabilities = Driver::fixed(&response).connection().node_capabilities(none()).await.unwrap();
    assert!(capabilities.has(NodeRpc::ExpandVolume) && !capabilities.has(NodeRpc::StageUnstageVolume));
}

type ProbeAnswer = Result<Vec<u8>, Status>;

#[allow(clippy::unnecessary_wraps, reason = "one type for all answers")]
fn ready(ready: Option<bool>) -> ProbeAnswer {
    Ok(csi::ProbeResponse { ready }.encode_to_vec())
}

fn error() -> ProbeAnswer {
    Err(Status::unavailable("down"))
}

fn timed_out() -> ProbeAnswer {
    Err(Status::deadline_exceeded("slow"))
}

/// Runs the loop against these answers: the number of calls, the error and the seconds it took.
async fn probe(answers: Vec<ProbeAnswer>) -> (usize, Option<String>, u64) {
    let (driver, calls) = Driver::script(answers);
    let start = Instant::now();
    let outcome = driver.connection().probe_forever(Duration::from_secs(10)).await;
    let calls = *calls.lock().unwrap();
    (calls, outcome.err().map(|error| error.to_string()), start.elapsed().as_secs())
}

const FAILED: &str = "CSI driver probe failed: rpc error: code = Unavailable desc = down";

#[tokio::test(start_paused = true)]
async fn probe_forever_ready() {
    assert_eq!(probe(vec![ready(Some(true))]).await, (1, None, 0));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_ready_unset() {
    assert_eq!(probe(vec![ready(None)]).await, (1, None, 0));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_error() {
    assert_eq!(probe(vec![error()]).await, (1, Some(FAILED.into()), 0));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_timeout_then_error() {
    assert_eq!(probe(vec![timed_out(), error()]).await, (2, Some(FAILED.into()), 1));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_timeout_twice_then_ready() {
    assert_eq!(probe(vec![timed_out(), timed_out(), ready(Some(true))]).await, (3, None, 2));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_not_ready_then_error() {
    assert_eq!(probe(vec![ready(Some(false)), error()]).await, (2, Some(FAILED.into()), 1));
}

#[tokio::test(start_paused = true)]
async fn probe_forever_not_ready_twice_then_ready() {
    let (lines, _guard) = Lines::record();
    let answers = vec![ready(Some(false)), ready(Some(false)), ready(Some(true))];
    assert_eq!(probe(answers).await, (3, None, 2));
    let (probing, waiting) = ("INFO Probing CSI driver for readiness", "INFO CSI driver is not ready");
    assert_eq!(lines.all(), [probing, waiting, probing, waiting, probing]);
}

#[tokio::test(start_paused = true)]
async fn probe_forever_own_deadline_is_a_timeout_and_the_next_attempt_follows_at_once() {
    let (lines, _guard) = Lines::record();
    let start = Instant::now();
    let driver = Driver::new(move |_| async move {
        if start.elapsed() < Duration::from_secs(4) {
            std::future::pending::<()>().await;
        }
        ready(None)
    });
    driver.connection().probe_forever(Duration::from_millis(2500)).await.unwrap();
    // Attempts at 0 s and 2.5 s run into their deadlines, the third starts at 5 s.
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(lines.count("INFO CSI driver probe timed out"), 2);
}
