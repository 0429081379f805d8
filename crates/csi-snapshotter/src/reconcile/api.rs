//! The writes: patches, whose answers go into the caches; and the one read, for who was overtaken.
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
use crate::policy::write;

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";

/// How often a content that changes under our hands is read again.
const READS: usize = 4;

impl<C: Content> Shared<C> {
    /// Merges into a content and returns it as it is then.
    pub(super) async fn patch(&self, content: &C, patch: &Value) -> Result<Arc<C>, Stop> {
        self.write(content, MERGE, patch).await
    }

    /// Applies a JSON patch to a content and returns it as it is then.
    pub(super) async fn patch_exactly(&self, content: &C, patch: &Value) -> Result<Arc<C>, Stop> {
        self.write(content, JSON, patch).await
    }

    async fn write(&self, content: &C, patch_type: &str, patch: &Value) -> Result<Arc<C>, Stop> {
        let name = &content.meta().name;
        let written = self.send(name, "", patch_type, patch).await;
        written.map(|written| self.note(written)).map_err(|error| not_written(name, &error))
    }

    /// Merges into the status what `changes` makes of the content, if anything, and returns it as it is then. Who comes at the
    /// same time as somebody else looks at what that one has written.
    pub(super) async fn patch_status(
        &self,
        content: &Arc<C>,
        changes: impl Fn(&C) -> Option<Value> + Send,
    ) -> Result<Arc<C>, Stop> {
        let mut latest = self.latest(content);
        let name = &content.meta().name;
        for _ in 0..READS {
            let Some(changes) = changes(&latest) else { return Ok(latest) };
            let patch = write::status(&latest.view(), &changes);
            match self.send(name, "/status", MERGE, &patch).await {
                Ok(written) => return Ok(self.note(written)),
                Err(error) if ErrorKind::of(&error) == ErrorKind::Conflict => {
                    latest = self.reread(&latest).await?;
                }
                Err(error) => return Err(not_written(name, &error)),
            }
        }
        Err(Stop::Failed(format!("snapshot content {name} changes all the time")))
    }

    /// The content as it is now. Another one that has its name by now is not it.
    pub(super) async fn reread(&self, content: &C) -> Result<Arc<C>, Stop> {
        let meta = content.meta();
        let request = http::Request::get(format!("{}/{}", C::RESOURCE.path(), meta.name));
        match self.answer(request, Vec::new()).await {
            Ok(live) if live.meta().uid == meta.uid => Ok(self.note(live)),
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

    /// Notes what the API server has returned, so that nothing is decided on an older state.
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

fn not_written(name: &str, error: &kube::Error) -> Stop {
    if ErrorKind::of(error) == ErrorKind::NotFound {
        return Stop::Gone;
    }
    Stop::Failed(format!("snapshot controller failed to update {name} on API server: {}", explained(error)))
}
