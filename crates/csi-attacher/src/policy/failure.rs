//! What went wrong with an attachment, and what would be worth another look.

use csi_client::{code_name, status_text};
use tonic::{Code, Status};

/// Why an attachment could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the status, word for word what upstream writes.
    pub message: String,
    /// The driver's code, if it was the driver.
    pub code: Option<Code>,
    /// What is missing in the caches; its appearance ends the back-off.
    pub waits_for: Option<WaitsFor>,
}

/// What an attachment may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The PersistentVolume.
    Volume,
    /// The driver's entry in the CSINode.
    Node,
}

impl Failure {
    /// A failure that is nobody's answer.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, waits_for: None }
    }

    /// Something is missing that may come.
    pub fn waiting(message: impl Into<String>, waits_for: WaitsFor) -> Self {
        Self { waits_for: Some(waits_for), ..Self::new(message) }
    }

    /// The driver's answer.
    pub fn of_driver(status: &Status) -> Self {
        Self { code: Some(status.code()), ..Self::new(status_text(status)) }
    }

    /// Go's name of the driver's code.
    pub fn code_name(&self) -> Option<&'static str> {
        self.code.map(code_name)
    }
}
