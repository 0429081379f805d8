//! What a failure to take or to look at a snapshot is called (sheet 5.5, 8, 13.12).

use crate::content::{View, Words};

/// Reason and message of an event; the message is also the status's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The event's reason.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

/// How `error` is reported. The first failure creates a status; upstream calls all later ones by another name for that, so
/// that one cause is reported twice. Here a failed creation keeps its name until something has been created.
pub fn report(view: &View<'_>, words: &Words, error: &str) -> Report {
    let creation = words.creation_prefix();
    let first = view.is_dynamic && view.status.is_none() && !view.is_member;
    let still = view.handle().is_none() && view.error().is_some_and(|known| known.starts_with(&creation));
    if first || still {
        Report { reason: words.creation_failed, message: format!("{creation}{error}") }
    } else {
        Report { reason: words.check_failed, message: format!("{}{error}", words.check_prefix()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::content::{Content, SINGLE};
    use crate::policy::fixtures::content;

    fn reason(overlay: &Value) -> &'static str {
        report(&content(overlay).view(), &SINGLE, "it broke").reason
    }

    #[test]
    fn a_failed_creation_keeps_its_name() {
        assert_eq!(reason(&json!({})), "SnapshotCreationFailed");
        let failed = json!({"status": {"error": {"message": "Failed to create snapshot: it broke"}}});
        assert_eq!(reason(&failed), "SnapshotCreationFailed");
        let check = "SnapshotContentCheckandUpdateFailed";
        assert_eq!(reason(&json!({"status": {}})), check);
        let mut taken = failed;
        taken["status"]["snapshotHandle"] = json!("s");
        assert_eq!(reason(&taken), check);
        let given = json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": "s"}}});
        assert_eq!(reason(&given), check);
        let given = report(&content(&given).view(), &SINGLE, "it broke");
        assert_eq!(given.message, "Failed to check and update snapshot content: it broke");
    }
}
