//! Label selectors as text, which is how the API server is asked and how messages name them (sheet 5.12.1, 13.7).
//!
//! Upstream asks by `matchLabels` alone, and prints all of it.

use sidecar_core::objects::{Interned, LabelSelector};

/// What an empty selector is called.
pub const NONE: &str = "<none>";

/// The selector in Kubernetes' text form, its parts by key.
pub fn text(selector: &LabelSelector) -> String {
    let labels = selector.labels.iter().map(|(key, value)| (&**key, format!("{key}={value}")));
    let expressions = selector.expressions.iter().map(|expression| {
        let key = &*expression.key;
        let part = match &*expression.operator {
            "In" => format!("{key} in ({})", list(&expression.values)),
            "NotIn" => format!("{key} notin ({})", list(&expression.values)),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        (key, part)
    });
    let mut parts: Vec<_> = labels.chain(expressions).collect();
    parts.sort_by(|one, other| one.0.cmp(other.0));
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(",") }
}

fn list(values: &[Interned]) -> String {
    let mut values: Vec<&str> = values.iter().map(|value| &**value).collect();
    values.sort_unstable();
    values.join(",")
}

/// What to ask the API server for. An empty selector would mean every claim of the namespace, which hardly anybody wants: upstream
/// takes it for that.
pub fn query(selector: &LabelSelector) -> Result<String, String> {
    match text(selector) {
        none if none == NONE => {
            Err("label selector <none> for group snapshot would select every PVC of the namespace".to_owned())
        }
        some => Ok(some),
    }
}

/// No claim has the labels.
pub fn nothing_selected(selector: &LabelSelector) -> String {
    format!("label selector {} for group snapshot not applied to any PVC", text(selector))
}

#[cfg(test)]
mod tests {
    use sidecar_core::objects::LabelExpression;

    use super::*;

    fn expression(key: &str, operator: &str, values: &[&str]) -> LabelExpression {
        let values = values.iter().map(|value| Interned::new(value)).collect();
        LabelExpression { key: key.into(), operator: operator.into(), values }
    }

    #[test]
    fn selectors_read_as_in_kubernetes() {
        let labels = [(Interned::new("a"), Interned::new("b"))];
        let expressions = vec![
            expression("e", "Exists", &[]),
            expression("c", "In", &["z", "d"]),
            expression("d", "NotIn", &["x"]),
            expression("f", "DoesNotExist", &[]),
        ];
        let selector = LabelSelector { labels: labels.into(), expressions };
        assert_eq!(text(&selector), "a=b,c in (d,z),d notin (x),e,!f");
        assert_eq!(query(&selector).unwrap(), text(&selector));
    }

    #[test]
    fn an_empty_selector_selects_nothing() {
        assert_eq!(text(&LabelSelector::default()), "<none>");
        assert!(query(&LabelSelector::default()).is_err());
    }
}
