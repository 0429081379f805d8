//! Rows "client metrics", "migrated metrics" and "metrics".

use std::time::Duration;

use csi_client::metrics::server::ServerMetricsLayer;
use csi_client::metrics::{RpcMetricsBuilder, SUBSYSTEM_PLUGIN, Stability};
use csi_client::{CallOptions, Connection, ConnectionSettings, RpcMetrics, csi};
use prometheus::{Registry, TextEncoder};
use tonic::Status;
use tower::Layer as _;

use crate::support::Driver;

const METHOD: &str = "/csi.v1.Controller/CreateVolume";

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

fn has(registry: &Registry, line: &str) {
    let text = text(registry);
    assert!(text.lines().any(|candidate| candidate == line), "no line {line:?} in\n{text}");
}

fn builder() -> RpcMetricsBuilder {
    RpcMetrics::builder()
}

async fn call(metrics: &RpcMetrics, options: CallOptions, driver: Driver) -> Result<(), Status> {
    let settings = ConnectionSettings { metrics: Some(metrics.clone()), ..Default::default() };
    let connection = Connection::from_service(driver, settings);
    connection.get_plugin_info(csi::GetPluginInfoRequest {}, options).await.map(|_| ())
}

#[tokio::test]
async fn client_metrics_get_plugin_info_unimplemented() {
    let (client, server) = (Registry::new(), Registry::new());
    let metrics = builder().register(&client).unwrap();
    metrics.set_driver_name("driver");
    let plugin = builder().subsystem(SUBSYSTEM_PLUGIN).register(&server).unwrap();
    plugin.set_driver_name("driver");
    let service = ServerMetricsLayer(plugin).layer(Driver::failing(Status::unimplemented("")));
    let settings = ConnectionSettings { metrics: Some(metrics), ..Default::default() };
    let connection = Connection::from_service(service, settings);
    connection.get_plugin_info(csi::GetPluginInfoRequest {}, CallOptions::default()).await.unwrap_err();
    let labels = "{driver_name=\"driver\",grpc_status_code=\"Unimplemented\",\
                  method_name=\"/csi.v1.Identity/GetPluginInfo\"} 1";
    has(&client, &format!("csi_sidecar_operations_seconds_count{labels}"));
    has(&server, &format!("csi_plugin_operations_seconds_count{labels}"));
}

#[tokio::test]
async fn client_metrics_success_is_ok_on_both_sides() {
    let (client, server) = (Registry::new(), Registry::new());
    let metrics = builder().register(&client).unwrap();
    let plugin = builder().subsystem(SUBSYSTEM_PLUGIN).register(&server).unwrap();
    let service = ServerMetricsLayer(plugin).layer(Driver::fixed(&csi::GetPluginInfoResponse::default()));
    let settings = ConnectionSettings { metrics: Some(metrics), ..Default::default() };
    let connection = Connection::from_service(service, settings);
    connection.get_plugin_info(csi::GetPluginInfoRequest {}, CallOptions::default()).await.unwrap();
    let labels = "{driver_name=\"unknown-driver\",grpc_status_code=\"OK\",\
                  method_name=\"/csi.v1.Identity/GetPluginInfo\"} 1";
    has(&client, &format!("csi_sidecar_operations_seconds_count{labels}"));
    has(&server, &format!("csi_plugin_operations_seconds_count{labels}"));
}

#[tokio::test]
async fn migrated_metrics_context_value_true_and_migration_option() {
    let registry = Registry::new();
    let metrics = RpcMetrics::new(&registry).unwrap();
    metrics.set_driver_name("driver");
    metrics.set_migrated().unwrap();
    let driver = Driver::fixed(&csi::GetPluginInfoResponse::default());
    call(&metrics, CallOptions::default().migrated(true), driver.clone()).await.unwrap();
    call(&metrics, CallOptions::default(), driver).await.unwrap();
    for migrated in ["true", "false"] {
        has(
            &registry,
            &format!(
                "csi_sidecar_operations_seconds_count{{driver_name=\"driver\",grpc_status_code=\"OK\",\
                 method_name=\"/csi.v1.Identity/GetPluginInfo\",migrated=\"{migrated}\"}} 1"
            ),
        );
    }
}

#[test]
fn metrics_20_s_duration() {
    let registry = Registry::new();
    let metrics = builder().register(&registry).unwrap();
    metrics.set_driver_name("driver");
    metrics.record(METHOD, "OK", Duration::from_secs(20), None);
    let labels = format!("driver_name=\"driver\",grpc_status_code=\"OK\",method_name=\"{METHOD}\"");
    let bounds = [("0.1", 0), ("0.25", 0), ("0.5", 0), ("1", 0), ("2.5", 0), ("5", 0), ("10", 0), ("15", 0)];
    for (bound, count) in
        bounds.into_iter().chain([("25", 1), ("50", 1), ("120", 1), ("300", 1), ("600", 1), ("+Inf", 1)])
    {
        has(&registry, &format!("csi_sidecar_operations_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"));
    }
    has(&registry, &format!("csi_sidecar_operations_seconds_sum{{{labels}}} 20"));
    has(&registry, &format!("csi_sidecar_operations_seconds_count{{{labels}}} 1"));
    has(&registry, "# TYPE csi_sidecar_operations_seconds histogram");
}

#[test]
fn metrics_subsystem_and_stability() {
    let help = "Container Storage Interface operation duration with gRPC error code status total";
    for (subsystem, stability, prefix) in [
        ("csi_plugin", Stability::Alpha, "[ALPHA]"),
        ("other", Stability::Alpha, "[ALPHA]"),
        ("csi_sidecar", Stability::Stable, "[STABLE]"),
    ] {
        let registry = Registry::new();
        let metrics = builder().subsystem(subsystem).stability(stability).register(&registry).unwrap();
        metrics.record(METHOD, "OK", Duration::ZERO, None);
        has(&registry, &format!("# HELP {subsystem}_operations_seconds {prefix} {help}"));
    }
}

#[test]
fn metrics_constant_labels_a_b() {
    let registry = Registry::new();
    let metrics = builder().constant_label("b", "2").constant_label("a", "1").register(&registry).unwrap();
    metrics.record(METHOD, "OK", Duration::ZERO, None);
    has(&registry, &labelled("1", "2"));
}

fn labelled(a: &str, b: &str) -> String {
    format!(
        "csi_sidecar_operations_seconds_count{{a=\"{a}\",b=\"{b}\",driver_name=\"unknown-driver\",\
         grpc_status_code=\"OK\",method_name=\"{METHOD}\"}} 1"
    )
}

fn variable(registry: &Registry) -> RpcMetrics {
    builder().label_names(["a", "b"]).register(registry).unwrap()
}

#[test]
fn metrics_variable_labels_in_one_step() {
    let registry = Registry::new();
    let metrics = variable(&registry).with_label_values([("a", "1"), ("b", "2")]).unwrap();
    metrics.record(METHOD, "OK", Duration::ZERO, None);
    has(&registry, &labelled("1", "2"));
}

#[test]
fn metrics_variable_labels_in_two_steps() {
    let registry = Registry::new();
    let metrics = variable(&registry).with_label_values([("b", "2")]).unwrap();
    metrics.with_label_values([("a", "1")]).unwrap().record(METHOD, "OK", Duration::ZERO, None);
    has(&registry, &labelled("1", "2"));
}

#[test]
fn metrics_variable_labels_only_a_given() {
    let registry = Registry::new();
    let metrics = variable(&registry).with_label_values([("a", "1")]).unwrap();
    metrics.record(METHOD, "OK", Duration::ZERO, None);
    has(&registry, &labelled("1", ""));
}

#[test]
fn metrics_unknown_variable_label() {
    let error = variable(&Registry::new()).with_label_values([("c", "3")]).unwrap_err();
    assert_eq!(error.to_string(), "unknown label \"c\"");
}

#[test]
fn metrics_same_label_set_twice() {
    let metrics = variable(&Registry::new()).with_label_values([("a", "1")]).unwrap();
    let error = metrics.with_label_values([("a", "2")]).unwrap_err();
    assert_eq!(error.to_string(), "label \"a\" already has a value");
}

#[tokio::test]
async fn metrics_no_driver_name() {
    let registry = Registry::new();
    let metrics = builder().register(&registry).unwrap();
    call(&metrics, CallOptions::default(), Driver::fixed(&csi::GetPluginInfoResponse::default()))
        .await
        .unwrap();
    assert!(text(&registry).contains("driver_name=\"unknown-driver\""));
}

#[tokio::test]
async fn metrics_invalid_argument_error() {
    let registry = Registry::new();
    let metrics = builder().register(&registry).unwrap();
    let driver = Driver::failing(Status::invalid_argument("no"));
    call(&metrics, CallOptions::default(), driver).await.unwrap_err();
    assert!(text(&registry).contains("grpc_status_code=\"InvalidArgument\""));
}

#[tokio::test(start_paused = true)]
async fn metrics_own_deadline_is_deadline_exceeded() {
    let registry = Registry::new();
    let metrics = builder().register(&registry).unwrap();
    let hanging = Driver::new(|_| std::future::pending());
    call(&metrics, CallOptions::timeout(Duration::from_secs(10)), hanging).await.unwrap_err();
    has(
        &registry,
        "csi_sidecar_operations_seconds_sum{driver_name=\"unknown-driver\",\
         grpc_status_code=\"DeadlineExceeded\",method_name=\"/csi.v1.Identity/GetPluginInfo\"} 10",
    );
}
