//! Schemas of objects, as far as the six kinds need them.

use serde_json::{Map, Value, json};

use super::Rule;

/// What a value may be, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// For `kubectl explain`.
    pub description: &'static str,
    /// Its type.
    pub shape: Shape,
    /// Whether server-side apply takes the object or list as one thing.
    pub atomic: bool,
    /// What must hold besides, in upstream's order.
    pub rules: Vec<Rule>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Members with names of their own.
    Object(Vec<Property>),
    /// An object's metadata, which the API server knows.
    Metadata,
    /// Texts by names that the user chooses.
    Texts,
    /// A list of the same.
    List(Box<Schema>),
    /// A text.
    Text,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A point in time, as text.
    Time,
    /// A number of bytes with or without a unit, as text or number.
    Quantity,
    /// A whole number of 64 bits.
    Integer {
        /// The least value that is allowed.
        minimum: Option<i64>,
    },
    /// Yes or no.
    Flag,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Its value.
    pub schema: Schema,
}

/// The pattern of what the API server takes for a quantity.
pub const QUANTITY: &str = concat!(
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
);

impl Schema {
    pub(super) fn new(description: &'static str, shape: Shape) -> Self {
        Self { description, shape, atomic: false, rules: Vec::new() }
    }

    #[must_use]
    pub(super) fn atomic(mut self) -> Self {
        self.atomic = true;
        self
    }

    #[must_use]
    pub(super) fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// The schema without any rule or mark at any depth: what upstream's first versions have.
    #[must_use]
    pub(super) fn plain(mut self) -> Self {
        self.atomic = false;
        self.rules.clear();
        self.shape = match self.shape {
            Shape::Object(members) => Shape::Object(
                members
                    .into_iter()
                    .map(|member| Property { schema: member.schema.plain(), ..member })
                    .collect(),
            ),
            other => other,
        };
        self
    }

    /// In the language of custom resource definitions.
    pub fn to_json(&self) -> Value {
        let mut schema = self.shape.to_json();
        if !self.description.is_empty() {
            schema.insert("description".to_owned(), self.description.into());
        }
        if self.atomic {
            let mark = match self.shape {
                Shape::List(_) => "x-kubernetes-list-type",
                _ => "x-kubernetes-map-type",
            };
            schema.insert(mark.to_owned(), "atomic".into());
        }
        if !self.rules.is_empty() {
            let rules = self.rules.iter().map(|rule| rule.to_json()).collect();
            schema.insert("x-kubernetes-validations".to_owned(), Value::Array(rules));
        }
        schema.into()
    }
}

impl Shape {
    /// The name of the JSON type, as the API server calls it in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Object(_) | Self::Metadata | Self::Texts => "object",
            Self::List(_) => "array",
            Self::Text | Self::Choice(_) | Self::Time | Self::Quantity => "string",
            Self::Integer { .. } => "integer",
            Self::Flag => "boolean",
        }
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut schema = Map::new();
        let mut set = |name: &str, value: Value| schema.insert(name.to_owned(), value);
        set("type", self.type_name().into());
        match self {
            Self::Object(members) => {
                let properties: Map<String, Value> =
                    members.iter().map(|member| (member.name.to_owned(), member.schema.to_json())).collect();
                set("properties", properties.into());
                let required: Vec<&str> =
                    members.iter().filter(|member| member.required).map(|member| member.name).collect();
                if !required.is_empty() {
                    set("required", required.into());
                }
            }
            Self::Texts => {
                set("additionalProperties", json!({"type": "string"}));
            }
            Self::List(items) => {
                set("items", items.to_json());
            }
            Self::Choice(texts) => {
                set("enum", texts.to_vec().into());
            }
            Self::Time => {
                set("format", "date-time".into());
            }
            Self::Quantity => {
                set("pattern", QUANTITY.into());
                set("x-kubernetes-int-or-string", true.into());
            }
            Self::Integer { minimum } => {
                set("format", "int64".into());
                if let Some(minimum) = minimum {
                    set("minimum", (*minimum).into());
                }
            }
            Self::Text | Self::Flag | Self::Metadata => {}
        }
        schema
    }
}

pub(super) fn object<const N: usize>(description: &'static str, members: [Property; N]) -> Schema {
    Schema::new(description, Shape::Object(members.into()))
}

pub(super) fn text(description: &'static str) -> Schema {
    Schema::new(description, Shape::Text)
}

pub(super) fn texts(description: &'static str) -> Schema {
    Schema::new(description, Shape::Texts)
}

pub(super) fn time(description: &'static str) -> Schema {
    Schema::new(description, Shape::Time)
}

pub(super) fn integer(description: &'static str) -> Schema {
    Schema::new(description, Shape::Integer { minimum: None })
}

pub(super) fn flag(description: &'static str) -> Schema {
    Schema::new(description, Shape::Flag)
}

pub(super) fn list(description: &'static str, items: Schema) -> Schema {
    Schema::new(description, Shape::List(Box::new(items)))
}

pub(super) fn required(name: &'static str, schema: Schema) -> Property {
    Property { name, required: true, schema }
}

pub(super) fn optional(name: &'static str, schema: Schema) -> Property {
    Property { name, required: false, schema }
}
