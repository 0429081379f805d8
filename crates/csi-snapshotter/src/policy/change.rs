//! Which changes of a content are worth a look (sheet 4, update filter).
//!
//! What we write ourselves is none: a look because of it would be one too many, and would come before its time. Annotations,
//! labels and fields that no snapshotter reads are not in the cache and so change nothing.

use crate::content::Content;

/// Whether somebody else has changed something that matters, or nothing has changed at all, which is how a relist shows.
pub fn needs_look<C: Content + PartialEq>(old: &C, new: &C) -> bool {
    let (before, after) = (old.view(), new.view());
    before.meta.resource_version == after.meta.resource_version
        // Whatever was put off until it is ready can be done now.
        || (!before.is_ready() && after.is_ready())
        // A member of a group waits for the snapshot controller to write this down.
        || (after.is_member && before.handle().is_none() && after.handle().is_some())
        || old.of_others() != new.of_others()
}
