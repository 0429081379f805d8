//! From an HTTP request to its answer: who asks, may they, what do they want, and the audit line about it.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};

use super::audit::Call;
use super::failure::Failure;
use super::patch::PatchType;
use super::rbac::Attributes;
use super::read::{ListParams, Shape};
use super::request::{Place, Query, parse_query, verb};
use super::resources::{Resource, StatusSubresource};
use super::selector::Selector;
use super::store::{Object, Store};
use super::watch::{Watch, WatchParams};
use super::write::{DeleteOptions, Deleted, Target};
use super::{ApiServer, State, discovery, doc};

/// What the server answers with: a text, or the frames of a watch.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer before it is turned into HTTP.
enum Answer {
    Text(StatusCode, Bytes),
    Watch(Watch),
    /// What a Go mux says to a path that it does not know: plain text.
    UnknownPath,
}

/// Handles one request whose body has been read.
pub(crate) fn handle(server: &ApiServer, user: Option<&str>, parts: &Parts, body: &Bytes) -> Response<Body> {
    let mut state = server.lock();
    let state = &mut *state;
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let path = parts.uri.path();
    let query = parse_query(parts.uri.query().unwrap_or_default());
    let place = Place::parse(path);
    let mut call = describe(parts, &place, &query);
    header(USER_AGENT).unwrap_or_default().clone_into(&mut call.user_agent);
    header(CONTENT_TYPE).unwrap_or_default().clone_into(&mut call.content_type);
    call.body = String::from_utf8_lossy(body).into_owned();

    let user = match user {
        Some(user) => Ok(user.to_owned()),
        None => state.policy.authenticate(header(AUTHORIZATION)),
    };
    let outcome = user.and_then(|user| {
        call.user = impersonated(parts).unwrap_or(user);
        let exchange =
            Exchange { server, query: &query, body, shape: shape(header(ACCEPT)), call: &mut call };
        exchange.answer(state, path, place)
    });
    let response = respond(outcome);
    call.code = response.status().as_u16();
    state.calls.push(call);
    response
}

fn impersonated(parts: &Parts) -> Option<String> {
    parts.headers.get("impersonate-user").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn shape(accept: Option<&str>) -> Shape {
    let wanted = accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadata"));
    if wanted { Shape::Metadata } else { Shape::Full }
}

fn describe(parts: &Parts, place: &Place, query: &Query) -> Call {
    let mut call = Call {
        user: String::new(),
        user_agent: String::new(),
        verb: parts.method.as_str().to_lowercase(),
        resource: parts.uri.path().to_owned(),
        namespace: String::new(),
        name: String::new(),
        code: 0,
        body: String::new(),
        content_type: String::new(),
    };
    if let Place::Objects { resource, namespace, name, subresource } = place {
        verb(&parts.method, name, query).clone_into(&mut call.verb);
        call.resource = if subresource.is_empty() {
            resource.plural.to_owned()
        } else {
            format!("{}/{subresource}", resource.plural)
        };
        call.namespace.clone_from(namespace);
        call.name.clone_from(name);
    }
    call
}

fn respond(outcome: Result<Answer, Failure>) -> Response<Body> {
    let wait =
        outcome.as_ref().err().and_then(|failure| doc::at(&failure.details, "/retryAfterSeconds")?.as_u64());
    let full = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    let (code, content_type, body) = match outcome {
        Ok(Answer::Text(code, text)) => (code, "application/json", full(text)),
        Ok(Answer::Watch(watch)) => {
            let frames = watch.into_stream().map(|frame| frame.map(Frame::data));
            (StatusCode::OK, "application/json", StreamBody::new(frames).boxed_unsync())
        }
        Ok(Answer::UnknownPath) => {
            (StatusCode::NOT_FOUND, "text/plain", full(Bytes::from_static(b"404 page not found\n")))
        }
        Err(failure) => (failure.code, "application/json", full(Bytes::from(failure.to_value().to_string()))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(seconds) = wait {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// One request on its way to an answer.
struct Exchange<'a> {
    server: &'a ApiServer,
    query: &'a Query,
    body: &'a Bytes,
    shape: Shape,
    call: &'a mut Call,
}

impl Exchange<'_> {
    fn answer(self, state: &mut State, path: &str, place: Place) -> Result<Answer, Failure> {
        if let Some(failure) = state.intercept.as_mut().and_then(|intercept| intercept(self.call)) {
            return Err(failure);
        }
        match place {
            Place::Objects { resource, namespace, name, subresource } if state.serves(resource) => {
                state.policy.authorize(&Attributes {
                    user: &self.call.user,
                    verb: &self.call.verb,
                    resource,
                    subresource: &subresource,
                    namespace: &namespace,
                    name: &name,
                })?;
                let status = subresource == "status" && resource.status != StatusSubresource::None;
                if !subresource.is_empty() && !status {
                    return Ok(Answer::UnknownPath);
                }
                let target = Target { resource, namespace, name, status };
                self.act(&mut state.store, &target)
            }
            _ => other(state, path),
        }
    }

    fn act(self, store: &mut Store, target: &Target) -> Result<Answer, Failure> {
        let show = |code, object: &Object| Ok(Answer::Text(code, self.shape.show(object)));
        match self.call.verb.as_str() {
            "get" => show(StatusCode::OK, store.find(target)?),
            "list" => {
                let text = store.list(target.resource, &self.list_params(target)?, self.shape)?;
                Ok(Answer::Text(StatusCode::OK, text))
            }
            "watch" => {
                let params = self.watch_params(target)?;
                let opening = store.open_watch(target.resource, &params, self.shape)?;
                let watch = Watch::new(self.server.clone(), target.resource, params, self.shape, opening);
                Ok(Answer::Watch(watch))
            }
            "create" if target.name.is_empty() => {
                let object = store.create(target, self.json_body()?)?;
                doc::text(&object.value, "/metadata/name").clone_into(&mut self.call.name);
                show(StatusCode::CREATED, &object)
            }
            "update" if !target.name.is_empty() => {
                let (object, created) = store.update(target, self.json_body()?)?;
                show(if created { StatusCode::CREATED } else { StatusCode::OK }, &object)
            }
            "patch" if !target.name.is_empty() => {
                let kind = PatchType::from_content_type(&self.call.content_type, target.resource)?;
                show(StatusCode::OK, store.patch(target, kind, &parse(self.body)?)?.as_ref())
            }
            "delete" => {
                let deleted = store.delete(target, &self.delete_options()?)?;
                Ok(Answer::Text(StatusCode::OK, show_deleted(target, &deleted, self.shape)))
            }
            "deletecollection" => self.delete_collection(store, target),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn delete_collection(&self, store: &mut Store, target: &Target) -> Result<Answer, Failure> {
        let params = self.list_params(target)?;
        let text = store.list(target.resource, &params, self.shape)?;
        let names: Vec<(String, String)> = store
            .all(target.resource)
            .filter(|object| params.selector.matches(&object.value))
            .map(|object| super::store::key_of(&object.value))
            .collect();
        for (namespace, name) in names {
            let each = Target { namespace, name, ..target.clone() };
            store.delete(&each, &DeleteOptions::default())?;
        }
        Ok(Answer::Text(StatusCode::OK, text))
    }

    fn json_body(&self) -> Result<Value, Failure> {
        match self.call.content_type.split(';').next().unwrap_or_default().trim() {
            "" | "application/json" => parse(self.body),
            _ => Err(Failure::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json"
                    .to_owned(),
            )),
        }
    }

    fn delete_options(&self) -> Result<DeleteOptions, Failure> {
        if self.body.is_empty() {
            return Ok(DeleteOptions::default());
        }
        let body = parse(self.body)?;
        let option = |pointer| doc::at(&body, pointer).and_then(Value::as_str).map(str::to_owned);
        Ok(DeleteOptions {
            uid: option("/preconditions/uid"),
            resource_version: option("/preconditions/resourceVersion"),
        })
    }

    fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn selector(&self, target: &Target) -> Result<Selector, Failure> {
        let (labels, fields) = (self.parameter("labelSelector"), self.parameter("fieldSelector"));
        Selector::parse(target.resource, &target.namespace, labels, fields)
    }

    fn list_params(&self, target: &Target) -> Result<ListParams, Failure> {
        Ok(ListParams {
            selector: self.selector(target)?,
            limit: self.parameter("limit").parse().unwrap_or_default(),
            resume: self.parameter("continue").to_owned(),
            version: self.parameter("resourceVersion").to_owned(),
            version_match: self.parameter("resourceVersionMatch").to_owned(),
        })
    }

    fn watch_params(&self, target: &Target) -> Result<WatchParams, Failure> {
        let flag = |name| match self.parameter(name) {
            "" => None,
            text => Some(matches!(text, "true" | "1")),
        };
        Ok(WatchParams {
            selector: self.selector(target)?,
            version: self.parameter("resourceVersion").to_owned(),
            version_match: self.parameter("resourceVersionMatch").to_owned(),
            bookmarks: flag("allowWatchBookmarks").unwrap_or_default(),
            initial_events: flag("sendInitialEvents"),
            timeout: self
                .parameter("timeoutSeconds")
                .parse()
                .ok()
                .filter(|s| *s > 0)
                .map(Duration::from_secs),
        })
    }
}

fn parse(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("the object provided is unrecognized: {error}")))
}

fn show_deleted(target: &Target, deleted: &Deleted, shape: Shape) -> Bytes {
    match deleted {
        Deleted::Pending(object) => shape.show(object),
        Deleted::Gone(object) if target.resource.returns_deleted => shape.show(object),
        Deleted::Gone(object) => {
            let mut details = target.resource.details(&target.name);
            doc::set(&mut details, &["uid"], doc::text(&object.value, "/metadata/uid"));
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Bytes::from(status.to_string())
        }
    }
}

fn other(state: &State, path: &str) -> Result<Answer, Failure> {
    if matches!(path, "/healthz" | "/livez" | "/readyz") {
        return Ok(Answer::Text(StatusCode::OK, Bytes::from_static(b"ok")));
    }
    let served: Vec<&'static Resource> = state.served().collect();
    if let Some(found) = discovery::answer(path, &served) {
        return Ok(Answer::Text(StatusCode::OK, Bytes::from(found.to_string())));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let known = match parts.as_slice() {
        ["api", version, ..] => served.iter().any(|row| row.group.is_empty() && row.version == *version),
        ["apis", group, version, ..] => {
            served.iter().any(|row| row.group == *group && row.version == *version)
        }
        _ => false,
    };
    if known { Err(Failure::unknown_resource()) } else { Ok(Answer::UnknownPath) }
}

impl Failure {
    /// The HTTP answer.
    pub fn into_response(self) -> Response<Body> {
        respond(Err(self))
    }
}

impl Call {
    /// What a request asks for, before anybody has answered it.
    pub fn of(parts: &Parts) -> Self {
        let place = Place::parse(parts.uri.path());
        describe(parts, &place, &parse_query(parts.uri.query().unwrap_or_default()))
    }
}
