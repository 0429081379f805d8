//! The table of the provisioner sheet (5.10), driver by driver, and laws that hold for all of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod classes;
mod handles;
mod laws;
mod topology;
mod volumes;

use serde_json::{Value, json};

/// A PersistentVolume with this source and nothing else.
fn volume(kind: &str, source: &Value) -> Value {
    json!({"metadata": {"name": "pv"}, "spec": {kind: source}})
}

/// The CSI source that `volume` translates to.
fn csi(volume: Value) -> Value {
    csi_translation::csi_object(volume).unwrap()["spec"]["csi"].take()
}

/// Why `volume` cannot be translated to CSI.
fn csi_error(volume: Value) -> String {
    csi_translation::csi_object(volume).unwrap_err().to_string()
}

/// The in-tree source of kind `kind` that a volume of `driver` translates to.
fn in_tree(kind: &str, csi: &Value) -> Value {
    csi_translation::in_tree_object(volume("csi", csi)).unwrap()["spec"][kind].take()
}

/// Why a volume with this CSI source cannot be translated back.
fn in_tree_error(csi: &Value) -> String {
    csi_translation::in_tree_object(volume("csi", csi)).unwrap_err().to_string()
}
