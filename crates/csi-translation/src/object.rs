//! Whole PersistentVolume objects in JSON, for callers that have or need one: what is not translated stays as it is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::plugin::PLUGINS;
use crate::volume::or_default;
use crate::{
    CsiSource, CsiVolume, InTreeVolume, Term, TranslationError, VolumeObject, translate_back,
    translate_volume,
};

/// The JSON name of the migratable in-tree source of a PersistentVolume's `spec`, if it has one.
pub fn source_kind(spec: &Value) -> Option<&'static str> {
    PLUGINS
        .iter()
        .map(|plugin| plugin.source)
        .find(|source| spec.get(source).is_some_and(|value| !value.is_null()))
}

/// The PersistentVolume `volume`, whose source is in-tree, with a CSI source. See [`translate_volume`].
pub fn csi_object(mut volume: Value) -> Result<Value, TranslationError> {
    let parts = read(&volume)?;
    let kind = volume.get("spec").and_then(source_kind);
    let Some(kind) = kind else { return Err(TranslationError::UnknownSource(parts.name)) };
    let source = volume.pointer(&format!("/spec/{kind}")).map(ToString::to_string).unwrap_or_default();
    let translated = translate_volume(&InTreeVolume { kind: kind.to_owned(), source, object: parts })?;
    let csi = serde_json::to_value(&translated.source).map_err(malformed)?;
    replace_source(&mut volume, kind, "csi", csi);
    write(&mut volume, &translated.object)?;
    Ok(volume)
}

/// The PersistentVolume `volume`, whose source is CSI, with the source of the in-tree plugin. See [`translate_back`].
pub fn in_tree_object(mut volume: Value) -> Result<Value, TranslationError> {
    let object = read(&volume)?;
    let csi = volume.pointer("/spec/csi").filter(|csi| !csi.is_null());
    let source = CsiSource::deserialize(csi.ok_or(TranslationError::NoCsiSource)?).map_err(malformed)?;
    let translated = translate_back(&CsiVolume { source, object })?;
    let source = serde_json::from_str(&translated.source).map_err(malformed)?;
    replace_source(&mut volume, "csi", &translated.kind, source);
    write(&mut volume, &translated.object)?;
    Ok(volume)
}

/// The parts of an object that translation reads.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    claim_ref: Option<ClaimRef>,
    #[serde(deserialize_with = "or_default")]
    access_modes: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    node_affinity: NodeAffinity,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ClaimRef {
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeAffinity {
    #[serde(deserialize_with = "or_default")]
    required: Selector,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    #[serde(deserialize_with = "or_default")]
    node_selector_terms: Vec<Term>,
}

fn read(volume: &Value) -> Result<VolumeObject, TranslationError> {
    let Object { metadata, spec } = Object::deserialize(volume).map_err(malformed)?;
    Ok(VolumeObject {
        name: metadata.name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        claim_namespace: spec.claim_ref.and_then(|claim| claim.namespace),
        access_modes: spec.access_modes,
        affinity: spec.node_affinity.required.node_selector_terms,
    })
}

fn write(volume: &mut Value, object: &VolumeObject) -> Result<(), TranslationError> {
    if let Some(metadata) = member(volume, "metadata") {
        set_unless_empty(metadata, "labels", json!(object.labels));
        set_unless_empty(metadata, "annotations", json!(object.annotations));
    }
    if let Some(spec) = member(volume, "spec") {
        set_unless_empty(spec, "accessModes", json!(object.access_modes));
        if !object.affinity.is_empty() {
            let terms = serde_json::to_value(&object.affinity).map_err(malformed)?;
            spec.insert("nodeAffinity".to_owned(), json!({"required": {"nodeSelectorTerms": terms}}));
        }
    }
    Ok(())
}

fn replace_source(volume: &mut Value, old: &str, new: &str, source: Value) {
    if let Some(spec) = member(volume, "spec") {
        spec.remove(old);
        spec.insert(new.to_owned(), source);
    }
}

fn member<'v>(volume: &'v mut Value, name: &str) -> Option<&'v mut Map<String, Value>> {
    let object = volume.as_object_mut()?;
    object.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

fn set_unless_empty(object: &mut Map<String, Value>, name: &str, value: Value) {
    let is_empty =
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if !is_empty {
        object.insert(name.to_owned(), value);
    }
}

fn malformed(error: serde_json::Error) -> TranslationError {
    TranslationError::Malformed { what: "PersistentVolume".to_owned(), error }
}
