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
