//! Validation rules: each is one of a few kinds, and says itself in CEL.

use serde_json::{Value, json};

/// What must hold for a value, or for its change.
///
/// A rule about a change is asked only if the value was there before and is there now, as the API server does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The value never changes; the message is given, as upstream words it in two ways.
    Immutable(&'static str),
    /// The member does not go away.
    RequiredOnceSet(&'static str),
    /// One of two members is there, and not the other.
    ExactlyOne(&'static str, &'static str),
    /// The text is not empty; the field's name is for the message.
    NotEmpty(&'static str),
    /// A reference has a name and a namespace; how the message calls the reference.
    NamesObject(&'static str),
    /// A reference keeps its name and namespace; how the message calls the reference.
    KeepsObject(&'static str),
    /// A reference keeps its UID, once it has one; how the message calls the reference.
    KeepsUid(&'static str),
}

impl Rule {
    /// The rule in CEL.
    pub fn cel(&self) -> String {
        match self {
            Self::Immutable(_) => "self == oldSelf".to_owned(),
            Self::RequiredOnceSet(member) => format!("!has(oldSelf.{member}) || has(self.{member})"),
            Self::ExactlyOne(one, other) => {
                format!("(has(self.{one}) && !has(self.{other})) || (!has(self.{one}) && has(self.{other}))")
            }
            Self::NotEmpty(_) => "size(self) > 0".to_owned(),
            // `namespace` is a reserved word of CEL.
            Self::NamesObject(_) => "has(self.name) && has(self.__namespace__)".to_owned(),
            Self::KeepsObject(_) => {
                "self.name == oldSelf.name && self.__namespace__ == oldSelf.__namespace__".to_owned()
            }
            Self::KeepsUid(_) => "!has(oldSelf.uid) || (has(self.uid) && self.uid == oldSelf.uid)".to_owned(),
        }
    }

    /// What the API server says when it does not hold.
    pub fn message(&self) -> String {
        match self {
            Self::Immutable(message) => (*message).to_owned(),
            Self::RequiredOnceSet(member) => format!("{member} is required once set"),
            Self::ExactlyOne(one, other) => format!("exactly one of {one} and {other} must be set"),
            Self::NotEmpty(field) => format!("{field} must not be the empty string when set"),
            Self::NamesObject(field) => format!("both {field}.name and {field}.namespace must be set"),
            Self::KeepsObject(field) => format!("{field}.name and {field}.namespace are immutable"),
            Self::KeepsUid(field) => format!("{field}.uid is immutable once set"),
        }
    }

    /// As it stands in a schema.
    pub(super) fn to_json(self) -> Value {
        json!({"rule": self.cel(), "message": self.message()})
    }
}
