//! What an attachment costs the API server: three writes with the volume's first, one for the detachment, one for the
//! volume's finalizer, nothing refused. Upstream: 6.4 in all.

use serde_json::json;

use crate::setup::{Setup, VA, settle};

#[tokio::test(start_paused = true)]
async fn a_life_costs_five_writes_and_nothing_is_refused() {
    let setup = Setup::listing();
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.server.forget_calls();

    let calls = || {
        let calls = setup.server.calls();
        let ours = calls.iter().filter(|call| call.user == "csi-attacher" && call.verb != "watch");
        ours.map(|call| format!("{} {} -> {}", call.verb, call.resource, call.code)).collect::<Vec<_>>()
    };
    setup.volume(json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}}));
    setup.attachment(json!({}));
    setup.attached().await;
    assert_eq!(
        calls(),
        [
            "patch persistentvolumes -> 200",
            "patch volumeattachments -> 200",
            "patch volumeattachments/status -> 200",
        ]
    );
    setup.server.forget_calls();
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    assert_eq!(calls(), ["patch volumeattachments -> 200"]);

    // The second time the volume's finalizer is there already.
    setup.server.forget_calls();
    setup.attachment(json!({}));
    setup.attached().await;
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    assert_eq!(calls().len(), 3);

    setup.server.forget_calls();
    setup.delete("PersistentVolume", "pv1");
    settle().await;
    assert_eq!(calls(), ["patch persistentvolumes -> 200"]);
    assert_eq!((setup.published().len(), setup.unpublished().len()), (2, 2));
}
