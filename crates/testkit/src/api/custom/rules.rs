//! Validation rules, in Rust. The same table of cases runs on this and on a real server, which interprets them as CEL
//! (`conformance::rules`).

use serde_json::Value;
use snapshot_api::crd::{Rule, Schema, Shape};

use super::join;
use crate::api::failure::Cause;

/// Applies the rules of a schema at every depth; those about changes only where there was something before.
pub(super) fn check(schema: &Schema, new: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    for rule in &schema.rules {
        if let Some(hint) = complaint(rule, new, old) {
            causes.push(broken(path, new, &hint));
        }
    }
    let Shape::Object(members) = &schema.shape else { return };
    for member in members {
        if let Some(now) = new.get(member.name) {
            let before = old.and_then(|old| old.get(member.name));
            check(&member.schema, now, before, &join(path, member.name), causes);
        }
    }
}

/// What is wrong, if anything is.
fn complaint(rule: &Rule, new: &Value, old: Option<&Value>) -> Option<Hint> {
    let has = |object: &Value, member: &str| object.get(member).is_some();
    let had = |member: &str| old.is_some_and(|old| has(old, member));
    let kept = |member: &str| old.is_none_or(|old| old.get(member) == new.get(member));
    let holds = match rule {
        Rule::Immutable(_) => old.is_none_or(|old| old == new),
        Rule::RequiredOnceSet(member) => !had(member) || has(new, member),
        Rule::ExactlyOne(one, other) => has(new, one) != has(new, other),
        Rule::NotEmpty(_) => new.as_str() != Some(""),
        Rule::NamesObject(_) => has(new, "name") && has(new, "namespace"),
        Rule::KeepsObject(_) => {
            // CEL has no answer to a question about an absent member, unless the other half of the rule has it.
            let absent = ["name", "namespace"].into_iter().find(|member| had(member) && !has(new, member));
            let rest = ["name", "namespace"].into_iter().filter(|member| Some(*member) != absent);
            match absent {
                Some(member) if rest.into_iter().all(kept) => {
                    return Some(Hint::NoAnswer(format!(
                        "no such key: {member} evaluating rule: {}",
                        rule.message()
                    )));
                }
                _ => kept("name") && kept("namespace"),
            }
        }
        Rule::KeepsUid(_) => !had("uid") || kept("uid"),
    };
    (!holds).then(|| Hint::Broken(rule.message()))
}

enum Hint {
    Broken(String),
    NoAnswer(String),
}

/// The server shows plain values, and no others.
fn broken(path: &str, value: &Value, hint: &Hint) -> Cause {
    match hint {
        Hint::NoAnswer(text) => Cause::invalid(path, &"object".into(), text),
        Hint::Broken(text) if value.is_object() || value.is_array() => Cause {
            reason: "FieldValueInvalid",
            field: path.to_owned(),
            message: format!("Invalid value: {text}"),
        },
        Hint::Broken(text) => Cause::invalid(path, value, text),
    }
}
