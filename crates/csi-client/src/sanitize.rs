//! Messages as one line of JSON without secrets (common-library sheet, section 5.5).
//!
//! The fields to strip are those with the option `csi_secret` in `proto/csi.proto`: the generator writes the
//! layout of every message, with that flag, into a table. A message is encoded and then read against the table, so
//! normal operation pays nothing, and a field that the table does not know is never printed.

use std::fmt;

use prost::{Message, Name};

mod json;
pub mod shape;
mod wire;

use json::Json;
use shape::MessageShape;
use wire::Style;

/// What stands in place of a secret.
pub const STRIPPED: &str = "***stripped***";

#[allow(unreachable_pub, clippy::pedantic, reason = "generated")]
mod shapes {
    include!("gen/shapes.rs");
}

/// The message as JSON with its secrets stripped.
///
/// Types other than those of `proto/` have no table and print as `{}`, since nothing is known of their secrets.
#[must_use]
pub fn to_json<M: Message + Name>(message: &M) -> String {
    let name = M::full_name();
    match shape::find(shapes::MESSAGES, &name) {
        Some(shape) => bytes_to_json(shape, &message.encode_to_vec()),
        None => "{}".to_owned(),
    }
}

/// An encoded message of any schema as JSON with its secrets stripped.
#[must_use]
pub fn bytes_to_json(shape: &MessageShape, encoded: &[u8]) -> String {
    print(shape, encoded, Style::Protobuf)
}

/// The message as Go's encoder prints the generated structure, for those who parse the log of a driver: field names
/// of the definition, enumerations as numbers, a `oneof` as one more level (hostpath-driver sheet, 3.3).
#[must_use]
pub fn to_plain_json<M: Message + Name>(message: &M, with_secrets: bool) -> String {
    let name = M::full_name();
    let style = Style::Plain { with_secrets };
    match shape::find(shapes::MESSAGES, &name) {
        Some(shape) => print(shape, &message.encode_to_vec(), style),
        None => "{}".to_owned(),
    }
}

fn print(shape: &MessageShape, encoded: &[u8], style: Style) -> String {
    match wire::read_message(shape, encoded, style) {
        Ok(value) => value.to_string(),
        Err(error) => format!("<<json.Marshal {}: {error}>>", shape.name),
    }
}

/// Any other value as JSON, in the same form.
#[must_use]
pub fn value_to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(value) => Json::from(value).to_string(),
        Err(error) => format!("<<json.Marshal {}: {error}>>", std::any::type_name::<T>()),
    }
}

/// A message that can be put into a log line: it displays, also for debugging, without secrets.
pub struct Stripped<'a, M>(pub &'a M);

impl<M: Message + Name> fmt::Display for Stripped<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&to_json(self.0))
    }
}

impl<M: Message + Name> fmt::Debug for Stripped<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::shapes::MESSAGES;

    /// csi-proto sheet, section 2.2: what is known to be secret in CSI 1.12 and 1.13.
    const SECRETS: &str = "ControllerExpandVolumeRequest(3) ControllerGetVolumeHealthRequest(2) \
        ControllerListVolumeHealthRequest(3) ControllerModifyVolumeRequest(2) ControllerPublishVolumeRequest(5) \
        ControllerUnpublishVolumeRequest(3) CreateSnapshotRequest(3) CreateVolumeGroupSnapshotRequest(3) \
        CreateVolumeRequest(5) DeleteSnapshotRequest(2) DeleteVolumeGroupSnapshotRequest(3) DeleteVolumeRequest(2) \
        GetMetadataAllocatedRequest(4) GetMetadataDeltaRequest(5) GetSnapshotRequest(2) \
        GetVolumeGroupSnapshotRequest(3) ListSnapshotsRequest(5) NodeExpandVolumeRequest(6) \
        NodeGetStorageHealthRequest(1) NodePublishVolumeRequest(7) NodeStageVolumeRequest(5) \
        ValidateVolumeCapabilitiesRequest(5)";

    #[test]
    fn the_secrets_are_those_of_the_sheet() {
        let found: Vec<_> = MESSAGES
            .iter()
            .flat_map(|message| {
                message.fields.iter().filter(|field| field.secret).map(|field| (message.name, field))
            })
            .inspect(|(_, field)| assert_eq!(field.name, "secrets"))
            .map(|(message, field)| format!("{}({})", message.trim_start_matches("csi.v1."), field.number))
            .collect();
        assert_eq!(found.join(" "), SECRETS);
    }

    #[test]
    fn the_plain_form_is_that_of_gos_encoder() {
        use crate::csi;
        use csi::volume_capability::{AccessMode, AccessType, MountVolume};
        let request = csi::CreateVolumeRequest {
            name: "v".into(),
            volume_capabilities: vec![csi::VolumeCapability {
                access_mode: Some(AccessMode { mode: 7 }),
                access_type: Some(AccessType::Mount(MountVolume::default())),
            }],
            secrets: [("user".to_owned(), "hunter2".to_owned())].into(),
            ..csi::CreateVolumeRequest::default()
        };
        let capabilities = r#""volume_capabilities":[{"AccessType":{"Mount":{}},"access_mode":{"mode":7}}]"#;
        assert_eq!(
            super::to_plain_json(&request, false),
            format!(r#"{{"name":"v","secrets":{{"***stripped***":"***stripped***"}},{capabilities}}}"#)
        );
        assert_eq!(
            super::to_plain_json(&request, true),
            format!(r#"{{"name":"v","secrets":{{"user":"hunter2"}},{capabilities}}}"#)
        );
    }

    #[test]
    fn tables_can_be_searched() {
        assert!(MESSAGES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for message in MESSAGES {
            assert!(
                message.fields.windows(2).all(|pair| pair[0].number < pair[1].number),
                "{}",
                message.name
            );
        }
    }
}
