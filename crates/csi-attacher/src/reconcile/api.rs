//! The calls to the API server: patches, whose answers go into the caches, and Secrets.
//!
//! They are made by hand rather than through typed objects, so that an answer is read once and in the same way as the
//! watch is, and fields that this program does not know cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;
use sidecar_core::api::ErrorKind;
use sidecar_core::cache::{Decoder, Json, Store};
use sidecar_core::objects::{Attachment, Interest, Kind, Projected, SecretRef, Volume};

use super::Shared;
use crate::policy::failure::Failure;

pub(super) use sidecar_core::api::explained as text;

/// How a patch is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum PatchType {
    Merge,
    Strategic,
    Json,
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// Whether the object is not there (any more).
pub(super) fn is_gone(error: &kube::Error) -> bool {
    ErrorKind::of(error) == ErrorKind::NotFound
}

/// Whether nothing holds a deleted object any more, so that it is no longer there.
pub(super) fn is_released<T: Kind>(object: &T) -> bool {
    object.meta().deleting && object.meta().finalizers.is_empty()
}

impl Shared {
    /// Patches an attachment and returns it as it is then.
    pub(super) async fn patch_attachment(
        &self,
        attachment: &Attachment,
        kind: PatchType,
        patch: &Value,
    ) -> Result<Arc<Attachment>, kube::Error> {
        self.write_attachment(attachment, "", kind, patch).await
    }

    /// Patches an attachment's status and returns it as it is then.
    pub(super) async fn patch_status(
        &self,
        attachment: &Attachment,
        patch: &Value,
    ) -> Result<Arc<Attachment>, kube::Error> {
        self.write_attachment(attachment, "/status", PatchType::Merge, patch).await
    }

    /// While the call is under way, what the watch shows may be its echo.
    async fn write_attachment(
        &self,
        attachment: &Attachment,
        subresource: &str,
        kind: PatchType,
        patch: &Value,
    ) -> Result<Arc<Attachment>, kube::Error> {
        let name = &attachment.meta.name;
        self.memory.writing(name, &attachment.meta.uid);
        let written = self.patch(name, subresource, kind, patch, &self.stores.attachment_interest).await;
        self.memory.written(name, written.as_ref().ok().map(|object: &Attachment| &object.meta));
        Ok(note(&self.stores.attachments, written?))
    }

    /// Patches a volume and returns it as it is then.
    pub(super) async fn patch_volume(
        &self,
        volume: &Volume,
        kind: PatchType,
        patch: &Value,
    ) -> Result<Arc<Volume>, kube::Error> {
        let name = &volume.meta.name;
        let written = self.patch(name, "", kind, patch, &self.stores.volume_interest).await;
        Ok(note(&self.stores.volumes, written?))
    }

    async fn patch<T: Kind>(
        &self,
        name: &str,
        subresource: &str,
        kind: PatchType,
        patch: &Value,
        interest: &Interest,
    ) -> Result<T, kube::Error> {
        let request = http::Request::patch(format!("{}/{name}{subresource}", T::RESOURCE.path()))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, kind.content_type())
            .body(patch.to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        let answer = self.client.request_text(request).await?;
        let unreadable = |problem: String| {
            kube::Error::SerdeError(<serde_json::Error as serde::de::Error>::custom(problem))
        };
        match Json.object(answer.as_bytes(), interest) {
            Ok(Projected::Own(object)) => Ok(object),
            Ok(_) => Err(unreadable("the answer is about somebody else's object".to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// The content of a Secret; without a reference there is none.
    pub(super) async fn secrets(
        &self,
        reference: Option<&SecretRef>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let Some(SecretRef { namespace, name }) = reference else {
            return Ok(BTreeMap::new());
        };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = secrets.get(name).await.map_err(|error| {
            Failure::new(format!("failed to load secret \"{namespace}/{name}\": {}", text(&error)))
        })?;
        let data = secret.data.unwrap_or_default().into_iter();
        data.map(|(key, value)| match String::from_utf8(value.0) {
            Ok(value) => Ok((key, value)),
            Err(_) => Err(Failure::new(format!(
                "failed to load secret \"{namespace}/{name}\": value of key {key:?} is not UTF-8, which CSI requires"
            ))),
        })
        .collect()
    }
}

/// Notes what a write has returned, so that nothing is decided on an older state.
fn note<T: Kind + Clone>(store: &Store<T>, object: T) -> Arc<T> {
    if is_released(&object) {
        store.removed("", &object.meta().name, &object.meta().uid);
    } else {
        store.wrote(object.clone());
    }
    Arc::new(object)
}
