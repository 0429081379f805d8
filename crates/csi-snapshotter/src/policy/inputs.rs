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
