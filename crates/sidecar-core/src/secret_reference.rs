//! References to Secrets in the parameters of a class: which pair of keys holds one, how its templates are filled in, and
//! what makes it invalid (sheets csi-provisioner 6.2, csi-snapshotter 6.5).
//!
//! The keys, and which tokens a template may have, are the caller's.

mod expand;

use std::collections::{BTreeMap, BTreeSet};

use self::expand::expand;
use crate::go_text::quote;

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// The pair of keys of one purpose.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// What messages call the purpose.
    pub title: &'static str,
    /// The key with the name.
    pub name: &'static str,
    /// The key with the namespace.
    pub namespace: &'static str,
    /// What the two were called once, if they were.
    pub deprecated: Option<(&'static str, &'static str)>,
}

/// What a class says under a pair of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    /// Name, not empty.
    pub name: &'a str,
    /// Namespace, not empty.
    pub namespace: &'a str,
}

/// Why there is no usable reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The keys of the purpose are at odds.
    #[error("failed to get name and namespace template from params: {0}")]
    Template(TemplateError),
    /// The keys that stand in for every purpose are at odds (StorageClasses only).
    #[error("failed to get default name and namespace template from params: {0}")]
    DefaultTemplate(TemplateError),
    /// A token that does not exist here.
    #[error("error resolving value {}: invalid tokens: {}", quote(.0), .1)]
    InvalidTokens(String, String),
    /// The value cannot name an object, and was no template.
    #[error("{} is not a valid {} name", quote(.0), .1)]
    Invalid(String, &'static str),
    /// What came out of a template cannot name an object.
    #[error("{} resolved to {} which is not a valid {} name", quote(.0), quote(.1), .2)]
    ResolvedInvalid(String, String, &'static str),
}

/// How a pair of keys can be at odds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Deprecated and present key say the same thing.
    #[error("{0} secrets specified in parameters with both \"csi\" and \"csi.storage.k8s.io/\" keys")]
    Both(&'static str),
    /// Only one half is there.
    #[error("either name and namespace for {0} secrets specified, Both must be specified")]
    Half(&'static str),
    /// One half is empty.
    #[error("{0} secrets specified in parameters but value of either namespace or name is empty")]
    Empty(&'static str),
}

impl Keys {
    /// Whether `key` is one of the pair; the deprecated ones are not.
    pub fn has(&self, key: &str) -> bool {
        key == self.name || key == self.namespace
    }

    /// What `parameters` say under these keys. Both are there, or none.
    pub fn template<'a>(
        &self,
        parameters: &'a BTreeMap<Box<str>, Box<str>>,
    ) -> Result<Option<Template<'a>>, TemplateError> {
        let half = |current: &str, deprecated: Option<&str>| -> Result<Option<&'a str>, TemplateError> {
            let old = deprecated.and_then(|key| parameters.get(key));
            match (parameters.get(current), old) {
                (Some(_), Some(_)) => Err(TemplateError::Both(self.title)),
                (found, other) => Ok(found.or(other).map(|value| &**value)),
            }
        };
        let name = half(self.name, self.deprecated.map(|(name, _)| name))?;
        let namespace = half(self.namespace, self.deprecated.map(|(_, namespace)| namespace))?;
        match (name, namespace) {
            (None, None) => Ok(None),
            (Some(name), Some(namespace)) if !name.is_empty() && !namespace.is_empty() => {
                Ok(Some(Template { name, namespace }))
            }
            (Some(_), Some(_)) => Err(TemplateError::Empty(self.title)),
            _ => Err(TemplateError::Half(self.title)),
        }
    }
}

impl Template<'_> {
    /// The Secret that is meant. `name_token` and `namespace_token` say what a token stands for in the two halves.
    pub fn resolve(
        &self,
        name_token: impl Fn(&str) -> Option<String>,
        namespace_token: impl Fn(&str) -> Option<String>,
    ) -> Result<SecretRef, SecretError> {
        let namespace = fill(self.namespace, "namespace", is_dns_label, namespace_token)?;
        let name = fill(self.name, "secret", is_dns_subdomain, name_token)?;
        Ok(SecretRef { name, namespace })
    }
}

/// Fills in a template and checks that the outcome can name an object.
fn fill(
    template: &str,
    what: &'static str,
    valid: fn(&str) -> bool,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, SecretError> {
    let mut missing = BTreeSet::new();
    let resolved = expand(template, |token| {
        lookup(token).unwrap_or_else(|| {
            missing.insert(token.to_owned());
            String::new()
        })
    });
    if !missing.is_empty() {
        let quoted: Vec<_> = missing.iter().map(|token| quote(token)).collect();
        return Err(SecretError::InvalidTokens(template.to_owned(), format!("[{}]", quoted.join(" "))));
    }
    match (valid(&resolved), resolved == template) {
        (true, _) => Ok(resolved),
        (false, true) => Err(SecretError::Invalid(resolved, what)),
        (false, false) => Err(SecretError::ResolvedInvalid(template.to_owned(), resolved, what)),
    }
}

/// A DNS-1123 label: what a namespace may be called.
fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_label_shaped(text)
}

/// A DNS-1123 subdomain: what a Secret may be called. Its parts have no limit of their own.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_shaped)
}

fn is_label_shaped(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_names() {
        let long = "a".repeat(64);
        assert!(!is_dns_label(&long) && is_dns_label(&long[1..]));
        assert!(is_dns_subdomain(&long));
        assert!(is_dns_subdomain(&"a".repeat(253)) && !is_dns_subdomain(&"a".repeat(254)));
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a_b", "-a", "a-"] {
            assert!(!is_dns_subdomain(bad), "{bad:?}");
        }
    }

    #[test]
    fn each_half_has_tokens_of_its_own() {
        let template = Template { name: "${name}-${space}", namespace: "${space}" };
        let of = |known: &'static [&str]| move |token: &str| known.contains(&token).then(|| token.to_owned());
        let found = template.resolve(of(&["name", "space"]), of(&["space"])).unwrap();
        assert_eq!(found, SecretRef { name: "name-space".into(), namespace: "space".into() });
        let error = template.resolve(of(&["space"]), of(&["space"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"error resolving value "${name}-${space}": invalid tokens: ["name"]"#
        );
    }
}
