//! Sheet 11.2, one test per row.
#![allow(clippy::unnecessary_wraps)] // fixtures in the shape of what they stand for

use super::*;

const NAME: &str = "csi.storage.k8s.io/node-publish-secret-name";
const NAMESPACE: &str = "csi.storage.k8s.io/node-publish-secret-namespace";
const OLD_NAME: &str = "csiNodePublishSecretName";
const OLD_NAMESPACE: &str = "csiNodePublishSecretNamespace";
const PROVISIONER_NAME: &str = "csi.storage.k8s.io/provisioner-secret-name";
const PROVISIONER_NAMESPACE: &str = "csi.storage.k8s.io/provisioner-secret-namespace";

fn map(pairs: &[(&str, &str)]) -> Parameters {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn node_publish(pairs: &[(&str, &str)]) -> Result<Option<SecretRef>, SecretError> {
    resolve(Purpose::NodePublish, &map(pairs), "pv", None)
}

/// Resolves with claim `pvc` in `pvcns`, annotated `akey=avalue`.
fn with_claim(purpose: Purpose, pairs: &[(&str, &str)]) -> Result<Option<SecretRef>, SecretError> {
    let annotations =
        [("akey", "avalue"), ("a.b/c", "slash")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let claim = ClaimTokens { namespace: "pvcns", name: "pvc", annotations: Some(&annotations) };
    resolve(purpose, &map(pairs), "pvname", Some(&claim))
}

fn secret(name: &str, namespace: &str) -> Option<SecretRef> {
    Some(SecretRef { name: name.into(), namespace: namespace.into() })
}

#[test]
fn none() {
    assert_eq!(node_publish(&[]).unwrap(), None);
    assert_eq!(with_claim(Purpose::NodePublish, &[]).unwrap(), None);
}

#[test]
fn both_empty_strings() {
    let error = node_publish(&[(NAME, ""), (NAMESPACE, "")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to get name and namespace template from params: NodePublish secrets specified in parameters but value of either namespace or name is empty"
    );
}

#[test]
fn name_only_or_namespace_only() {
    for key in [NAME, NAMESPACE, OLD_NAME, OLD_NAMESPACE] {
        assert_eq!(
            node_publish(&[(key, "value")]).unwrap_err().to_string(),
            "failed to get name and namespace template from params: either name and namespace for NodePublish secrets specified, Both must be specified"
        );
    }
}

#[test]
fn deprecated_pair() {
    assert_eq!(node_publish(&[(OLD_NAME, "name"), (OLD_NAMESPACE, "ns")]).unwrap(), secret("name", "ns"));
}

#[test]
fn deprecated_and_new_pairs_or_new_name_only_or_new_namespace_only() {
    let old = [(OLD_NAME, "name"), (OLD_NAMESPACE, "ns")];
    for new in [&[(NAME, "name"), (NAMESPACE, "ns")][..], &[(NAME, "name")], &[(NAMESPACE, "ns")]] {
        let error = node_publish(&[&old[..], new].concat()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to get name and namespace template from params: NodePublish secrets specified in parameters with both \"csi\" and \"csi.storage.k8s.io/\" keys"
        );
    }
}

#[test]
fn deprecated_name_and_new_namespace() {
    assert_eq!(node_publish(&[(OLD_NAME, "name"), (NAMESPACE, "ns")]).unwrap(), secret("name", "ns"));
}

#[test]
fn new_pair() {
    assert_eq!(node_publish(&[(NAME, "name"), (NAMESPACE, "ns")]).unwrap(), secret("name", "ns"));
}

#[test]
fn provisioner_pair_without_claim_object() {
    let pair = map(&[(PROVISIONER_NAME, "name"), (PROVISIONER_NAMESPACE, "ns")]);
    assert_eq!(resolve(Purpose::Provisioner, &pair, "", None).unwrap(), secret("name", "ns"));
}

#[test]
fn static_pair_with_claim_given() {
    let pair = [(NAME, "name"), (NAMESPACE, "ns")];
    assert_eq!(with_claim(Purpose::NodePublish, &pair).unwrap(), secret("name", "ns"));
}

#[test]
fn invalid_name_or_namespace() {
    let error = with_claim(Purpose::NodePublish, &[(NAME, "bad name"), (NAMESPACE, "ns")]).unwrap_err();
    assert_eq!(error.to_string(), "\"bad name\" is not a valid secret name");
    let error = with_claim(Purpose::NodePublish, &[(NAME, "name"), (NAMESPACE, "bad ns")]).unwrap_err();
    assert_eq!(error.to_string(), "\"bad ns\" is not a valid namespace name");
    let error = with_claim(Purpose::NodePublish, &[(NAME, "-${pvc.name}"), (NAMESPACE, "ns")]).unwrap_err();
    assert_eq!(error.to_string(), "\"-${pvc.name}\" resolved to \"-pvc\" which is not a valid secret name");
}

#[test]
fn only_provisioner_name_template_with_annotation_without_namespace() {
    let pair = [(PROVISIONER_NAME, "static-${pvc.annotations['akey']}")];
    assert!(matches!(
        with_claim(Purpose::Provisioner, &pair),
        Err(SecretError::Template(TemplateError::Half("Provisioner")))
    ));
}

#[test]
fn provisioner_templates_with_namespace_name_and_annotation() {
    let pair = [
        (PROVISIONER_NAMESPACE, "static-${pvc.namespace}"),
        (PROVISIONER_NAME, "static-${pvc.name}-${pvc.annotations['akey']}"),
    ];
    assert_eq!(with_claim(Purpose::Provisioner, &pair).unwrap(), secret("static-pvc-avalue", "static-pvcns"));
    assert!(needs_annotations(&map(&pair)));
    assert!(!needs_annotations(&map(&[("other", "${pvc.annotations['akey']}")])));
}

#[test]
fn node_publish_name_with_all_four_tokens() {
    let pair = [
        (NAMESPACE, "${pv.name}-${pvc.namespace}"),
        (NAME, "${pvc.name}.${pvc.namespace}.${pv.name}.${pvc.annotations['a.b/c']}"),
    ];
    assert_eq!(
        with_claim(Purpose::NodePublish, &pair).unwrap(),
        secret("pvc.pvcns.pvname.slash", "pvname-pvcns")
    );
}

#[test]
fn provisioner_name_and_namespace_tokens_in_combinations() {
    for (name, namespace, expected) in [
        ("${pvc.name}", "ns", secret("pvc", "ns")),
        ("name", "${pvc.namespace}", secret("name", "pvcns")),
        ("${pvc.name}", "${pvc.namespace}", secret("pvc", "pvcns")),
        ("$pvc-x", "ns", None),
    ] {
        let pair = [(PROVISIONER_NAME, name), (PROVISIONER_NAMESPACE, namespace)];
        assert_eq!(with_claim(Purpose::Provisioner, &pair).ok().flatten(), expected);
    }
}

#[test]
fn unknown_token_in_namespace_or_name() {
    let error = with_claim(Purpose::NodePublish, &[(NAME, "name"), (NAMESPACE, "${bar}")]).unwrap_err();
    assert_eq!(error.to_string(), "error resolving value \"${bar}\": invalid tokens: [\"bar\"]");
    let error =
        with_claim(Purpose::NodePublish, &[(NAME, "${foo}${bar}${foo}"), (NAMESPACE, "ns")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error resolving value \"${foo}${bar}${foo}\": invalid tokens: [\"bar\" \"foo\"]"
    );
    let error = with_claim(Purpose::NodePublish, &[(NAME, "n"), (NAMESPACE, "${pvc.name}")]).unwrap_err();
    assert!(matches!(error, SecretError::InvalidTokens(..)), "a namespace may not use the claim's name");
}

#[test]
fn without_claim_only_the_volume_name_is_a_token() {
    let pair = map(&[(PROVISIONER_NAME, "${pv.name}"), (PROVISIONER_NAMESPACE, "ns")]);
    assert_eq!(resolve(Purpose::Provisioner, &pair, "pv-1", None).unwrap(), secret("pv-1", "ns"));
    let pair = map(&[(PROVISIONER_NAME, "${pvc.name}"), (PROVISIONER_NAMESPACE, "ns")]);
    assert!(resolve(Purpose::Provisioner, &pair, "pv-1", None).is_err());
}

#[test]
fn default_pair_stands_in_and_own_errors_win() {
    let default =
        [("csi.storage.k8s.io/secret-name", "default"), ("csi.storage.k8s.io/secret-namespace", "ns")];
    for purpose in Purpose::ALL {
        assert_eq!(with_claim(purpose, &default).unwrap(), secret("default", "ns"));
    }
    let broken = [&default[..], &[(PROVISIONER_NAME, "")]].concat();
    assert!(matches!(with_claim(Purpose::Provisioner, &broken), Err(SecretError::Template(_))));
    assert_eq!(with_claim(Purpose::NodeStage, &broken).unwrap(), secret("default", "ns"));
    let half = with_claim(Purpose::NodeStage, &default[..1]).unwrap_err();
    assert!(matches!(half, SecretError::DefaultTemplate(TemplateError::Half("Default"))));
}
