//! Create, update and delete: what is kept, what is refused, when an object really goes.

use std::sync::Arc;

use serde_json::Value;

use super::failure::{Cause, Failure};
use super::resources::{Resource, StatusSubresource};
use super::rules::{check_metadata, check_metadata_update};
use super::store::{Object, Store};
use super::{custom, doc};

/// Metadata that only the server writes.
const SYSTEM_METADATA: &[&str] =
    &["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

/// Metadata that a write through a strict status subresource cannot change.
const USER_METADATA: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

/// Which object a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Whether the request came through the status subresource.
    pub(crate) status: bool,
}

/// The part of DeleteOptions that the server honours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// The object must have this UID.
    pub uid: Option<String>,
    /// The object must be at this version.
    pub resource_version: Option<String>,
}

/// How a delete ended.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone.
    Gone(Arc<Object>),
    /// Finalizers hold it.
    Pending(Arc<Object>),
}

impl Store {
    pub(crate) fn find(&self, target: &Target) -> Result<&Arc<Object>, Failure> {
        self.get(target.resource, &target.namespace, &target.name)
            .ok_or_else(|| Failure::not_found(target.resource, &target.name))
    }

    /// Creates an object from what the client sent.
    pub(crate) fn create(&mut self, target: &Target, mut body: Value) -> Result<Arc<Object>, Failure> {
        let resource = target.resource;
        fit_to_url(target, &mut body)?;
        self.check_namespace(resource, &target.namespace)?;
        if !matches!(doc::text(&body, "/metadata/resourceVersion"), "" | "0") {
            return Err(Failure::version_at_create());
        }
        self.name(&mut body);
        for field in SYSTEM_METADATA.iter().chain(&["managedFields", "selfLink"]) {
            doc::take(&mut body, &["metadata", field]);
        }
        doc::set(&mut body, &["metadata", "uid"], self.uid());
        doc::set(&mut body, &["metadata", "creationTimestamp"], self.clock().stamp());
        if resource.custom {
            doc::set(&mut body, &["metadata", "generation"], 1);
        }
        doc::tidy(&mut body);
        custom::prune(resource, &mut body);
        if resource.status != StatusSubresource::None {
            doc::take(&mut body, &["status"]);
            (resource.rules.first_status)(&mut body, &self.clock().stamp());
        }
        (resource.rules.defaults)(&mut body);

        let name = doc::text(&body, "/metadata/name").to_owned();
        let mut causes = Vec::new();
        check_metadata(resource, &body, &mut causes);
        (resource.rules.check)(&body, &mut causes);
        custom::check_create(resource, &body, &mut causes);
        refuse(resource, &name, &causes)?;
        if self.get(resource, &target.namespace, &name).is_some() {
            return Err(Failure::already_exists(resource, &name));
        }
        Ok(self.put(resource, body))
    }

    fn check_namespace(&self, resource: &Resource, namespace: &str) -> Result<(), Failure> {
        let Some(row) = Resource::find("Namespace").filter(|_| resource.namespaced) else { return Ok(()) };
        match self.get(row, "", namespace) {
            Some(_) => Ok(()),
            None => Err(Failure::not_found(row, namespace)),
        }
    }

    fn name(&mut self, body: &mut Value) {
        let prefix = doc::text(body, "/metadata/generateName");
        if doc::text(body, "/metadata/name").is_empty() && !prefix.is_empty() {
            let short: String = prefix.chars().take(58).collect();
            let name = short + &self.suffix();
            doc::set(body, &["metadata", "name"], name);
        }
    }

    /// Replaces an object; the flag says whether it was made by this.
    pub(crate) fn update(
        &mut self,
        target: &Target,
        mut body: Value,
    ) -> Result<(Arc<Object>, bool), Failure> {
        let resource = target.resource;
        fit_to_url(target, &mut body)?;
        let Some(old) = self.get(resource, &target.namespace, &target.name).cloned() else {
            if resource.create_on_update && !target.status {
                doc::take(&mut body, &["metadata", "resourceVersion"]);
                return self.create(target, body).map(|object| (object, true));
            }
            return Err(Failure::not_found(resource, &target.name));
        };
        let version = doc::text(&body, "/metadata/resourceVersion");
        if version.is_empty() && !resource.unconditional_update {
            let hint = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &0.into(), hint);
            return Err(Failure::invalid(resource, &target.name, &[cause]));
        }
        if !matches!(version, "" | "0") && version != old.version.to_string() {
            return Err(Failure::modified(resource, &target.name));
        }
        self.replace(target, &old, body).map(|object| (object, false))
    }

    /// The part of an update after the version check; patches come in here too.
    pub(crate) fn replace(
        &mut self,
        target: &Target,
        old: &Arc<Object>,
        mut body: Value,
    ) -> Result<Arc<Object>, Failure> {
        let resource = target.resource;
        let (asked, uid) = (doc::text(&body, "/metadata/uid"), doc::text(&old.value, "/metadata/uid"));
        if !asked.is_empty() && asked != uid {
            let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}");
            return Err(Failure::conflict(resource, &target.name, &why));
        }
        doc::tidy(&mut body);
        custom::prune(resource, &mut body);
        let new = self.compose(target, &old.value, body);

        let mut causes = Vec::new();
        check_metadata(resource, &new, &mut causes);
        check_metadata_update(&new, &old.value, &mut causes);
        if !target.status {
            (resource.rules.check)(&new, &mut causes);
            (resource.rules.check_update)(&new, &old.value, &mut causes);
        }
        custom::check_update(resource, &new, &old.value, target.status, &mut causes);
        refuse(resource, &target.name, &causes)?;

        if new == old.value {
            return Ok(Arc::clone(old));
        }
        let going = doc::present(&new, "/metadata/deletionTimestamp");
        if going && !doc::present(&new, "/metadata/finalizers") {
            return Ok(self.remove(resource, new));
        }
        Ok(self.put(resource, new))
    }

    /// What is to be stored when `body` is written over `old`, whoever may write what.
    fn compose(&self, target: &Target, old: &Value, body: Value) -> Value {
        let resource = target.resource;
        let mut new = body;
        if target.status {
            let status = doc::take(&mut new, &["status"]);
            let metadata = doc::take(&mut new, &["metadata"]);
            new = old.clone();
            if resource.status == StatusSubresource::KeepsSpec {
                doc::set(&mut new, &["metadata"], metadata.unwrap_or_default());
            }
            match status {
                Some(status) => doc::set(&mut new, &["status"], status),
                None => {
                    doc::take(&mut new, &["status"]);
                }
            }
            (resource.rules.status_update)(&mut new, old, &self.clock().stamp());
        } else if resource.status != StatusSubresource::None {
            doc::copy(old, &mut new, &["status"]);
        }
        if target.status && resource.status == StatusSubresource::StatusOnly {
            for field in USER_METADATA {
                doc::copy(old, &mut new, &["metadata", field]);
            }
        }
        for field in SYSTEM_METADATA.iter().chain(&["resourceVersion", "generateName"]) {
            doc::copy(old, &mut new, &["metadata", field]);
        }
        for field in ["managedFields", "selfLink"] {
            doc::take(&mut new, &["metadata", field]);
        }
        (resource.rules.defaults)(&mut new);
        if resource.custom && wants(&new) != wants(old) {
            count_generation(&mut new);
        }
        new
    }

    /// Deletes an object, or marks it when finalizers hold it.
    pub(crate) fn delete(&mut self, target: &Target, options: &DeleteOptions) -> Result<Deleted, Failure> {
        let resource = target.resource;
        let old = Arc::clone(self.find(target)?);
        check_preconditions(target, &old, options)?;
        if !doc::present(&old.value, "/metadata/finalizers") {
            return Ok(Deleted::Gone(self.remove(resource, old.value.clone())));
        }
        if doc::present(&old.value, "/metadata/deletionTimestamp") {
            return Ok(Deleted::Pending(old));
        }
        let mut going = old.value.clone();
        doc::set(&mut going, &["metadata", "deletionTimestamp"], self.clock().stamp());
        doc::set(&mut going, &["metadata", "deletionGracePeriodSeconds"], 0);
        if resource.custom {
            count_generation(&mut going);
        }
        Ok(Deleted::Pending(self.put(resource, going)))
    }
}

/// What the user wants: everything but metadata and status. A change of it makes a new generation.
fn wants(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status")).collect()
}

fn count_generation(object: &mut Value) {
    let generation = doc::at(object, "/metadata/generation").and_then(Value::as_u64).unwrap_or(1);
    doc::set(object, &["metadata", "generation"], generation + 1);
}

fn check_preconditions(target: &Target, old: &Object, options: &DeleteOptions) -> Result<(), Failure> {
    let uid = doc::text(&old.value, "/metadata/uid");
    if let Some(asked) = options.uid.as_deref().filter(|asked| *asked != uid) {
        let why = format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        );
        return Err(Failure::precondition(target.resource, &target.name, &why));
    }
    let version = old.version.to_string();
    if let Some(asked) = options.resource_version.as_deref().filter(|asked| *asked != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Failure::precondition(target.resource, &target.name, &why));
    }
    Ok(())
}

/// Checks kind, name and namespace against the URL and fills them in.
fn fit_to_url(target: &Target, body: &mut Value) -> Result<(), Failure> {
    let resource = target.resource;
    if !body.is_object() {
        return Err(Failure::bad_request("the request body is not a JSON object"));
    }
    let (kind, version) = (doc::text(body, "/kind"), doc::text(body, "/apiVersion"));
    let expected = resource.api_version();
    if (!kind.is_empty() && kind != resource.kind) || (!version.is_empty() && version != expected) {
        return Err(Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: no kind {kind:?} is registered for version \
             {version:?}",
            resource.kind
        )));
    }
    let namespace = doc::text(body, "/metadata/namespace");
    if !namespace.is_empty() && namespace != target.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let name = doc::text(body, "/metadata/name");
    if !target.name.is_empty() && name != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    doc::set(body, &["kind"], resource.kind);
    doc::set(body, &["apiVersion"], expected);
    if resource.namespaced {
        doc::set(body, &["metadata", "namespace"], target.namespace.as_str());
    }
    Ok(())
}

fn refuse(resource: &Resource, name: &str, causes: &[Cause]) -> Result<(), Failure> {
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(resource, name, causes)) }
}
