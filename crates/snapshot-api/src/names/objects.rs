//! Names of the objects that the controller makes. They follow from what they are made for, so that a second try after a
//! crash finds the first one's object.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// The name of the content that is made for the snapshot with this UID.
pub fn content_name(snapshot_uid: &str) -> String {
    format!("snapcontent-{snapshot_uid}")
}

/// The name of the content that is made for the group snapshot with this UID.
pub fn group_content_name(group_uid: &str) -> String {
    format!("groupsnapcontent-{group_uid}")
}

/// Names of the two objects of a group's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberNames {
    /// Of the VolumeSnapshot.
    pub snapshot: String,
    /// Of the VolumeSnapshotContent.
    pub content: String,
}

/// The names of the member of the group snapshot with this UID that was cut from the volume with this handle.
pub fn member_names(group_uid: &str, volume_handle: &str) -> MemberNames {
    let hash = digest(&SHA256, format!("{group_uid}{volume_handle}").as_bytes());
    let hex = hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    MemberNames { snapshot: format!("snapshot-{hex}"), content: format!("snapcontent-{hex}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_named_after_uids() {
        assert_eq!(content_name("u-1"), "snapcontent-u-1");
        assert_eq!(group_content_name("u-1"), "groupsnapcontent-u-1");
    }

    /// `printf abc | sha256sum`: the parts are simply put together.
    #[test]
    fn members_are_named_after_group_and_volume() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (uid, handle) in [("abc", ""), ("a", "bc"), ("", "abc")] {
            let names = member_names(uid, handle);
            assert_eq!(names.snapshot, format!("snapshot-{hex}"));
            assert_eq!(names.content, format!("snapcontent-{hex}"));
        }
    }
}
