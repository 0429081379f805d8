//! The layout of messages as static tables; the generator in `codegen/` writes them.

/// Layout of one message.
#[derive(Debug)]
pub struct MessageShape {
    /// Full name, for example `csi.v1.CreateVolumeRequest`.
    pub name: &'static str,
    /// Fields in ascending order of their numbers.
    pub fields: &'static [FieldShape],
}

/// Layout of one field.
#[derive(Debug)]
pub struct FieldShape {
    /// Number on the wire.
    pub number: u32,
    /// Name in the definition, which is also the key in JSON.
    pub name: &'static str,
    /// Type of the value, or of one element.
    pub kind: Kind,
    /// Whether it is a list. Maps are not.
    pub repeated: bool,
    /// Whether it carries the option `csi_secret`.
    pub secret: bool,
}

/// Type of a value.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the definition language")]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Message(&'static MessageShape),
    Enum(&'static EnumShape),
    Map(&'static Kind, &'static Kind),
}

/// Names of an enumeration's values, in ascending order of their numbers.
#[derive(Debug)]
pub struct EnumShape {
    /// Number and name.
    pub values: &'static [(i32, &'static str)],
}

impl MessageShape {
    /// The field with this number.
    #[must_use]
    pub fn field(&self, number: u32) -> Option<&FieldShape> {
        let index = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(index)
    }
}

impl EnumShape {
    /// The name of this number.
    #[must_use]
    pub fn name(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }
}

/// Looks a message up in a table that is sorted by full name.
#[must_use]
pub fn find(table: &[&'static MessageShape], full_name: &str) -> Option<&'static MessageShape> {
    let index = table.binary_search_by(|shape| shape.name.cmp(full_name)).ok()?;
    table.get(index).copied()
}
