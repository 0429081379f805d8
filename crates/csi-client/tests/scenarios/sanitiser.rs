//! Rows "sanitiser": messages as JSON without secrets, and the log lines that carry them.

use std::collections::BTreeMap;

use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use csi_client::sanitize::shape::find;
use csi_client::sanitize::{Stripped, bytes_to_json, to_json, value_to_json};
use csi_client::{CallOptions, Connection, ConnectionSettings, csi, verbosity};
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, ReflectMessage as _, Value};
use tonic::Status;

use crate::generated::codegen;
use crate::support::{Driver, Lines};

#[allow(unreachable_pub, reason = "generated")]
mod secrets {
    include!("secrets_shapes.rs");
}

fn pool() -> DescriptorPool {
    codegen::pool(&codegen::crate_directory().join("tests/scenarios"), &["secrets.proto"]).unwrap()
}

fn message(pool: &DescriptorPool, name: &str, fields: Vec<(&str, Value)>) -> DynamicMessage {
    let mut message = DynamicMessage::new(pool.get_message_by_name(&format!("secrets.test.{name}")).unwrap());
    for (field, value) in fields {
        message.set_field_by_name(field, value);
    }
    message
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn json(message: &DynamicMessage) -> String {
    let shape = find(secrets::MESSAGES, message.descriptor().full_name()).unwrap();
    bytes_to_json(shape, &message.encode_to_vec())
}

fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn sanitiser_null() {
    assert_eq!(value_to_json(&None::<u8>), "null");
}

#[test]
fn sanitiser_1() {
    assert_eq!(value_to_json(&1), "1");
    assert_eq!(value_to_json(&1.0), "1");
    assert_eq!(value_to_json(&1e21), "1e+21");
}

#[test]
fn sanitiser_string() {
    assert_eq!(value_to_json("foo bar"), "\"foo bar\"");
    let (plain, escaped) = ("a<b>&\u{2028}\u{1}\n\"\\ö", r#""a\u003cb\u003e\u0026\u2028\u0001\n\"\\ö""#);
    assert_eq!(value_to_json(plain), escaped);
}

#[test]
fn sanitiser_bools() {
    assert_eq!(value_to_json(&true), "true");
    assert_eq!(value_to_json(&false), "false");
}

#[test]
fn sanitiser_values_that_are_no_message_have_sorted_keys() {
    let value = serde_json::json!({"b": [1, "x"], "a": {}});
    assert_eq!(value_to_json(&value), r#"{"a":{},"b":[1,"x"]}"#);
}

#[test]
fn sanitiser_encoding_failure() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let text = value_to_json(&Broken);
    assert!(text.starts_with("<<json.Marshal ") && text.ends_with("Broken: not today>>"), "{text}");
    let pool = pool();
    let not_a_number = message(&pool, "Everything", vec![("ratio", Value::F64(f64::NAN))]);
    assert_eq!(json(&not_a_number), "<<json.Marshal secrets.test.Everything: json: unsupported value: NaN>>");
}

#[test]
fn sanitiser_empty_message() {
    assert_eq!(to_json(&csi::CreateVolumeRequest::default()), "{}");
}

fn create_volume() -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        name: "test-volume".into(),
        capacity_range: Some(csi::CapacityRange { required_bytes: 1024, limit_bytes: 1024 }),
        volume_capabilities: vec![csi::VolumeCapability {
            access_type: Some(AccessType::Mount(MountVolume {
                fs_type: "ext4".into(),
                mount_flags: vec!["flag1".into()],
                ..Default::default()
            })),
            access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        }],
        secrets: words(&[("secret1", "secret1"), ("secret2", "secret2")]),
        parameters: words(&[("param1", "param1")]),
        volume_content_source: Some(csi::VolumeContentSource::default()),
        accessibility_requirements: Some(csi::TopologyRequirement::default()),
        ..Default::default()
    }
}

const CREATE_VOLUME: &str = concat!(
    r#"{"accessibility_requirements":{},"capacity_range":{"limit_bytes":1024,"required_bytes":1024},"#,
    r#""name":"test-volume","parameters":{"param1":"param1"},"secrets":"***stripped***","#,
    r#""volume_capabilities":[{"access_mode":{"mode":"MULTI_NODE_MULTI_WRITER"},"#,
    r#""mount":{"fs_type":"ext4","mount_flags":["flag1"]}}],"volume_content_source":{}}"#
);

#[test]
fn sanitiser_request_with_secrets() {
    let request = create_volume();
    assert_eq!(to_json(&request), CREATE_VOLUME);
    assert_eq!(request, create_volume(), "the message itself is never modified");
}

#[test]
fn sanitiser_nested_secrets() {
    let pool = pool();
    let inner = message(&pool, "Login", vec![("user", text("u")), ("password", text("hidden"))]);
    let outer = message(&pool, "Login", vec![("inner", Value::Message(inner))]);
    let all = message(
        &pool,
        "Everything",
        vec![
            ("login", Value::Message(outer.clone())),
            ("list", Value::List(vec![Value::Message(outer.clone()), Value::Message(outer)])),
        ],
    );
    let one = r#"{"inner":{"password":"***stripped***","user":"u"}}"#;
    assert_eq!(json(&all), format!(r#"{{"list":[{one},{one}],"login":{one}}}"#));
}

#[test]
fn sanitiser_secret_scalars() {
    let pool = pool();
    let login = message(&pool, "Login", vec![("password", text("hidden")), ("pin", Value::I64(1234))]);
    assert_eq!(json(&login), r#"{"password":"***stripped***","pin":"***stripped***"}"#);
    let lists = message(
        &pool,
        "Everything",
        vec![
            ("secret_list", Value::List(vec![text("a"), text("b")])),
            ("secret_choice", Value::Message(login)),
        ],
    );
    assert_eq!(json(&lists), r#"{"secret_choice":"***stripped***","secret_list":"***stripped***"}"#);
}

#[test]
fn sanitiser_secret_in_map_values() {
    let pool = pool();
    let login = message(&pool, "Login", vec![("user", text("u")), ("password", text("hidden"))]);
    let empty = message(&pool, "Login", vec![]);
    let logins =
        [("b", login), ("a", empty)].map(|(key, value)| (MapKey::String(key.into()), Value::Message(value)));
    let all = message(&pool, "Everything", vec![("logins", Value::Map(logins.into()))]);
    assert_eq!(json(&all), r#"{"logins":{"a":{},"b":{"password":"***stripped***","user":"u"}}}"#);
}

#[test]
fn sanitiser_every_kind_of_field() {
    let pool = pool();
    let flags = [(MapKey::I32(-1), Value::Bool(true)), (MapKey::I32(0), Value::Bool(false))];
    let all = message(
        &pool,
        "Everything",
        vec![
            ("numbers", Value::List(vec![Value::I32(-5), Value::I32(0)])),
            ("data", Value::Bytes(vec![0xff, 0xfe].into())),
            ("color", Value::EnumNumber(1)),
            ("colors", Value::List(vec![Value::EnumNumber(0), Value::EnumNumber(7)])),
            ("word", text("w")),
            ("big", Value::U64(u64::MAX)),
            ("signed", Value::I32(-3)),
            ("fixed", Value::U64(1 << 60)),
            ("ratio", Value::F64(0.000_000_25)),
            ("flags", Value::Map(flags.into())),
            ("small", Value::F32(1.5)),
            ("offset", Value::I32(-9)),
        ],
    );
    assert_eq!(
        json(&all),
        concat!(
            r#"{"big":18446744073709551615,"color":"RED","colors":["NONE",7],"data":"//4=","fixed":1152921504606846976,"#,
            r#""flags":{"-1":true,"0":false},"numbers":[-5,0],"offset":-9,"ratio":2.5e-7,"signed":-3,"small":1.5,"#,
            r#""word":"w"}"#
        )
    );
}

#[test]
fn sanitiser_unknown_enum_12345() {
    let capability =
        csi::VolumeCapability { access_mode: Some(AccessMode { mode: 12345 }), ..Default::default() };
    assert_eq!(to_json(&capability), r#"{"access_mode":{"mode":12345}}"#);
}

#[test]
fn sanitiser_message_of_a_newer_schema() {
    let pool = pool();
    let newer = message(
        &pool,
        "LoginNext",
        vec![("user", text("u")), ("token", text("hidden")), ("nickname", text("also unknown"))],
    );
    let shape = find(secrets::MESSAGES, "secrets.test.Login").unwrap();
    assert_eq!(bytes_to_json(shape, &newer.encode_to_vec()), r#"{"user":"u"}"#);
}

#[test]
fn sanitiser_debug_print_of_wrapper() {
    let request = create_volume();
    let wrapper = Stripped(&request);
    for text in [format!("{wrapper}"), format!("{wrapper:?}"), format!("{wrapper:#?}")] {
        assert_eq!(text, CREATE_VOLUME);
    }
}

#[test]
fn sanitiser_knows_the_registration_messages() {
    let status =
        csi_client::registration::RegistrationStatus { plugin_registered: true, error: String::new() };
    assert_eq!(to_json(&status), r#"{"plugin_registered":true}"#);
}

#[test]
fn sanitiser_well_known_types_have_no_special_form() {
    assert_eq!(to_json(&csi::ProbeResponse { ready: Some(true) }), r#"{"ready":{"value":true}}"#);
    assert_eq!(to_json(&csi::ProbeResponse { ready: Some(false) }), r#"{"ready":{}}"#);
    let creation_time = Some(prost_types::Timestamp { seconds: 5, nanos: 7 });
    let snapshot = csi::Snapshot { creation_time, ..Default::default() };
    assert_eq!(to_json(&snapshot), r#"{"creation_time":{"nanos":7,"seconds":5}}"#);
}

proptest! {
    #[test]
    fn no_secret_is_ever_printed(secrets in proptest::collection::btree_map("[A-Z]{8}", "[A-Z]{8}", 1..5)) {
        let request = csi::NodeStageVolumeRequest { volume_id: "v".into(), secrets, ..Default::default() };
        prop_assert_eq!(to_json(&request), r#"{"secrets":"***stripped***","volume_id":"v"}"#);
    }
}

/// The only test that changes the process-wide verbosity.
#[tokio::test]
async fn v5_logs_of_calls_are_built_only_when_wanted() {
    let (lines, _guard) = Lines::record();
    let volume = csi::Volume { volume_id: "a-volume".into(), ..Default::default() };
    let response = csi::CreateVolumeResponse { volume: Some(volume) };
    let settings = ConnectionSettings { max_log_length: Some(12), ..Default::default() };
    let connection = Connection::from_service(Driver::fixed(&response), settings);
    connection.create_volume(create_volume(), CallOptions::default()).await.unwrap();
    assert_eq!(lines.all(), Vec::<String>::new());

    verbosity::set(5);
    connection.create_volume(create_volume(), CallOptions::default()).await.unwrap();
    let failing = Driver::failing(Status::internal("no")).connection();
    failing.probe(csi::ProbeRequest {}, CallOptions::default()).await.unwrap_err();
    verbosity::set(0);
    assert_eq!(
        lines.all(),
        [
            format!("INFO GRPC call method=/csi.v1.Controller/CreateVolume request={CREATE_VOLUME} v=5"),
            "INFO GRPC response err=null response={\"volume\":{\" [response body too large, log capped to 12 \
             chars] v=5"
                .to_owned(),
            "INFO GRPC call method=/csi.v1.Identity/Probe request={} v=5".to_owned(),
            "INFO GRPC response err=rpc error: code = Internal desc = no response={} v=5".to_owned(),
        ]
    );
}
