//! Is this volume ours, and does it belong to this claim (sheet 5.3.1, 5.9, 5.10)?

use csi_translation::driver_of_source;
use sidecar_core::objects::{Claim, Volume};

/// Whether the driver `name` is to expand the volume of this claim.
///
/// A volume with a CSI source belongs to the driver that the source names. One of an in-tree plugin belongs to a driver
/// that replaces such a plugin (`migrated`) once kube-controller-manager has named that driver on the claim. Upstream
/// does not look at the volume in the second case, and so would send it another driver's volume.
pub fn expands(name: &str, migrated: bool, claim: &Claim, volume: &Volume) -> bool {
    if let Some(driver) = &volume.driver {
        return **driver == *name;
    }
    let resizer = claim.resize.as_deref().and_then(|resize| resize.resizer.as_deref());
    let plugin = volume.in_tree.as_deref().and_then(|source| driver_of_source(source.kind));
    migrated && resizer == Some(name) && plugin.is_none_or(|driver| driver == name)
}

/// Whether the driver `name` is to modify the volume. Volumes of in-tree plugins are never modified.
pub fn modifies(name: &str, volume: &Volume) -> bool {
    volume.driver.as_deref() == Some(name)
}

/// Whether the volume says, too, that it belongs to the claim.
pub fn belongs(volume: &Volume, claim: &Claim) -> bool {
    volume.claim.as_ref().is_some_and(|owner| {
        owner.uid == claim.meta.uid && !owner.uid.is_empty() && *owner.namespace == *claim.meta.namespace()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::fixtures::{claim, volume};

    fn annotated(resizer: &str) -> Claim {
        claim(&json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-resizer": resizer}}}))
    }

    fn in_tree(source: &str) -> Volume {
        volume(&json!({"spec": {"csi": null, source: {"volumeID": "v"}}}))
    }

    #[test]
    fn can_support() {
        let ebs = in_tree("awsElasticBlockStore");
        assert!(expands("ebs.csi.aws.com", true, &annotated("ebs.csi.aws.com"), &ebs));
        let disk = in_tree("gcePersistentDisk");
        assert!(expands("pd.csi.storage.gke.io", true, &annotated("pd.csi.storage.gke.io"), &disk));
        assert!(!expands("ebs.csi.aws.com", true, &annotated("kubernetes.io/aws-ebs"), &ebs));
        assert!(!expands("ebs.csi.aws.com", true, &annotated("unknown"), &ebs));
        assert!(!expands("ebs.csi.aws.com", true, &claim(&json!({})), &ebs), "not named yet");
        assert!(!expands("foo", false, &annotated("foo"), &ebs), "replaces no plugin");
        let other = "pd.csi.storage.gke.io";
        assert!(!expands(other, true, &annotated(other), &ebs), "replaces another plugin");
        let nfs = in_tree("nfs");
        assert!(expands(other, true, &annotated(other), &nfs), "which is then reported as not migrated");
    }

    #[test]
    fn volumes_of_other_drivers_are_not_ours_whatever_the_claim_says() {
        let volume = volume(&json!({"spec": {"csi": {"driver": "other"}}}));
        assert!(!expands("ebs.csi.aws.com", true, &annotated("ebs.csi.aws.com"), &volume));
        assert!(expands("other", false, &claim(&json!({})), &volume));
        assert!(modifies("other", &volume) && !modifies("ebs.csi.aws.com", &volume));
        assert!(!modifies("", &in_tree("cinder")));
    }

    #[test]
    fn a_volume_belongs_to_the_claim_that_it_names() {
        let mine = claim(&json!({}));
        assert!(belongs(&volume(&json!({})), &mine));
        for reference in [
            json!({"spec": {"claimRef": null}}),
            json!({"spec": {"claimRef": {"uid": "other"}}}),
            json!({"spec": {"claimRef": {"namespace": "other"}}}),
        ] {
            assert!(!belongs(&volume(&reference), &mine), "{reference}");
        }
        assert!(
            belongs(&volume(&json!({"spec": {"claimRef": {"name": "other"}}})), &mine),
            "the name is not read"
        );
    }
}
