//! What the driver is told: names, parameters, and where its secrets are (sheet 5.6, 5.7, 5.9, 6.1, 6.5).

use sidecar_core::objects::{SecretAnnotations, SnapshotClass};
use sidecar_core::secret_reference::{SecretError, SecretRef};
use snapshot_api::names::parameters;

use crate::content::{View, Words};
use crate::driver::Pairs;
use crate::flags::Naming;

/// What the driver is to call the snapshot: the same at every try.
pub fn name(naming: &Naming, uid: &str) -> String {
    let uid = match naming.length {
        None => uid.to_owned(),
        Some(length) => uid.chars().filter(|character| *character != '-').take(length).collect(),
    };
    format!("{}-{uid}", naming.prefix)
}

/// The class of a content whose snapshot is to be taken: one that was there already may have none. `class` is what is known
/// under the name that the content says.
pub fn class<'c>(
    view: &View<'_>,
    words: &Words,
    class: Option<&'c SnapshotClass>,
) -> Result<Option<&'c SnapshotClass>, String> {
    match (view.class, class) {
        (Some(name), None) => Err(words.class_not_found(name)),
        (None, _) if view.is_dynamic && !view.is_member => Err(words.no_class(view.name())),
        (None, _) => Ok(None),
        (Some(_), found) => Ok(found),
    }
}

/// The parameters of a call to take a snapshot.
pub fn parameters(
    view: &View<'_>,
    words: &Words,
    class: Option<&SnapshotClass>,
    extra_metadata: bool,
) -> Result<Pairs, String> {
    let mut kept = match class {
        Some(class) => without_reserved(class)?,
        None => Pairs::new(),
    };
    if extra_metadata {
        let [name, namespace, content] = words.metadata;
        kept.insert(name.to_owned(), view.snapshot.name.to_string());
        kept.insert(namespace.to_owned(), view.snapshot.namespace.to_string());
        kept.insert(content.to_owned(), view.name().to_string());
    }
    Ok(kept)
}

fn without_reserved(class: &SnapshotClass) -> Result<Pairs, String> {
    let mut kept = Pairs::new();
    for (key, value) in &class.parameters {
        if parameters::RESERVED.contains(&&**key) {
            continue;
        }
        if key.starts_with(parameters::PREFIX) {
            return Err(format!(
                "failed to remove CSI Parameters of prefixed keys: found unknown parameter key \"{key}\" with reserved \
                 namespace {}",
                parameters::PREFIX
            ));
        }
        kept.insert(key.to_string(), value.to_string());
    }
    Ok(kept)
}

/// The secret for taking and deleting, as the annotations have it. Half a pair is none.
pub fn own_secret(view: &View<'_>, words: &Words) -> Result<Option<SecretRef>, String> {
    let SecretAnnotations { name: Some(name), namespace: Some(namespace) } = view.secret else {
        return Ok(None);
    };
    if name.is_empty() || namespace.is_empty() {
        return Err(words.half_a_secret(view.name()));
    }
    Ok(Some(SecretRef { name: name.to_string(), namespace: namespace.to_string() }))
}

/// The secret for looking, as the class has it.
pub fn look_secret(
    view: &View<'_>,
    words: &Words,
    class: &SnapshotClass,
) -> Result<Option<SecretRef>, SecretError> {
    let template = words.look_secret.template(&class.parameters).map_err(SecretError::Template)?;
    let Some(template) = template else { return Ok(None) };
    let token = |token: &str| (token == words.name_token).then(|| view.name().to_string());
    template.resolve(token, token).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::content::{Content, GROUP, SINGLE};
    use crate::policy::fixtures::{class as class_of, content, group};

    fn filtered(parameters: &Value) -> Result<Vec<String>, String> {
        let class = class_of(&json!({"parameters": parameters}));
        let kept = super::parameters(&content(&json!({})).view(), &SINGLE, Some(&class), false)?;
        Ok(kept.into_keys().collect())
    }

    /// Rows U.
    #[test]
    fn parameter_filter_none_one_known_all_known_unknown_prefixed_empty_other_kept() {
        assert_eq!(filtered(&json!({"a": "b"})).unwrap(), ["a"]);
        assert_eq!(filtered(&json!({parameters::SECRET_NAME: "x", "a": "b"})).unwrap(), ["a"]);
        let all: serde_json::Map<_, _> =
            parameters::RESERVED.iter().map(|key| ((*key).to_owned(), json!("x"))).collect();
        assert!(filtered(&all.into()).unwrap().is_empty());
        assert!(filtered(&json!({"csi.storage.k8s.io/x": "y"})).is_err());
        assert!(filtered(&json!({})).unwrap().is_empty());
        assert_eq!(filtered(&json!({"csiFoo": "x"})).unwrap(), ["csiFoo"]);
    }

    fn reference(parameters: &Value) -> Result<Option<SecretRef>, String> {
        let class = class_of(&json!({"parameters": parameters}));
        look_secret(&content(&json!({})).view(), &SINGLE, &class).map_err(|error| error.to_string())
    }

    /// Rows U.
    #[test]
    fn secret_refs_none_only_namespace_plain_bad_name_unsupported_token() {
        let (name, namespace) = (parameters::LIST_SECRET_NAME, parameters::LIST_SECRET_NAMESPACE);
        assert_eq!(reference(&json!({})), Ok(None));
        assert!(reference(&json!({namespace: "ns"})).unwrap_err().contains("SnapshotterList"));
        let plain = SecretRef { name: "name".into(), namespace: "ns".into() };
        assert_eq!(reference(&json!({name: "name", namespace: "ns"})), Ok(Some(plain)));
        assert!(reference(&json!({name: "bad name", namespace: "ns"})).is_err());
        let token = "${volumesnapshot.annotations['akey']}";
        assert!(reference(&json!({name: token, namespace: "ns"})).is_err());
        let token =
            json!({name: "${volumesnapshotcontent.name}", namespace: "${volumesnapshotcontent.name}"});
        let found = reference(&token).unwrap().unwrap();
        assert_eq!((&*found.name, &*found.namespace), ("content1", "content1"));
    }

    #[test]
    fn secret_refs_of_groups() {
        let class = class_of(&json!({"parameters": {
            parameters::GROUP_GET_SECRET_NAME: "${volumegroupsnapshotcontent.name}",
            parameters::GROUP_GET_SECRET_NAMESPACE: "ns",
            parameters::LIST_SECRET_NAME: "other",
        }}));
        let found = look_secret(&group(&json!({})).view(), &GROUP, &class).unwrap().unwrap();
        assert_eq!((&*found.name, &*found.namespace), ("group1", "ns"));
    }

    /// Row G-IN.
    #[test]
    fn inputs_class_ok_dynamic_without_class_static_without_class_class_missing() {
        let found = class_of(&json!({}));
        let of = |overlay: &Value, known| {
            class(&group(overlay).view(), &GROUP, known).map(|found| found.is_some())
        };
        let classless = json!({"spec": {"volumeGroupSnapshotClassName": null}});
        assert_eq!(of(&json!({}), Some(&found)), Ok(true));
        assert!(of(&classless, None).unwrap_err().contains("without a group snapshot class"));
        let handles = json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["s"]});
        let source = json!({"volumeHandles": null, "groupSnapshotHandles": handles});
        let given = json!({"spec": {"volumeGroupSnapshotClassName": null, "source": source}});
        assert_eq!(of(&given, None), Ok(false));
        assert!(of(&json!({}), None).unwrap_err().ends_with("\"class-gold\" not found"));
    }

    /// Row G-CR, and the same for single snapshots.
    #[test]
    fn credentials_none_empty_name_empty_namespace_valid() {
        let of = |name: Option<&str>, namespace: Option<&str>| {
            let mut annotations = json!({});
            for (key, value) in [("name", name), ("namespace", namespace)] {
                if let Some(value) = value {
                    annotations[format!("snapshot.storage.kubernetes.io/deletion-secret-{key}")] =
                        json!(value);
                    annotations[format!("groupsnapshot.storage.kubernetes.io/deletion-secret-{key}")] =
                        json!(value);
                }
            }
            let overlay = json!({"metadata": {"annotations": annotations}});
            let single = own_secret(&content(&overlay).view(), &SINGLE);
            let several = own_secret(&group(&overlay).view(), &GROUP);
            assert_eq!(single.is_ok(), several.is_ok());
            single
        };
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(Some("name"), None), Ok(None), "half a pair is none");
        assert!(of(Some(""), Some("ns")).is_err());
        assert!(of(Some("name"), Some("")).is_err());
        assert!(of(Some("name"), Some("ns")).unwrap().is_some());
    }

    #[test]
    fn names_by_length() {
        let of = |length| name(&Naming { prefix: "snapshot".into(), length }, "12-34-5");
        assert_eq!(of(None), "snapshot-12-34-5");
        assert_eq!(
            (of(Some(3)), of(Some(32)), of(Some(0))),
            ("snapshot-123".to_owned(), "snapshot-12345".to_owned(), "snapshot-".to_owned())
        );
    }
}
