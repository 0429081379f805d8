//! Reads a URL as what it means: a verb on a resource, or a path of the server itself.

use std::collections::BTreeMap;

use http::Method;

use super::resources::Resource;

/// The query of a URL.
pub(crate) type Query = BTreeMap<String, String>;

/// What a URL is about.
#[derive(Debug)]
pub(crate) enum Place {
    /// Objects of a kind.
    Objects { resource: &'static Resource, namespace: String, name: String, subresource: String },
    /// Something else, discovery for example.
    Other,
}

impl Place {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Self::Other,
        };
        let (namespace, rest) = match rest {
            // The namespaces themselves are objects too.
            ["namespaces", _] | ["namespaces", _, "status"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Self::Other,
        };
        match Resource::at(group, version, plural) {
            Some(resource) => Self::Objects {
                resource,
                namespace: decode(namespace),
                name: decode(name),
                subresource: subresource.to_owned(),
            },
            None => Self::Other,
        }
    }
}

/// The verb as RBAC and the audit log name it.
pub(crate) fn verb(method: &Method, name: &str, query: &Query) -> &'static str {
    let watching = matches!(query.get("watch").map(String::as_str), Some("true" | "1"));
    match *method {
        Method::GET if name.is_empty() && watching => "watch",
        Method::GET if name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

pub(crate) fn parse_query(query: &str) -> Query {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent encoding; what is not valid stays.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        let code = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(code) = code {
            out.push(code);
        } else {
            out.push(b'%');
            out.extend(digits);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
