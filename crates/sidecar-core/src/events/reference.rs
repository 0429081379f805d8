//! What an event is about.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::api::core::v1::ObjectReference;

/// A reference to a Kubernetes object, as events carry it. Empty fields are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Group and version, as in `coordination.k8s.io/v1`.
    pub api_version: Cow<'static, str>,
    /// Kind, as in `PersistentVolumeClaim`.
    pub kind: Cow<'static, str>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Version of the object that the event is about.
    pub resource_version: String,
}

impl ObjectRef {
    /// The namespace that the event itself lives in.
    pub(super) fn event_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }

    pub(super) fn to_api(&self) -> ObjectReference {
        let present = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        ObjectReference {
            api_version: present(&self.api_version),
            kind: present(&self.kind),
            namespace: present(&self.namespace),
            name: present(&self.name),
            uid: present(&self.uid),
            resource_version: present(&self.resource_version),
            field_path: None,
        }
    }
}

impl fmt::Display for ObjectRef {
    /// klog's form of an object reference: `namespace/name`, or the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}
