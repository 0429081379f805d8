//! Objects for tests, as upstream's fixtures have them: driver `csi/test`, attachment `pv1-node1` of `pv1` on `node1`.

use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json};
use sidecar_core::objects::{Attachment, CsiNode, Interest, Kind, Projected, Volume};
use testkit::manifests::merge;

/// The fixture's attachment with `overlay` merged over it.
pub(crate) fn attachment(overlay: &Value) -> Attachment {
    project(
        json!({
            "metadata": {"name": "pv1-node1", "uid": "va-uid", "resourceVersion": "1"},
            "spec": {"attacher": "csi/test", "nodeName": "node1", "source": {"persistentVolumeName": "pv1"}},
            "status": {"attached": false},
        }),
        overlay,
    )
}

/// The fixture's volume with `overlay` merged over it.
pub(crate) fn volume(overlay: &Value) -> Volume {
    project(
        json!({
            "metadata": {"name": "pv1", "uid": "pv-uid", "resourceVersion": "1"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "csi": {"driver": "csi/test", "volumeHandle": "handle1"},
            },
        }),
        overlay,
    )
}

/// `node1` with an entry of a driver.
pub(crate) fn csi_node(driver: &str, id: &str) -> CsiNode {
    let entry = json!({"name": driver, "nodeID": id});
    project(json!({"metadata": {"name": "node1"}, "spec": {"drivers": [entry]}}), &json!({}))
}

fn project<T: Kind>(mut base: Value, overlay: &Value) -> T {
    merge(&mut base, overlay);
    let bytes = serde_json::to_vec(&base).unwrap();
    match Json.object(&bytes, &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        other => panic!("not kept: {other:?}"),
    }
}
