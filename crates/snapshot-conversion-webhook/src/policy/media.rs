//! The two formats, as headers name them.

use serde_json::Value;

/// How a review is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The format of a request. Exactly these, without parameters.
    pub(super) fn of_content(content_type: &str) -> Option<Self> {
        match content_type {
            "application/json" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The format that the client likes best; JSON if it does not care.
    pub(super) fn accepted(accept: &str) -> Option<Self> {
        if accept.trim().is_empty() {
            return Some(Self::Json);
        }
        let mut clauses: Vec<(f64, Self)> = accept.split(',').filter_map(clause).collect();
        // Stable: among equals the first one counts.
        clauses.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        clauses.first().map(|(_, format)| *format)
    }

    /// For the answer's header.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }

    pub(super) fn read(self, body: &[u8]) -> Result<Value, String> {
        match self {
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Yaml => serde_yaml_ng::from_slice(body).map_err(|error| error.to_string()),
        }
    }

    pub(super) fn write(self, review: &Value) -> Result<String, String> {
        match self {
            Self::Json => Ok(review.to_string()),
            Self::Yaml => serde_yaml_ng::to_string(review).map_err(|error| error.to_string()),
        }
    }
}

/// A clause of `Accept` that we can serve: its weight and what it means to us. Upstream draws lots for a wildcard.
fn clause(text: &str) -> Option<(f64, Format)> {
    let mut parts = text.split(';').map(str::trim);
    let format = match parts.next()? {
        "application/json" | "application/*" | "*/*" => Format::Json,
        "application/yaml" => Format::Yaml,
        _ => return None,
    };
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q="));
    let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(1.0));
    (weight > 0.0).then_some((weight, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_type_is_taken_literally() {
        assert_eq!(Format::of_content("application/json"), Some(Format::Json));
        assert_eq!(Format::of_content("application/yaml"), Some(Format::Yaml));
        for other in ["", "text/json", "application/json; charset=utf-8", "application/JSON", "*/*"] {
            assert_eq!(Format::of_content(other), None, "{other}");
        }
    }

    #[test]
    fn accept_is_negotiated_and_wildcards_mean_json() {
        for json in [
            "",
            "application/json",
            "*/*",
            "application/*",
            "text/html, */*;q=0.1",
            "application/json, application/yaml",
        ] {
            assert_eq!(Format::accepted(json), Some(Format::Json), "{json}");
        }
        for yaml in [
            "application/yaml",
            "application/json;q=0.5, application/yaml",
            "*/*;q=0.1,application/yaml;q=0.9",
        ] {
            assert_eq!(Format::accepted(yaml), Some(Format::Yaml), "{yaml}");
        }
        for none in ["text/html", "application/json;q=0", "image/*, text/*"] {
            assert_eq!(Format::accepted(none), None, "{none}");
        }
    }
}
