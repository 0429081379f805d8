//! The Secret that a class names for its driver (sheet 5.0, csi-snapshotter 6.5).
//!
//! Only its name is needed here: it is written on the content, and the driver's own snapshotter reads it.

use std::collections::BTreeMap;

use sidecar_core::objects::Meta;
use sidecar_core::secret_reference::{Keys, SecretError};
use snapshot_api::names::annotations;
use snapshot_api::names::parameters::{
    GROUP_SECRET_NAME, GROUP_SECRET_NAMESPACE, SECRET_NAME, SECRET_NAMESPACE,
};

type Parameters = BTreeMap<Box<str>, Box<str>>;

/// Annotations of a content.
pub type Annotations = Option<BTreeMap<String, String>>;

const OF_SNAPSHOTS: Keys =
    Keys { title: "Snapshotter", name: SECRET_NAME, namespace: SECRET_NAMESPACE, deprecated: None };

const OF_GROUPS: Keys = Keys {
    title: "GroupSnapshotter",
    name: GROUP_SECRET_NAME,
    namespace: GROUP_SECRET_NAMESPACE,
    deprecated: None,
};

/// The annotations of a snapshot's content that name the Secret of its class, if it has one.
pub fn of_snapshot(parameters: &Parameters, content: &str, snapshot: &Meta) -> Result<Annotations, String> {
    let tokens = Tokens { prefix: "volumesnapshot", content, owner: snapshot };
    let keys = (annotations::SECRET_NAME, annotations::SECRET_NAMESPACE);
    resolve(&OF_SNAPSHOTS, parameters, &tokens, keys).map_err(|error| error.to_string())
}

/// The same for the content of a group.
pub fn of_group(parameters: &Parameters, content: &str, group: &Meta) -> Result<Annotations, String> {
    let tokens = Tokens { prefix: "volumegroupsnapshot", content, owner: group };
    let keys = (annotations::GROUP_SECRET_NAME, annotations::GROUP_SECRET_NAMESPACE);
    resolve(&OF_GROUPS, parameters, &tokens, keys).map_err(|error| error.to_string())
}

/// What templates may say.
struct Tokens<'a> {
    prefix: &'static str,
    content: &'a str,
    owner: &'a Meta,
}

impl Tokens<'_> {
    fn namespace(&self, token: &str) -> Option<String> {
        match token.strip_prefix(self.prefix)? {
            "content.name" => Some(self.content.to_owned()),
            ".namespace" => Some(self.owner.namespace().to_owned()),
            _ => None,
        }
    }

    fn name(&self, token: &str) -> Option<String> {
        match token.strip_prefix(self.prefix)? {
            ".name" => Some(self.owner.name.to_string()),
            _ => self.namespace(token),
        }
    }
}

fn resolve(
    keys: &Keys,
    parameters: &Parameters,
    tokens: &Tokens<'_>,
    (name, namespace): (&str, &str),
) -> Result<Annotations, SecretError> {
    let Some(template) = keys.template(parameters).map_err(SecretError::Template)? else { return Ok(None) };
    let secret = template.resolve(|token| tokens.name(token), |token| tokens.namespace(token))?;
    Ok(Some(BTreeMap::from([(name.to_owned(), secret.name), (namespace.to_owned(), secret.namespace)])))
}
