//! Every name that other programs search for (sheets `snapshot-controller` 5.0 and `csi-snapshotter` 5.0, 6.5).
//!
//! The domains are a trap: groups end in `k8s.io`, finalizers and annotations in `kubernetes.io`, with one exception
//! ([`annotations::GROUP_HANDLE`]).

pub mod annotations;
pub mod finalizers;
pub mod kinds;
pub mod labels;
mod objects;
pub mod parameters;

pub use objects::{MemberNames, content_name, group_content_name, member_names};
