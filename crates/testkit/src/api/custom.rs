//! Custom resources as their definitions have them: what is not in the schema is dropped, what is in it is checked, rules
//! are applied. The definitions are those of `snapshot_api::crd`, which are the ones that users install.

mod quantity;
mod rules;
mod shapes;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use snapshot_api::crd::{Schema, Shape, definition};
use snapshot_api::names::kinds;

use super::failure::Cause;
use super::resources::Resource;

/// The schemas of the version that is served, by kind.
static SCHEMAS: LazyLock<BTreeMap<&'static str, Schema>> = LazyLock::new(|| {
    let current = |kind: &'static kinds::SnapshotKind| {
        let definition = definition(kind);
        definition.current().map(|version| (kind.kind, version.schema.clone()))
    };
    kinds::ALL.into_iter().filter_map(current).collect()
});

/// What a write is checked against.
fn schema(resource: &Resource) -> Option<&'static Schema> {
    SCHEMAS.get(resource.kind).filter(|_| resource.custom)
}

/// Drops what the schema does not know.
pub(crate) fn prune(resource: &Resource, object: &mut Value) {
    if let Some(schema) = schema(resource) {
        prune_value(schema, object);
    }
}

fn prune_value(schema: &Schema, value: &mut Value) {
    match (&schema.shape, value) {
        (Shape::Object(members), Value::Object(fields)) => {
            fields.retain(|name, _| members.iter().any(|member| member.name == name));
            for member in members {
                if let Some(field) = fields.get_mut(member.name) {
                    prune_value(&member.schema, field);
                }
            }
        }
        (Shape::List(items), Value::Array(values)) => {
            for value in values {
                prune_value(items, value);
            }
        }
        _ => {}
    }
}

/// Checks a new object.
pub(crate) fn check_create(resource: &Resource, new: &Value, causes: &mut Vec<Cause>) {
    if let Some(schema) = schema(resource) {
        check(schema, "", schema, new, None, causes);
    }
}

/// Checks a change; of a write to the status only the status is looked at.
pub(crate) fn check_update(
    resource: &Resource,
    new: &Value,
    old: &Value,
    status: bool,
    causes: &mut Vec<Cause>,
) {
    let Some(whole) = schema(resource) else { return };
    if !status {
        return check(whole, "", whole, new, Some(old), causes);
    }
    if let (Some(schema), Some(now)) = (member(whole, "status"), new.get("status")) {
        check(whole, "status", schema, now, old.get("status"), causes);
    }
}

fn member<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    let Shape::Object(members) = &schema.shape else { return None };
    members.iter().find(|member| member.name == name).map(|member| &member.schema)
}

/// Shapes first; rules only if what they look at has the right shape.
fn check(
    whole: &Schema,
    root: &str,
    schema: &Schema,
    new: &Value,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    let found = causes.len();
    shapes::check(schema, new, root, root, causes);
    if !has_rules(whole) {
        return;
    }
    if causes.iter().skip(found).any(blocks) {
        causes.push(Cause::invalid(
            "<nil>",
            &Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors to \
             complete validation",
        ));
    } else {
        rules::check(schema, new, old, root, causes);
    }
}

fn blocks(cause: &Cause) -> bool {
    ["FieldValueRequired", "FieldValueTypeInvalid", "FieldValueNotSupported"].contains(&cause.reason)
}

fn has_rules(schema: &Schema) -> bool {
    !schema.rules.is_empty()
        || match &schema.shape {
            Shape::Object(members) => members.iter().any(|member| has_rules(&member.schema)),
            Shape::List(items) => has_rules(items),
            _ => false,
        }
}

/// The path of a member.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
