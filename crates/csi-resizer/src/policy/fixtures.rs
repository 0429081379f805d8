//! Objects for tests: driver `foo`, claim `default/claim` of 1 Gi, bound to the volume `pv`, as upstream's fixtures.

use serde_json::{Value, json};
use sidecar_core::objects::{AttributesClass, Claim, Interest, Kind, Projected, Volume};
use testkit::manifests::merge;

/// The fixture's claim with `overlay` merged over it.
pub(crate) fn claim(overlay: &Value) -> Claim {
    project(
        json!({
            "metadata": {"namespace": "default", "name": "claim", "uid": "claim-uid", "resourceVersion": "7"},
            "spec": {"resources": {"requests": {"storage": "2Gi"}}, "volumeName": "pv"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
        }),
        overlay,
    )
}

/// The fixture's volume with `overlay` merged over it.
pub(crate) fn volume(overlay: &Value) -> Volume {
    project(
        json!({
            "metadata": {"name": "pv", "uid": "volume-uid", "resourceVersion": "9"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "csi": {"driver": "foo", "volumeHandle": "handle"},
                "claimRef": {"namespace": "default", "name": "claim", "uid": "claim-uid"},
            },
        }),
        overlay,
    )
}

/// An attributes class.
pub(crate) fn class(name: &str, parameters: &Value) -> AttributesClass {
    project(json!({"metadata": {"name": name}, "driverName": "foo", "parameters": parameters}), &json!({}))
}

fn project<T: Kind>(mut base: Value, overlay: &Value) -> T {
    merge(&mut base, overlay);
    let text = base.to_string();
    let wire: T::Wire<'_> = serde_json::from_str(&text).unwrap();
    match T::project(wire, &Interest::everything()) {
        Projected::Own(object) => object,
        other => panic!("{other:?}"),
    }
}
