//! `apiVersion` of the kinds as a type without content: it cannot be forgotten, nor be wrong.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::kinds::{GROUP_SNAPSHOT_API_VERSION, SNAPSHOT_API_VERSION};

macro_rules! mark {
    ($(#[$doc:meta])* $name:ident = $text:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = String::deserialize(deserializer)?;
                if found == $text {
                    Ok(Self)
                } else {
                    Err(D::Error::custom(format!("apiVersion is {found:?}, not {:?}", $text)))
                }
            }
        }
    };
}

mark!(
    /// `snapshot.storage.k8s.io/v1`; nothing else is read.
    SnapshotVersion = SNAPSHOT_API_VERSION
);
mark!(
    /// `groupsnapshot.storage.k8s.io/v1`; nothing else is read.
    GroupSnapshotVersion = GROUP_SNAPSHOT_API_VERSION
);

/// Tells `k8s_openapi`, and with it `kube`, where a kind lives.
macro_rules! resource {
    ($name:ident, $row:expr, $api_version:expr, $scope:ty) => {
        impl k8s_openapi::Resource for $name {
            const API_VERSION: &'static str = $api_version;
            const GROUP: &'static str = $row.group;
            const KIND: &'static str = $row.kind;
            const VERSION: &'static str = crate::names::kinds::VERSION;
            const URL_PATH_SEGMENT: &'static str = $row.plural;
            type Scope = $scope;
        }

        impl k8s_openapi::Metadata for $name {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}

pub(super) use resource;
