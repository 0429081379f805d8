//! How large a volume is, is to be, and is said to be.
//!
//! The names in brackets are those of the sheet: what the user asks for (S), what the claim's status says (C), what the
//! volume object says (P), and what was last asked for, as the quota counts it (A), with how far that has come (R).

use sidecar_core::objects::{Claim, Interned, Volume};
use sidecar_core::quantity::Quantity;

/// Condition by which the file system is said to wait for its growth.
pub const FILE_SYSTEM_RESIZE_PENDING: &str = "FileSystemResizePending";

/// How far an expansion has come: `status.allocatedResourceStatuses.storage` (R).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is going on.
    #[default]
    None,
    /// The controller is at it.
    ControllerInProgress,
    /// The driver calls the size impossible.
    ControllerInfeasible,
    /// The node has to do its part.
    NodePending,
    /// The node is at it.
    NodeInProgress,
    /// The node calls the size impossible.
    NodeInfeasible,
    /// A state this program does not know.
    Unknown,
}

impl Progress {
    /// The state of that name.
    pub fn read(text: &str) -> Self {
        match text {
            "" => Self::None,
            "ControllerResizeInProgress" => Self::ControllerInProgress,
            "ControllerResizeInfeasible" => Self::ControllerInfeasible,
            "NodeResizePending" => Self::NodePending,
            "NodeResizeInProgress" => Self::NodeInProgress,
            "NodeResizeInfeasible" => Self::NodeInfeasible,
            _ => Self::Unknown,
        }
    }

    /// The name in the API; empty for those without one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None | Self::Unknown => "",
            Self::ControllerInProgress => "ControllerResizeInProgress",
            Self::ControllerInfeasible => "ControllerResizeInfeasible",
            Self::NodePending => "NodeResizePending",
            Self::NodeInProgress => "NodeResizeInProgress",
            Self::NodeInfeasible => "NodeResizeInfeasible",
        }
    }

    /// The state of a claim.
    pub fn of(claim: &Claim) -> Self {
        let statuses = claim.resize.as_deref().map(|resize| resize.allocated_statuses.as_slice());
        let own = statuses.unwrap_or_default().iter().find(|(resource, _)| &**resource == "storage");
        own.map_or(Self::None, |(_, status)| Self::read(status))
    }
}

/// An amount as it is written. Two are equal if the amounts are.
#[derive(Clone, Debug)]
pub struct Size {
    /// The text.
    pub text: Interned,
    /// The amount.
    pub amount: Quantity,
}

impl Size {
    /// The size of this text; the API server has checked it.
    pub fn new(text: &Interned) -> Self {
        Self { amount: amount(Some(text)), text: text.clone() }
    }

    /// Bytes, rounded up.
    pub fn bytes(&self) -> i64 {
        self.amount.value()
    }
}

impl PartialEq for Size {
    fn eq(&self, other: &Self) -> bool {
        self.amount == other.amount
    }
}

impl Eq for Size {}

/// The amount of a text; nothing, and what cannot be read, is 0.
pub fn amount(text: Option<&str>) -> Quantity {
    text.and_then(|text| Quantity::parse(text).ok()).unwrap_or(Quantity::binary(0))
}

/// All sizes of a claim and its volume at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Asked for by the user (S).
    pub wanted: Size,
    /// Of the claim's status (C).
    pub capacity: Quantity,
    /// Of the volume object (P).
    pub volume: Quantity,
    /// Last asked for (A).
    pub allocated: Option<Size>,
    /// How far that is (R).
    pub progress: Progress,
    /// Whether the file system is said to wait for its growth.
    pub file_system_pending: bool,
}

impl Sizes {
    /// The sizes of a claim and its volume.
    pub fn of(claim: &Claim, volume: &Volume) -> Self {
        let resize = claim.resize.as_deref();
        let conditions = resize.map(|resize| resize.conditions.as_slice()).unwrap_or_default();
        Self {
            wanted: Size::new(&claim.requested.clone().unwrap_or_default()),
            capacity: capacity(claim),
            volume: amount(volume.capacity.as_deref()),
            allocated: resize.and_then(|resize| resize.allocated.as_ref()).map(Size::new),
            progress: Progress::of(claim),
            file_system_pending: conditions.iter().any(|condition| {
                &*condition.kind == FILE_SYSTEM_RESIZE_PENDING && &*condition.status == "True"
            }),
        }
    }
}

/// The size in the claim's status (C).
pub fn capacity(claim: &Claim) -> Quantity {
    amount(claim.resize.as_deref().and_then(|resize| resize.capacity.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        use Progress as P;
        for progress in [
            P::None,
            P::ControllerInProgress,
            P::ControllerInfeasible,
            P::NodePending,
            P::NodeInProgress,
            P::NodeInfeasible,
        ] {
            assert_eq!(Progress::read(progress.as_str()), progress);
        }
        assert_eq!(Progress::read("ControllerResizeFailed"), Progress::Unknown);
    }

    #[test]
    fn sizes_compare_by_amount() {
        assert_eq!(Size::new(&Interned::new("1Gi")), Size::new(&Interned::new("1024Mi")));
        assert_eq!(Size::new(&Interned::new("1.5")).bytes(), 2, "rounded up");
        assert!(amount(None).is_zero() && amount(Some("?")).is_zero());
    }
}
