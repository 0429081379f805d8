//! Discovery and version endpoints.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::resources::{Resource, StatusSubresource};

const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer for a path that is not about objects, `None` for 404.
pub(crate) fn answer(path: &str, served: &[&'static Resource]) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(version()),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        })),
        ["apis"] => {
            let groups: Vec<Value> =
                groups(served).iter().map(|(name, versions)| group(name, versions)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let groups = groups(served);
            let mut found = group(name, groups.get(name)?);
            super::doc::set(&mut found, &["kind"], "APIGroup");
            super::doc::set(&mut found, &["apiVersion"], "v1");
            Some(found)
        }
        ["api", version] => resources("", version, served),
        ["apis", group, version] => resources(group, version, served),
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-10-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn groups(served: &[&'static Resource]) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in served.iter().filter(|row| !row.group.is_empty()) {
        let versions = groups.entry(row.group).or_default();
        if !versions.contains(&row.version) {
            versions.push(row.version);
        }
    }
    groups
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": name, "versions": versions, "preferredVersion": preferred})
}

fn resources(group: &str, version: &str, served: &[&'static Resource]) -> Option<Value> {
    let mut rows = Vec::new();
    for row in served.iter().filter(|row| row.group == group && row.version == version) {
        rows.push(json!({
            "name": row.plural, "singularName": row.kind.to_lowercase(), "namespaced": row.namespaced,
            "kind": row.kind, "verbs": ALL_VERBS, "shortNames": row.short_names,
        }));
        if row.status != StatusSubresource::None {
            rows.push(json!({
                "name": format!("{}/status", row.plural), "singularName": "", "namespaced": row.namespaced,
                "kind": row.kind, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!rows.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": rows,
        })
    })
}
