//! The writes: patches, whose answers go into the caches.
//!
//! They are made by hand rather than through typed objects, so that an answer is read once and in the same way as the
//! watch is, and fields that this program does not know cost nothing.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use sidecar_core::api::{ErrorKind, explained};
use sidecar_core::cache::{Decoder, Json};
use sidecar_core::objects::Projected;

use super::Shared;
use super::sync::Stop;
use crate::content::Content;

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";

impl<C: Content> Shared<C> {
    /// Merges into a content and returns it as it is then.
    pub(super) async fn patch(&self, content: &C, patch: &Value) -> Result<Arc<C>, Stop> {
        self.write(content, "", MERGE, patch).await
    }

    /// Merges into the status of a content and returns it as it is then.
    pub(super) async fn patch_status(&self, content: &C, patch: &Value) -> Result<Arc<C>, Stop> {
        self.write(content, "/status", MERGE, patch).await
    }

    /// Applies a JSON patch to a content and returns it as it is then.
    pub(super) async fn patch_exactly(&self, content: &C, patch: &Value) -> Result<Arc<C>, Stop> {
        self.write(content, "", JSON, patch).await
    }

    async fn write(
        &self,
        content: &C,
        subresource: &str,
        patch_type: &str,
        patch: &Value,
    ) -> Result<Arc<C>, Stop> {
        let name = &content.meta().name;
        let written = self.send(name, subresource, patch_type, patch).await;
        let written = written.map_err(|error| match ErrorKind::of(&error) {
            ErrorKind::NotFound => Stop::Gone,
            _ => Stop::Failed(format!(
                "snapshot controller failed to update {name} on API server: {}",
                explained(&error)
            )),
        })?;
        Ok(self.note(written))
    }

    /// Makes sure that the content itself is what we see, and not another one that has its name by now.
    pub(super) async fn see_for_ourselves(&self, content: &C) -> Result<(), Stop> {
        let meta = content.meta();
        let request = http::Request::get(format!("{}/{}", C::RESOURCE.path(), meta.name));
        match self.answer(request, Vec::new()).await {
            Ok(live) if live.meta().uid == meta.uid => Ok(()),
            Ok(_) => Err(Stop::Gone),
            Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => Err(Stop::Gone),
            Err(error) => {
                let (name, error) = (&meta.name, explained(&error));
                Err(Stop::Failed(format!("error get snapshot content {name} from api server: {error}")))
            }
        }
    }

    async fn send(
        &self,
        name: &str,
        subresource: &str,
        patch_type: &str,
        patch: &Value,
    ) -> Result<C, kube::Error> {
        let request = http::Request::patch(format!("{}/{name}{subresource}", C::RESOURCE.path()))
            .header(CONTENT_TYPE, patch_type);
        self.answer(request, patch.to_string().into_bytes()).await
    }

    async fn answer(&self, request: http::request::Builder, body: Vec<u8>) -> Result<C, kube::Error> {
        let request =
            request.header(ACCEPT, "application/json").body(body).map_err(kube::Error::HttpError)?;
        let answer = self.parts.client.request_text(request).await?;
        let unreadable = |problem: String| {
            kube::Error::SerdeError(<serde_json::Error as serde::de::Error>::custom(problem))
        };
        match Json.object(answer.as_bytes(), &self.stores.interest) {
            Ok(Projected::Own(object)) => Ok(object),
            Ok(_) => Err(unreadable("the answer is about somebody else's object".to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// Notes what a write has returned, so that nothing is decided on an older state.
    fn note(&self, content: C) -> Arc<C> {
        let meta = content.meta();
        if meta.deleting && meta.finalizers.is_empty() {
            self.stores.contents.removed("", &meta.name, &meta.uid);
        } else {
            self.stores.contents.wrote(content.clone());
        }
        Arc::new(content)
    }
}
