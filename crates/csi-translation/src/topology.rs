//! Where a volume can be used: zone and region labels of Kubernetes against the topology keys of the drivers.

use std::collections::BTreeSet;

use crate::error::RegionError;
use crate::{Requirement, Term, TranslationError, VolumeObject};

/// Label of a node's zone.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
/// Label of a node's region.
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
/// What the zone's label was called before.
pub(crate) const ZONE_BETA: &str = "failure-domain.beta.kubernetes.io/zone";
/// What the region's label was called before.
pub(crate) const REGION_BETA: &str = "failure-domain.beta.kubernetes.io/region";
/// Between the zones of a volume that has several, in a label.
pub(crate) const SEPARATOR: &str = "__";

/// The pair of labels, zone and region, that a volume uses.
pub(crate) fn labels_of(object: &VolumeObject) -> (&'static str, &'static str) {
    const GA: (&str, &str) = (ZONE, REGION);
    const BETA: (&str, &str) = (ZONE_BETA, REGION_BETA);
    let in_affinity = |key: &str| requirements(&object.affinity).any(|requirement| requirement.key == key);
    let is_beta = if in_affinity(ZONE) || in_affinity(ZONE_BETA) {
        !in_affinity(ZONE)
    } else {
        !object.labels.contains_key(ZONE) && object.labels.contains_key(ZONE_BETA)
    };
    if is_beta { BETA } else { GA }
}

/// Zones in the driver's words, from the affinity or else from the volume's label. Regions lose their old name.
pub(crate) fn to_csi(object: &mut VolumeObject, csi_zone: &str) {
    let (zone, region) = labels_of(object);
    if values(object, zone).is_empty() {
        let label = object.labels.get(zone).cloned().unwrap_or_default();
        require(object, csi_zone, &label.split(SEPARATOR).map(str::to_owned).collect::<Vec<_>>());
    } else {
        rename(object, zone, csi_zone);
    }
    if region == REGION_BETA && !values(object, region).is_empty() {
        rename(object, region, REGION);
    }
}

/// Zones in Kubernetes' words, and as a label if the volume has none.
pub(crate) fn to_in_tree(object: &mut VolumeObject, csi_zone: &str) {
    let (zone, _) = labels_of(object);
    rename(object, csi_zone, zone);
    label_zones(object, zone);
}

/// Tells the region of a set of zones.
pub(crate) type RegionOf = fn(&[String]) -> Result<String, RegionError>;

/// As [`to_in_tree`], with the region that the zones lie in.
pub(crate) fn to_in_tree_with_region(
    object: &mut VolumeObject,
    csi_zone: &str,
    region_of: RegionOf,
) -> Result<(), TranslationError> {
    let (zone, region) = labels_of(object);
    rename(object, csi_zone, zone);
    let name = object.name.clone();
    for term in &mut object.affinity {
        add_region(term, zone, region, region_of)
            .map_err(|error| TranslationError::Topology { volume: name.clone(), error })?;
    }
    if let [only] = values(object, region).as_slice() {
        object.labels.entry(region.to_owned()).or_insert_with(|| only.clone());
    }
    label_zones(object, zone);
    Ok(())
}

fn add_region(term: &mut Term, zone: &str, region: &str, region_of: RegionOf) -> Result<(), RegionError> {
    let expressions = &mut term.match_expressions;
    if expressions.iter().any(|requirement| requirement.key == region) {
        return Ok(());
    }
    let zones: Vec<String> = expressions
        .iter()
        .filter(|requirement| requirement.key == zone)
        .flat_map(|requirement| requirement.values.iter().cloned())
        .collect();
    expressions.push(Requirement::is_in(region, vec![region_of(&zones)?]));
    Ok(())
}

fn label_zones(object: &mut VolumeObject, zone: &str) {
    let zones = values(object, zone);
    if !zones.is_empty() {
        object.labels.entry(zone.to_owned()).or_insert_with(|| zones.join(SEPARATOR));
    }
}

/// All values that the affinity has for `key`, sorted, each once.
pub(crate) fn values(object: &VolumeObject, key: &str) -> Vec<String> {
    let found: BTreeSet<&String> = requirements(&object.affinity)
        .filter(|requirement| requirement.key == key)
        .flat_map(|requirement| &requirement.values)
        .collect();
    found.into_iter().cloned().collect()
}

/// Calls `from` `to` wherever the affinity speaks of it.
pub(crate) fn rename(object: &mut VolumeObject, from: &str, to: &str) {
    for requirement in object.affinity.iter_mut().flat_map(|term| &mut term.match_expressions) {
        if requirement.key == from {
            to.clone_into(&mut requirement.key);
        }
    }
}

/// Requires `key` to have one of `values` in every term; without usable values nothing changes.
pub(crate) fn require(object: &mut VolumeObject, key: &str, values: &[String]) {
    let values: BTreeSet<String> =
        values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect();
    if values.is_empty() {
        return;
    }
    if object.affinity.is_empty() {
        object.affinity.push(Term::default());
    }
    for term in &mut object.affinity {
        term.match_expressions.push(Requirement::is_in(key, values.iter().cloned().collect()));
    }
}

fn requirements(terms: &[Term]) -> impl Iterator<Item = &Requirement> {
    terms.iter().flat_map(|term| &term.match_expressions)
}

/// The one region among `regions`.
pub(crate) fn only(regions: BTreeSet<String>) -> Result<String, RegionError> {
    let mut regions = regions.into_iter();
    match (regions.next(), regions.next()) {
        (None, _) => Err(RegionError::NoZones),
        (Some(region), None) => Ok(region),
        (Some(first), Some(second)) => {
            Err(RegionError::Several([first, second].into_iter().chain(regions).collect()))
        }
    }
}

impl Requirement {
    fn is_in(key: &str, values: Vec<String>) -> Self {
        Self { key: key.to_owned(), operator: "In".to_owned(), values }
    }
}
