//! The names everything else is keyed by: provisioners that are ours, well-known keys, and what a volume is called.

use super::migration;

/// The finalizer that keeps a PersistentVolume until its volume is gone.
pub(crate) const VOLUME_FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// The finalizer that keeps a claim while its volume may be under way (`--leak-protection`).
pub(crate) const CLAIM_FINALIZER: &str = "external-provisioner.volume.kubernetes.io/claim-in-progress";
/// Who provisioned a volume.
pub(crate) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The node that the scheduler chose for a claim.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Secret for deletion, written on every volume, empty when there is none.
pub(crate) const DELETION_SECRET_NAME: &str = "volume.kubernetes.io/provisioner-deletion-secret-name";
/// Namespace of that secret.
pub(crate) const DELETION_SECRET_NAMESPACE: &str =
    "volume.kubernetes.io/provisioner-deletion-secret-namespace";
/// Secret that external-resizer uses to modify the volume.
pub(crate) const MODIFY_SECRET_NAME: &str = "volume.kubernetes.io/controller-modify-secret-name";
/// Namespace of that secret.
pub(crate) const MODIFY_SECRET_NAMESPACE: &str = "volume.kubernetes.io/controller-modify-secret-namespace";
/// The volume attribute that says which process made the volume.
pub(crate) const IDENTITY_ATTRIBUTE: &str = "storage.kubernetes.io/csiProvisionerIdentity";

/// The names under which claims, classes and volumes refer to our driver.
#[derive(Clone, Debug)]
pub(crate) struct Provisioner {
    name: String,
    in_tree: Option<&'static str>,
}

impl Provisioner {
    /// The names of a driver, given what it calls itself.
    pub(crate) fn new(driver: impl Into<String>) -> Self {
        let name = driver.into();
        let in_tree = migration::in_tree_plugin(&name);
        Self { name, in_tree }
    }

    /// The driver's own name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The in-tree plugin that the driver replaces.
    pub(crate) fn in_tree(&self) -> Option<&'static str> {
        self.in_tree
    }

    /// Whether `name` is the driver or the in-tree plugin it replaces.
    pub(crate) fn knows(&self, name: &str) -> bool {
        name == self.name || self.is_in_tree(name)
    }

    /// Whether `name` is the in-tree plugin that the driver replaces.
    pub(crate) fn is_in_tree(&self, name: &str) -> bool {
        self.in_tree == Some(name)
    }
}

/// How `--volume-name-prefix` and `--volume-name-uuid-length` make a name.
#[derive(Clone, Debug)]
pub struct VolumeNaming {
    /// What every name starts with.
    pub prefix: String,
    /// How many characters of the claim's UID, without its dashes, are used; `None`: the UID as it is.
    pub uuid_length: Option<usize>,
}

impl VolumeNaming {
    /// The name of the volume of the claim with this UID, in the API and in the driver.
    pub fn volume_name(&self, claim_uid: &str) -> Result<String, NamingError> {
        if self.prefix.is_empty() {
            return Err(NamingError::EmptyPrefix);
        }
        if claim_uid.is_empty() {
            return Err(NamingError::NoUid);
        }
        Ok(match self.uuid_length {
            None => format!("{}-{claim_uid}", self.prefix),
            Some(length) => {
                let uid: String = claim_uid.chars().filter(|&c| c != '-').take(length).collect();
                format!("{}-{uid}", self.prefix)
            }
        })
    }
}

/// Why a volume has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// `--volume-name-prefix=`.
    #[error("volume name prefix cannot be of length 0")]
    EmptyPrefix,
    /// A claim without UID cannot come from an API server.
    #[error("corrupted PVC object, it is missing UID")]
    NoUid,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(prefix: &str, uuid_length: Option<usize>) -> VolumeNaming {
        VolumeNaming { prefix: prefix.into(), uuid_length }
    }

    #[test]
    fn volume_names() {
        let uid = "0a1b2c3d-1111-2222-3333-444455556666";
        assert_eq!(naming("pvc", None).volume_name(uid).unwrap(), format!("pvc-{uid}"));
        assert_eq!(naming("test", Some(5)).volume_name("testid").unwrap(), "test-testi");
        assert_eq!(naming("x", Some(10)).volume_name(uid).unwrap(), "x-0a1b2c3d11");
        assert_eq!(naming("x", Some(32)).volume_name("short").unwrap(), "x-short");
        assert_eq!(naming("", None).volume_name(uid), Err(NamingError::EmptyPrefix));
        assert_eq!(naming("pvc", None).volume_name(""), Err(NamingError::NoUid));
    }

    #[test]
    fn in_tree_names_are_known_for_migration_targets_only() {
        let ebs = Provisioner::new("ebs.csi.aws.com");
        assert!(ebs.knows("ebs.csi.aws.com") && ebs.knows("kubernetes.io/aws-ebs"));
        assert!(!ebs.knows("kubernetes.io/gce-pd"));
        let other = Provisioner::new("test-driver");
        assert!(other.knows("test-driver") && !other.knows("kubernetes.io/aws-ebs"));
    }
}
