//! Reads encoded messages against their tables.
//!
//! Only fields that the table knows are looked at; a secret is recognised by its number and its content is skipped
//! without being decoded.

use std::collections::BTreeMap;

use base64::Engine as _;
use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::STRIPPED;
use super::json::Json;
use super::shape::{FieldShape, Kind, MessageShape};

/// Why an encoded message could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The bytes are not a message.
    #[error("{0}")]
    Decode(#[from] prost::DecodeError),
    /// The bytes end too early.
    #[error("unexpected end of message")]
    Truncated,
    /// The field has another wire type than its definition.
    #[error("field {0} has an unexpected wire type")]
    WireType(&'static str),
    /// JSON has no NaN and no infinity.
    #[error("json: unsupported value: {0}")]
    Float(f64),
}

/// Content of one field before it is known what it means.
enum Raw<'a> {
    Varint(u64),
    Four([u8; 4]),
    Eight([u8; 8]),
    Block(&'a [u8]),
}

/// How a message is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As protobuf's own JSON: enumerations by name.
    Protobuf,
    /// As Go's encoder prints the generated structures: enumerations as numbers, one more level for a `oneof`.
    Plain {
        /// Whether secrets are printed.
        with_secrets: bool,
    },
}

pub(super) fn read_message(shape: &MessageShape, mut input: &[u8], style: Style) -> Result<Json, WireError> {
    let mut fields = BTreeMap::new();
    while input.has_remaining() {
        let (number, wire_type) = decode_key(&mut input)?;
        let Some(raw) = read_raw(wire_type, &mut input)? else { continue };
        let Some(field) = shape.field(number) else { continue };
        if field.secret && style != (Style::Plain { with_secrets: true }) {
            fields.insert(field.name.to_owned(), stripped(style));
        } else {
            add(&mut fields, field, raw, style)?;
        }
    }
    if style != Style::Protobuf {
        nest_oneof(shape, &mut fields);
    }
    Ok(Json::Object(fields))
}

/// In place of secrets; whoever reads the plain style expects a map.
fn stripped(style: Style) -> Json {
    let text = Json::Text(STRIPPED.to_owned());
    match style {
        Style::Protobuf => text,
        Style::Plain { .. } => Json::Object(BTreeMap::from([(STRIPPED.to_owned(), text)])),
    }
}

/// Messages that are one of several things: name, Go's name of the choice, and the fields to choose from.
const ONEOFS: [(&str, &str, &[&str]); 6] = [
    ("csi.v1.ControllerServiceCapability", "Type", &["rpc"]),
    ("csi.v1.GroupControllerServiceCapability", "Type", &["rpc"]),
    ("csi.v1.NodeServiceCapability", "Type", &["rpc"]),
    ("csi.v1.PluginCapability", "Type", &["service", "volume_expansion"]),
    ("csi.v1.VolumeCapability", "AccessType", &["block", "mount"]),
    ("csi.v1.VolumeContentSource", "Type", &["snapshot", "volume"]),
];

fn nest_oneof(shape: &MessageShape, fields: &mut BTreeMap<String, Json>) {
    let Some((_, choice, names)) = ONEOFS.iter().find(|(name, _, _)| *name == shape.name) else { return };
    for name in *names {
        if let Some(value) = fields.remove(*name) {
            let chosen = Json::Object(BTreeMap::from([(camel_case(name), value)]));
            fields.insert((*choice).to_owned(), chosen);
        }
    }
}

fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut characters = word.chars();
        characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
    };
    name.split('_').map(word).collect()
}

/// Takes the next content; nothing for the outdated group markers.
fn read_raw<'a>(wire_type: WireType, input: &mut &'a [u8]) -> Result<Option<Raw<'a>>, WireError> {
    Ok(Some(match wire_type {
        WireType::Varint => Raw::Varint(decode_varint(input)?),
        WireType::ThirtyTwoBit => Raw::Four(take_array(input)?),
        WireType::SixtyFourBit => Raw::Eight(take_array(input)?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(input)?).map_err(|_| WireError::Truncated)?;
            Raw::Block(take(input, length)?)
        }
        WireType::StartGroup | WireType::EndGroup => return Ok(None),
    }))
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], WireError> {
    let (head, tail) = input.split_at_checked(length).ok_or(WireError::Truncated)?;
    *input = tail;
    Ok(head)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], WireError> {
    take(input, N)?.try_into().map_err(|_| WireError::Truncated)
}

fn add(
    fields: &mut BTreeMap<String, Json>,
    field: &FieldShape,
    raw: Raw<'_>,
    style: Style,
) -> Result<(), WireError> {
    let key = field.name.to_owned();
    if let Kind::Map(key_kind, value_kind) = &field.kind {
        let Json::Object(map) = fields.entry(key).or_insert_with(|| Json::Object(BTreeMap::new())) else {
            return Err(WireError::WireType(field.name));
        };
        let Raw::Block(entry) = raw else { return Err(WireError::WireType(field.name)) };
        let (entry_key, value) = read_entry(field, key_kind, value_kind, entry, style)?;
        map.insert(entry_key, value);
        return Ok(());
    }
    if !field.repeated {
        fields.insert(key, read_value(field, &field.kind, &raw, style)?);
        return Ok(());
    }
    let Json::List(list) = fields.entry(key).or_insert_with(|| Json::List(Vec::new())) else {
        return Err(WireError::WireType(field.name));
    };
    match (element_wire_type(&field.kind), raw) {
        (Some(wire_type), Raw::Block(mut packed)) => {
            while packed.has_remaining() {
                if let Some(raw) = read_raw(wire_type, &mut packed)? {
                    list.push(read_value(field, &field.kind, &raw, style)?);
                }
            }
        }
        (_, raw) => list.push(read_value(field, &field.kind, &raw, style)?),
    }
    Ok(())
}

/// How the elements of a packed list are encoded; nothing for kinds that are never packed.
fn element_wire_type(kind: &Kind) -> Option<WireType> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Map(..) => None,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Some(WireType::SixtyFourBit),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Some(WireType::ThirtyTwoBit),
        _ => Some(WireType::Varint),
    }
}

fn read_entry(
    field: &FieldShape,
    key_kind: &Kind,
    value_kind: &Kind,
    mut entry: &[u8],
    style: Style,
) -> Result<(String, Json), WireError> {
    let (mut key, mut value) = (zero(key_kind, style), zero(value_kind, style));
    while entry.has_remaining() {
        let (number, wire_type) = decode_key(&mut entry)?;
        match (number, read_raw(wire_type, &mut entry)?) {
            (1, Some(raw)) => key = read_value(field, key_kind, &raw, style)?,
            (2, Some(raw)) => value = read_value(field, value_kind, &raw, style)?,
            _ => {}
        }
    }
    let key = match key {
        Json::Text(text) => text,
        other => other.to_string(),
    };
    Ok((key, value))
}

/// What an omitted key or value of a map entry means.
fn zero(kind: &Kind, style: Style) -> Json {
    match kind {
        Kind::String | Kind::Bytes => Json::Text(String::new()),
        Kind::Bool => Json::Bool(false),
        Kind::Message(_) | Kind::Map(..) => Json::Object(BTreeMap::new()),
        Kind::Enum(shape) => enum_value(shape, 0, style),
        _ => Json::Number("0".to_owned()),
    }
}

fn enum_value(shape: &super::shape::EnumShape, number: i32, style: Style) -> Json {
    let name = shape.name(number).filter(|_| style == Style::Protobuf);
    name.map_or_else(|| Json::Number(number.to_string()), |name| Json::Text(name.to_owned()))
}

fn number(value: impl ToString + Copy) -> Json {
    Json::Number(value.to_string())
}

// The truncations are those of the encoding: a varint holds the sign-extended 64-bit form of every narrower type.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
fn read_value(field: &FieldShape, kind: &Kind, raw: &Raw<'_>, style: Style) -> Result<Json, WireError> {
    Ok(match (kind, raw) {
        (Kind::Bool, &Raw::Varint(value)) => Json::Bool(value != 0),
        (Kind::Int32, &Raw::Varint(value)) => number(value as i32),
        (Kind::Int64, &Raw::Varint(value)) => number(value as i64),
        (Kind::Uint32, &Raw::Varint(value)) => number(value as u32),
        (Kind::Uint64, &Raw::Varint(value)) => number(value),
        (Kind::Sint32 | Kind::Sint64, &Raw::Varint(value)) => {
            number((value >> 1) as i64 ^ -((value & 1) as i64))
        }
        (Kind::Enum(shape), &Raw::Varint(value)) => enum_value(shape, value as i32, style),
        (Kind::Fixed32, &Raw::Four(bytes)) => number(u32::from_le_bytes(bytes)),
        (Kind::Sfixed32, &Raw::Four(bytes)) => number(i32::from_le_bytes(bytes)),
        (Kind::Fixed64, &Raw::Eight(bytes)) => number(u64::from_le_bytes(bytes)),
        (Kind::Sfixed64, &Raw::Eight(bytes)) => number(i64::from_le_bytes(bytes)),
        (Kind::Float, &Raw::Four(bytes)) => {
            let value = f32::from_le_bytes(bytes);
            Json::float(value).ok_or(WireError::Float(value.into()))?
        }
        (Kind::Double, &Raw::Eight(bytes)) => {
            let value = f64::from_le_bytes(bytes);
            Json::float(value).ok_or(WireError::Float(value))?
        }
        (Kind::String, &Raw::Block(bytes)) => Json::Text(String::from_utf8_lossy(bytes).into_owned()),
        (Kind::Bytes, &Raw::Block(bytes)) => {
            Json::Text(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        (Kind::Message(shape), &Raw::Block(bytes)) => read_message(shape, bytes, style)?,
        _ => return Err(WireError::WireType(field.name)),
    })
}
