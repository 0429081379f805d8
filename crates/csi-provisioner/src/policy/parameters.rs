//! StorageClass parameters: which file system they ask for and which of them the driver gets to see.

use std::collections::BTreeMap;

use super::secrets;

/// Parameters as a StorageClass holds them.
pub(crate) type Parameters = BTreeMap<Box<str>, Box<str>>;
/// Parameters as a driver gets them.
pub(crate) type Remaining = BTreeMap<String, String>;

/// The prefix that Kubernetes keeps for itself.
pub(crate) const RESERVED_PREFIX: &str = "csi.storage.k8s.io/";
/// The file system of a volume.
pub(crate) const FS_TYPE: &str = "csi.storage.k8s.io/fstype";
/// Its old name, matched in any case.
const LEGACY_FS_TYPE: &str = "fstype";

/// Keys that `--extra-create-metadata` adds: claim name, claim namespace, volume name.
const METADATA: [&str; 3] =
    ["csi.storage.k8s.io/pvc/name", "csi.storage.k8s.io/pvc/namespace", "csi.storage.k8s.io/pv/name"];

/// Why parameters cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    /// Two keys ask for a file system.
    #[error("fstype specified in parameters with both \"fstype\" and \"csi.storage.k8s.io/fstype\" keys")]
    TwoFsTypes,
    /// A key with the reserved prefix that no one knows.
    #[error(
        "failed to strip CSI Parameters of prefixed keys: found unknown parameter key \"{0}\" with reserved namespace csi.storage.k8s.io/"
    )]
    UnknownReserved(String),
}

/// The file system that `parameters` ask for, else `default`.
pub(crate) fn fs_type(parameters: &Parameters, default: &str) -> Result<String, ParameterError> {
    let mut found = parameters
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(LEGACY_FS_TYPE) || &***key == FS_TYPE)
        .map(|(_, value)| &**value);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(ParameterError::TwoFsTypes),
        (Some(value), None) if !value.is_empty() => Ok(value.to_owned()),
        _ => Ok(default.to_owned()),
    }
}

/// What is left for the driver: everything but the known keys with the reserved prefix.
pub(crate) fn strip_prefixed(parameters: &Parameters) -> Result<Remaining, ParameterError> {
    let mut kept = Remaining::new();
    for (key, value) in parameters {
        if !key.starts_with(RESERVED_PREFIX) {
            kept.insert(key.to_string(), value.to_string());
        } else if &**key != FS_TYPE && !secrets::is_known_key(key) {
            return Err(ParameterError::UnknownReserved(key.to_string()));
        }
    }
    Ok(kept)
}

/// Tells the driver for whom it makes the volume (`--extra-create-metadata`).
pub(crate) fn add_metadata(
    parameters: &mut Remaining,
    claim_name: &str,
    claim_namespace: &str,
    volume_name: &str,
) {
    for (key, value) in METADATA.into_iter().zip([claim_name, claim_namespace, volume_name]) {
        parameters.insert(key.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn left(parameters: &Parameters) -> Parameters {
        strip_prefixed(parameters)
            .unwrap()
            .iter()
            .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
            .collect()
    }

    #[test]
    fn strip_no_prefix() {
        let given = map(&[("csiFoo", "bar"), ("bim", "baz")]);
        assert_eq!(left(&given), given);
    }

    #[test]
    fn strip_one_prefixed_and_bim() {
        let given = map(&[(FS_TYPE, "xfs"), ("bim", "baz")]);
        assert_eq!(left(&given), map(&[("bim", "baz")]));
    }

    #[test]
    fn strip_prefixed_string_used_as_value_is_kept() {
        let given = map(&[("foo", FS_TYPE)]);
        assert_eq!(left(&given), given);
    }

    #[test]
    fn strip_all_17_known_prefixed_keys() {
        let mut given = map(&[(FS_TYPE, "xfs")]);
        for purpose in [
            "",
            "provisioner-",
            "controller-publish-",
            "node-stage-",
            "node-publish-",
            "controller-expand-",
            "node-expand-",
            "controller-modify-",
        ] {
            given.insert(format!("{RESERVED_PREFIX}{purpose}secret-name").into(), "n".into());
            given.insert(format!("{RESERVED_PREFIX}{purpose}secret-namespace").into(), "ns".into());
        }
        assert_eq!(given.len(), 17);
        assert_eq!(left(&given), map(&[]));
    }

    #[test]
    fn strip_all_deprecated_keys_incl_fstype_are_kept() {
        let given = map(&[
            ("fstype", "xfs"),
            ("csiProvisionerSecretName", "n"),
            ("csiProvisionerSecretNamespace", "n"),
            ("csiControllerPublishSecretName", "n"),
            ("csiControllerPublishSecretNamespace", "n"),
            ("csiNodeStageSecretName", "n"),
            ("csiNodeStageSecretNamespace", "n"),
            ("csiNodePublishSecretName", "n"),
            ("csiNodePublishSecretNamespace", "n"),
        ]);
        assert_eq!(left(&given), given);
    }

    #[test]
    fn strip_unknown_prefixed_key() {
        let error = strip_prefixed(&map(&[("csi.storage.k8s.io/unknown", "x")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to strip CSI Parameters of prefixed keys: found unknown parameter key \
             \"csi.storage.k8s.io/unknown\" with reserved namespace csi.storage.k8s.io/"
        );
    }

    #[test]
    fn strip_empty() {
        assert_eq!(left(&map(&[])), map(&[]));
    }

    #[test]
    fn fs_type_table() {
        for (class, default, expected) in
            [(None, "ext4", "ext4"), (Some("xfs"), "ext4", "xfs"), (None, "", ""), (Some("xfs"), "", "xfs")]
        {
            for key in ["fstype", "FsType", FS_TYPE] {
                let parameters = class.map(|value| map(&[(key, value)])).unwrap_or_default();
                assert_eq!(fs_type(&parameters, default).unwrap(), expected);
            }
        }
    }

    #[test]
    fn fs_type_given_twice() {
        for pair in [[("fstype", "a"), (FS_TYPE, "b")], [("fstype", "a"), ("FSTYPE", "a")]] {
            assert_eq!(fs_type(&map(&pair), "ext4"), Err(ParameterError::TwoFsTypes));
        }
        assert_eq!(
            fs_type(&map(&[("fstype", "")]), "ext4").unwrap(),
            "ext4",
            "an empty value asks for nothing"
        );
    }

    #[test]
    fn metadata_is_added_to_what_is_there() {
        let mut parameters = strip_prefixed(&map(&[("fstype", "ext3")])).unwrap();
        add_metadata(&mut parameters, "claim", "ns", "pv");
        let expected = [
            ("csi.storage.k8s.io/pv/name", "pv"),
            ("csi.storage.k8s.io/pvc/name", "claim"),
            ("csi.storage.k8s.io/pvc/namespace", "ns"),
            ("fstype", "ext3"),
        ];
        assert!(parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
    }
}
