//! What is in Secrets. Read when it is needed, once per look, and never logged.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use sidecar_core::api::explained;
use sidecar_core::secret_reference::SecretRef;
use tracing::error;

use super::Shared;
use crate::content::{Content, View, Words};
use crate::driver::Pairs;
use crate::policy::inputs;

impl<C: Content> Shared<C> {
    /// What the Secret of the annotations has, if they name one. What is wrong with the Secret itself is not told to who may
    /// read the content but not the Secret.
    pub(super) async fn own_secrets(&self, view: &View<'_>, words: &Words) -> Result<Pairs, String> {
        let Some(reference) = inputs::own_secret(view, words)? else { return Ok(Pairs::new()) };
        self.secrets(&reference).await.map_err(|problem| {
            error!(content = %view.name(), err = problem, "Failed to read the secret of a content");
            words.no_secret(view.name())
        })
    }

    /// What a Secret has.
    pub(super) async fn secrets(&self, SecretRef { name, namespace }: &SecretRef) -> Result<Pairs, String> {
        let secrets: Api<Secret> = Api::namespaced(self.parts.client.clone(), namespace);
        let failed =
            |problem: &str| format!("error getting secret {name} in namespace {namespace}: {problem}");
        let secret = secrets.get(name).await.map_err(|error| failed(&explained(&error)))?;
        let data = secret.data.unwrap_or_default().into_iter();
        data.map(|(key, value)| match String::from_utf8(value.0) {
            Ok(value) => Ok((key, value)),
            Err(_) => Err(failed(&format!("value of key {key:?} is not UTF-8, which CSI requires"))),
        })
        .collect()
    }
}
