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

pub(super) fn read_message(shape: &MessageShape, mut input: &[u8]) -> Result<Json, WireError> {
    let mut fields = BTreeMap::new();
    while input.has_remaining() {
        let (number, wire_type) = decode_key(&mut input)?;
        let Some(raw) = read_raw(wire_type, &mut input)? else { continue };
        let Some(field) = shape.field(number) else { continue };
        if field.secret {
            fields.insert(field.name.to_owned(), Json::Text(STRIPPED.to_owned()));
        } else {
            add(&mut fields, field, raw)?;
        }
    }
    Ok(Json::Object(fields))
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

fn add(fields: &mut BTreeMap<String, Json>, field: &FieldShape, raw: Raw<'_>) -> Result<(), WireError> {
    let key = field.name.to_owned();
    if let Kind::Map(key_kind, value_kind) = &field.kind {
        let Json::Object(map) = fields.entry(key).or_insert_with(|| Json::Object(BTreeMap::new())) else {
            return Err(WireError::WireType(field.name));
        };
        let Raw::Block(entry) = raw else { return Err(WireError::WireType(field.name)) };
        let (entry_key, value) = read_entry(field, key_kind, value_kind, entry)?;
        map.insert(entry_key, value);
        return Ok(());
    }
    if !field.repeated {
        fields.insert(key, read_value(field, &field.kind, &raw)?);
        return Ok(());
    }
    let Json::List(list) = fields.entry(key).or_insert_with(|| Json::List(Vec::new())) else {
        return Err(WireError::WireType(field.name));
    };
    match (element_wire_type(&field.kind), raw) {
        (Some(wire_type), Raw::Block(mut packed)) => {
            while packed.has_remaining() {
                if let Some(raw) = read_raw(wire_type, &mut packed)? {
                    list.push(read_value(field, &field.kind, &raw)?);
                }
            }
        }
        (_, raw) => list.push(read_value(field, &field.kind, &raw)?),
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
) -> Result<(String, Json), WireError> {
    let (mut key, mut value) = (zero(key_kind), zero(value_kind));
    while entry.has_remaining() {
        let (number, wire_type) = decode_key(&mut entry)?;
        match (number, read_raw(wire_type, &mut entry)?) {
            (1, Some(raw)) => key = read_value(field, key_kind, &raw)?,
            (2, Some(raw)) => value = read_value(field, value_kind, &raw)?,
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
fn zero(kind: &Kind) -> Json {
    match kind {
        Kind::String | Kind::Bytes => Json::Text(String::new()),
        Kind::Bool => Json::Bool(false),
        Kind::Message(_) | Kind::Map(..) => Json::Object(BTreeMap::new()),
        Kind::Enum(shape) => enum_value(shape, 0),
        _ => Json::Number("0".to_owned()),
    }
}

fn enum_value(shape: &super::shape::EnumShape, number: i32) -> Json {
    shape.name(number).map_or_else(|| Json::Number(number.to_string()), |name| Json::Text(name.to_owned()))
}

fn number(value: impl ToString + Copy) -> Json {
    Json::Number(value.to_string())
}

// The truncations are those of the encoding: a varint holds the sign-extended 64-bit form of every narrower type.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
fn read_value(field: &FieldShape, kind: &Kind, raw: &Raw<'_>) -> Result<Json, WireError> {
    Ok(match (kind, raw) {
        (Kind::Bool, &Raw::Varint(value)) => Json::Bool(value != 0),
        (Kind::Int32, &Raw::Varint(value)) => number(value as i32),
        (Kind::Int64, &Raw::Varint(value)) => number(value as i64),
        (Kind::Uint32, &Raw::Varint(value)) => number(value as u32),
        (Kind::Uint64, &Raw::Varint(value)) => number(value),
        (Kind::Sint32 | Kind::Sint64, &Raw::Varint(value)) => {
            number((value >> 1) as i64 ^ -((value & 1) as i64))
        }
        (Kind::Enum(shape), &Raw::Varint(value)) => enum_value(shape, value as i32),
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
        (Kind::Message(shape), &Raw::Block(bytes)) => read_message(shape, bytes)?,
        _ => return Err(WireError::WireType(field.name)),
    })
}
