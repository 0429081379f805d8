//! Writes the definitions as the files that users apply.
//!
//! The example `generate` writes the files (`make generate`); a test runs the same code and fails when the committed files are
//! stale.

use std::error::Error;
use std::path::{Path, PathBuf};

use snapshot_api::crd::definition;
use snapshot_api::names::kinds;

/// One generated file.
pub(crate) struct Generated {
    /// Where it belongs.
    pub(crate) path: PathBuf,
    /// What it must contain.
    pub(crate) content: String,
}

const HEADER: &str = "\
# Written by `make generate` from crates/snapshot-api/src/crd: change it there.
# Schema, rules, columns and versions are those of the definitions that kubernetes-csi/external-snapshotter ships.
";

/// The directory of the definitions.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds")
}

/// Every file, in a stable order.
pub(crate) fn generate() -> Result<Vec<Generated>, Box<dyn Error>> {
    let file = |kind: &'static kinds::SnapshotKind| {
        let name = format!("{}_{}.yaml", kind.group, kind.plural);
        let yaml = serde_yaml_ng::to_string(&definition(kind).to_json())?;
        Ok(Generated { path: directory().join(name), content: format!("{HEADER}---\n{yaml}") })
    };
    kinds::ALL.into_iter().map(file).collect()
}
