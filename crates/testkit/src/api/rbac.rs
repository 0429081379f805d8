//! Who is asking and what they may do. Users without rules may do everything, so that a test speaks of
//! permissions only when it is about them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::doc;
use super::failure::Failure;
use super::resources::Resource;

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// API groups; `*` is all.
    pub groups: Vec<String>,
    /// Plurals, `plural/status` for subresources; `*` is all.
    pub resources: Vec<String>,
    /// Verbs; `*` is all.
    pub verbs: Vec<String>,
    /// Object names; empty is all.
    pub names: Vec<String>,
    /// The namespace that the rule holds in; `None` is the whole cluster.
    pub namespace: Option<String>,
}

impl Rule {
    /// A rule on one group, cluster-wide.
    pub fn new(group: &str, resources: &[&str], verbs: &[&str]) -> Self {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Self {
            groups: vec![group.to_owned()],
            resources: owned(resources),
            verbs: owned(verbs),
            ..Self::default()
        }
    }

    /// The same rule in one namespace only.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// The rules of a Role or ClusterRole manifest.
    pub fn of_role(role: &Value, namespace: Option<&str>) -> Vec<Self> {
        let strings = |rule: &Value, key: &str| -> Vec<String> {
            doc::list(rule, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        doc::list(role, "/rules")
            .iter()
            .map(|rule| Self {
                groups: strings(rule, "/apiGroups"),
                resources: strings(rule, "/resources"),
                verbs: strings(rule, "/verbs"),
                names: strings(rule, "/resourceNames"),
                namespace: namespace.map(str::to_owned),
            })
            .collect()
    }

    fn allows(&self, call: &Attributes<'_>) -> bool {
        let has = |list: &[String], item: &str| list.iter().any(|entry| entry == "*" || entry == item);
        has(&self.groups, call.resource.group)
            && has(&self.resources, &call.resource_name())
            && has(&self.verbs, call.verb)
            && (self.names.is_empty() || self.names.iter().any(|name| name == call.name))
            && self.namespace.as_deref().is_none_or(|namespace| namespace == call.namespace)
    }
}

/// A request as the authorizer sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub(crate) user: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) resource: &'static Resource,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl Attributes<'_> {
    fn resource_name(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.plural.to_owned()
        } else {
            format!("{}/{}", self.resource.plural, self.subresource)
        }
    }
}

/// Users, their tokens and their rules.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    /// Token to user.
    tokens: BTreeMap<String, String>,
    rules: BTreeMap<String, Vec<Rule>>,
}

/// The user of requests that bring no credentials.
pub const ADMIN: &str = "system:admin";

impl Policy {
    pub(crate) fn set_rules(&mut self, user: &str, rules: Vec<Rule>) {
        self.rules.insert(user.to_owned(), rules);
    }

    pub(crate) fn set_token(&mut self, token: &str, user: Option<&str>) {
        match user {
            Some(user) => self.tokens.insert(token.to_owned(), user.to_owned()),
            None => self.tokens.remove(token),
        };
    }

    /// The user of a request; an unknown token is refused.
    pub(crate) fn authenticate(&self, authorization: Option<&str>) -> Result<String, Failure> {
        let Some(authorization) = authorization else { return Ok(ADMIN.to_owned()) };
        let token = authorization.strip_prefix("Bearer ").unwrap_or(authorization);
        self.tokens.get(token).cloned().ok_or_else(Failure::unauthorized)
    }

    pub(crate) fn authorize(&self, call: &Attributes<'_>) -> Result<(), Failure> {
        let Some(rules) = self.rules.get(call.user) else { return Ok(()) };
        if rules.iter().any(|rule| rule.allows(call)) {
            return Ok(());
        }
        let place = if call.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", call.namespace)
        };
        let action = format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {place}",
            call.user,
            call.verb,
            call.resource_name(),
            call.resource.group,
        );
        Err(Failure::forbidden(call.resource, call.name, &action))
    }
}
