//! The Lease on the API server: get, create and update, nothing else.
//!
//! Upstream's roles grant no `patch` on leases, and optimistic concurrency is what makes the lock safe: every update
//! carries the resourceVersion that it was decided upon.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ObjectMeta, PostParams};

use super::record::Record;
use crate::events::ObjectRef;

/// One Lease, and the version of it that was last read or written.
pub(super) struct Lock {
    api: Api<Lease>,
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    current: Option<Lease>,
}

/// Why a call did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// The API server's or the transport's answer.
    #[error("{}", crate::api::explained(.0))]
    Api(#[from] kube::Error),
    /// No answer within the time left.
    #[error("no answer from the API server within {0:?}")]
    Timeout(Duration),
    /// An update before anything was read.
    #[error("lease not initialized, call get or create first")]
    NotRead,
}

impl Lock {
    pub(super) fn new(
        client: kube::Client,
        namespace: &str,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels,
            current: None,
        }
    }

    /// Reads the record; `None` if there is no Lease.
    pub(super) async fn get(&mut self, timeout: Duration) -> Result<Option<Record>, LockError> {
        match within(timeout, self.api.get(&self.name)).await {
            Ok(lease) => Ok(Some(self.remember(lease))),
            // By its code: kube's own `is_not_found` wants the reason too, which a proxy may leave out.
            Err(LockError::Api(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the Lease.
    pub(super) async fn create(&mut self, record: &Record, timeout: Duration) -> Result<Record, LockError> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: (!self.labels.is_empty()).then(|| self.labels.clone()),
            ..ObjectMeta::default()
        };
        let lease = Lease { metadata, spec: Some(record.to_spec()) };
        let made = within(timeout, self.api.create(&PostParams::default(), &lease)).await?;
        Ok(self.remember(made))
    }

    /// Replaces the record of the version last seen. The rest of the Lease stays, our labels are merged in.
    pub(super) async fn update(&mut self, record: &Record, timeout: Duration) -> Result<Record, LockError> {
        let mut lease = self.current.clone().ok_or(LockError::NotRead)?;
        lease.spec = Some(record.to_spec());
        if !self.labels.is_empty() {
            lease.metadata.labels.get_or_insert_default().extend(self.labels.clone());
        }
        let updated = within(timeout, self.api.replace(&self.name, &PostParams::default(), &lease)).await?;
        Ok(self.remember(updated))
    }

    /// What events about the Lease refer to.
    pub(super) fn reference(&self) -> ObjectRef {
        let metadata = self.current.as_ref().map(|lease| lease.metadata.clone()).unwrap_or_default();
        ObjectRef {
            api_version: "coordination.k8s.io/v1".into(),
            kind: "Lease".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
        }
    }

    fn remember(&mut self, lease: Lease) -> Record {
        let record = Record::read(lease.spec.as_ref());
        self.current = Some(lease);
        record
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, LockError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(LockError::Timeout(timeout)),
    }
}
