//! Does a volume have to grow, and to which size (sheet 5.3, table D1 to D15)?

use sidecar_core::objects::{Claim, ClaimPhase};

use super::sizes::{self, Progress, Size, Sizes};

/// What is to be done about a claim that wants more than it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing here: the node has to do its part.
    NodesTurn,
    /// Nothing here: the file system waits for its growth, as an old API server writes it.
    LegacyNodesTurn,
    /// The driver is to make it this large.
    Expand(Size),
}

/// Whether the claim's status promises less than the user asks for, so that there is something to do at all.
pub fn is_needed(claim: &Claim) -> bool {
    claim.phase == ClaimPhase::Bound
        && claim.volume_name.is_some()
        && sizes::amount(claim.requested.as_deref()) > sizes::capacity(claim)
}

/// The decision table.
///
/// `final_error`: the last try ended with an error after which the driver is certainly not working on it any more.
/// `by_controller`: the driver expands volumes in its controller, not only on nodes.
pub fn decide(sizes: &Sizes, final_error: bool, by_controller: bool) -> Decision {
    let wanted = || sizes.wanted.clone();
    let allocated = || sizes.allocated.clone().unwrap_or_else(wanted);
    let target = if sizes.volume < sizes.wanted.amount {
        match sizes.progress {
            Progress::NodePending | Progress::NodeInProgress => {
                let target = allocated();
                if sizes.volume >= target.amount {
                    return Decision::NodesTurn;
                }
                target
            }
            Progress::ControllerInProgress if final_error => wanted(),
            // The driver may still be at it, or has been through with it: what was asked for comes first.
            Progress::ControllerInProgress | Progress::NodeInfeasible => allocated(),
            Progress::ControllerInfeasible | Progress::None | Progress::Unknown => wanted(),
        }
    } else {
        match sizes.progress {
            Progress::NodePending | Progress::NodeInProgress => return Decision::NodesTurn,
            Progress::ControllerInProgress | Progress::ControllerInfeasible => allocated(),
            Progress::NodeInfeasible if by_controller => allocated(),
            Progress::None if sizes.allocated.is_some() => allocated(),
            Progress::None | Progress::Unknown if sizes.file_system_pending => {
                return Decision::LegacyNodesTurn;
            }
            // After a refusal of the node alone the volume object may shrink: nothing has grown yet.
            Progress::NodeInfeasible | Progress::None | Progress::Unknown => wanted(),
        }
    };
    Decision::Expand(target)
}

/// Whether this target is the one that the claim's status names already. Then the status stays as it is during the call,
/// and a size that was called impossible is tried at a slow pace only.
pub fn repeats(sizes: &Sizes, target: &Size) -> bool {
    sizes.allocated.as_ref() == Some(target)
}

/// Without `RecoverVolumeExpansionFailure`: the target, if the driver is to be asked (sheet 5.8).
pub fn decide_legacy(sizes: &Sizes) -> Decision {
    if sizes.volume >= sizes.wanted.amount && sizes.file_system_pending {
        return Decision::NodesTurn;
    }
    Decision::Expand(sizes.wanted.clone())
}

/// Whether kubelet has seen the volume's new size and is at its part, or through with it, before the claim could be marked:
/// marking it now would have it wait for a node that does nothing more.
pub fn node_is_ahead(claim: &Claim, size: &str) -> bool {
    sizes::capacity(claim) >= sizes::amount(Some(size)) || Progress::of(claim) == Progress::NodeInProgress
}

/// An answer of the driver that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the driver says that the volume has {answered} bytes now although it was asked for at least {asked}"
)]
pub struct TooSmall {
    /// Bytes asked for.
    pub asked: i64,
    /// Bytes answered.
    pub answered: i64,
}

/// Checks the size in the driver's answer. Upstream saves any number, and tries again for ever (upstream issue 226).
pub fn check_answer(target: &Size, answered: i64) -> Result<i64, TooSmall> {
    let asked = target.bytes();
    if answered >= asked && answered > 0 { Ok(answered) } else { Err(TooSmall { asked, answered }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidecar_core::objects::Interned;

    use super::*;
    use crate::policy::fixtures;
    use crate::policy::sizes::amount;

    struct Row {
        name: &'static str,
        volume: &'static str,
        wanted: &'static str,
        progress: Progress,
        allocated: Option<&'static str>,
        final_error: bool,
        by_controller: bool,
        pending: bool,
        /// Size asked for; empty: nobody is asked.
        target: &'static str,
    }

    const ROW: Row = Row {
        name: "",
        volume: "1Gi",
        wanted: "5Gi",
        progress: Progress::None,
        allocated: None,
        final_error: false,
        by_controller: true,
        pending: false,
        target: "",
    };

    fn check(row: &Row) {
        let size = |text| Size::new(&Interned::new(text));
        let sizes = Sizes {
            wanted: size(row.wanted),
            capacity: amount(Some("1Gi")),
            volume: amount(Some(row.volume)),
            allocated: row.allocated.map(size),
            progress: row.progress,
            file_system_pending: row.pending,
        };
        let target = match decide(&sizes, row.final_error, row.by_controller) {
            Decision::Expand(target) => target.text.to_string(),
            Decision::NodesTurn | Decision::LegacyNodesTurn => String::new(),
        };
        assert_eq!(target, row.target, "{}", row.name);
    }

    #[test]
    fn decision_table() {
        use Progress as P;
        let rows = [
            Row { name: "D1", progress: P::NodeInfeasible, allocated: Some("3Gi"), target: "3Gi", ..ROW },
            Row { name: "D2", progress: P::NodeInfeasible, target: "5Gi", ..ROW },
            Row { name: "D3", progress: P::NodePending, volume: "3Gi", allocated: Some("3Gi"), ..ROW },
            Row {
                name: "D3 in progress",
                progress: P::NodeInProgress,
                volume: "3Gi",
                allocated: Some("2Gi"),
                ..ROW
            },
            Row { name: "D4", progress: P::NodePending, allocated: Some("3Gi"), target: "3Gi", ..ROW },
            Row { name: "D4 absent", progress: P::NodeInProgress, target: "5Gi", ..ROW },
            Row {
                name: "D5",
                progress: P::ControllerInProgress,
                final_error: true,
                allocated: Some("10Gi"),
                target: "5Gi",
                ..ROW
            },
            Row {
                name: "D6",
                progress: P::ControllerInProgress,
                allocated: Some("10Gi"),
                target: "10Gi",
                ..ROW
            },
            Row { name: "D7", progress: P::ControllerInProgress, target: "5Gi", ..ROW },
            Row {
                name: "D8 infeasible",
                progress: P::ControllerInfeasible,
                allocated: Some("9Gi"),
                target: "5Gi",
                ..ROW
            },
            Row { name: "D8 none", allocated: Some("3Gi"), target: "5Gi", ..ROW },
            Row { name: "D8 unknown", progress: P::Unknown, target: "5Gi", ..ROW },
            Row { name: "D9", volume: "5Gi", progress: P::NodePending, ..ROW },
            Row {
                name: "D9 in progress",
                volume: "6Gi",
                progress: P::NodeInProgress,
                allocated: Some("9Gi"),
                ..ROW
            },
            Row {
                name: "D10 more",
                volume: "5Gi",
                progress: P::NodeInfeasible,
                allocated: Some("6Gi"),
                target: "6Gi",
                ..ROW
            },
            Row {
                name: "D11 trivial",
                volume: "10Gi",
                progress: P::NodeInfeasible,
                allocated: Some("10Gi"),
                by_controller: false,
                target: "5Gi",
                ..ROW
            },
            Row { name: "D11 absent", volume: "10Gi", progress: P::NodeInfeasible, target: "5Gi", ..ROW },
            Row {
                name: "D12",
                volume: "5Gi",
                progress: P::ControllerInProgress,
                allocated: Some("7Gi"),
                final_error: true,
                target: "7Gi",
                ..ROW
            },
            Row {
                name: "D12 absent",
                volume: "5Gi",
                progress: P::ControllerInfeasible,
                target: "5Gi",
                ..ROW
            },
            Row { name: "D13", volume: "5Gi", allocated: Some("4Gi"), pending: true, target: "4Gi", ..ROW },
            Row { name: "D14", volume: "5Gi", pending: true, ..ROW },
            Row {
                name: "D14 unknown",
                volume: "5Gi",
                progress: P::Unknown,
                allocated: Some("4Gi"),
                pending: true,
                ..ROW
            },
            Row { name: "D15", volume: "5Gi", target: "5Gi", ..ROW },
            Row {
                name: "D15 unknown",
                volume: "5Gi",
                progress: P::Unknown,
                allocated: Some("4Gi"),
                target: "5Gi",
                ..ROW
            },
        ];
        rows.iter().for_each(check);
    }

    #[test]
    fn a_node_that_is_ahead_is_not_called_back() {
        let claim = |capacity: &str, progress: &str| {
            fixtures::claim(&json!({"status": {
                "capacity": {"storage": capacity}, "allocatedResourceStatuses": {"storage": progress},
            }}))
        };
        assert!(node_is_ahead(&claim("2Gi", ""), "2Gi"));
        assert!(node_is_ahead(&claim("1Gi", "NodeResizeInProgress"), "2Gi"));
        assert!(!node_is_ahead(&claim("1Gi", "ControllerResizeInProgress"), "2Gi"));
    }

    #[test]
    fn answers_that_are_too_small_are_refused() {
        let target = Size::new(&Interned::new("2Ki"));
        assert_eq!(check_answer(&target, 2048), Ok(2048));
        assert_eq!(check_answer(&target, 4096), Ok(4096));
        for answered in [0, -1, 2047] {
            assert_eq!(check_answer(&target, answered), Err(TooSmall { asked: 2048, answered }));
        }
        assert!(check_answer(&Size::new(&Interned::new("0")), 0).is_err());
    }
}
