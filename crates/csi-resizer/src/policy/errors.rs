//! What an error of the driver says about the volume, and what follows from it (sheet 7.1).

use tonic::Code;

/// What ResourceExhausted means. Upstream's sidecars disagree about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exhausted {
    /// The driver may still be at it, as upstream's resizer takes it.
    #[default]
    IsOpen,
    /// The driver is not at it any more, as upstream's provisioner takes it.
    IsFinal,
}

/// What a failed expansion leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpandFailure {
    /// The driver may still be at it, or was never asked: nothing is written.
    Open,
    /// Nothing is going on in the driver.
    Final,
    /// The same, because the volume is in use.
    InUse,
    /// The size cannot be had, now or later.
    Infeasible,
}

impl ExpandFailure {
    /// What follows from `code`; `None` is an error that did not come from the driver.
    pub fn of(code: Option<Code>, exhausted: Exhausted) -> Self {
        match code {
            None => Self::Open,
            Some(code) if leaves_open(code, exhausted) => Self::Open,
            Some(Code::FailedPrecondition) => Self::InUse,
            Some(Code::InvalidArgument | Code::OutOfRange | Code::NotFound) => Self::Infeasible,
            Some(_) => Self::Final,
        }
    }

    /// Whether the driver is certainly not working on it any more.
    pub fn is_final(self) -> bool {
        self != Self::Open
    }
}

/// What a failed modification leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModifyFailure {
    /// The driver may still be at it: the class that was asked for stays the target.
    Uncertain,
    /// Nothing is going on in the driver.
    Final,
    /// The class cannot be applied, now or later.
    Infeasible,
}

impl ModifyFailure {
    /// What follows from `code`.
    pub fn of(code: Code, exhausted: Exhausted) -> Self {
        match code {
            code if leaves_open(code, exhausted) => Self::Uncertain,
            Code::InvalidArgument => Self::Infeasible,
            _ => Self::Final,
        }
    }
}

/// Codes after which the driver may still be working.
fn leaves_open(code: Code, exhausted: Exhausted) -> bool {
    match code {
        Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable | Code::Aborted => true,
        Code::ResourceExhausted => exhausted == Exhausted::IsOpen,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_matrix() {
        use ExpandFailure as E;
        use ModifyFailure as M;
        let rows = [
            (Code::Cancelled, E::Open, M::Uncertain),
            (Code::DeadlineExceeded, E::Open, M::Uncertain),
            (Code::Unavailable, E::Open, M::Uncertain),
            (Code::ResourceExhausted, E::Open, M::Uncertain),
            (Code::Aborted, E::Open, M::Uncertain),
            (Code::InvalidArgument, E::Infeasible, M::Infeasible),
            (Code::OutOfRange, E::Infeasible, M::Final),
            (Code::NotFound, E::Infeasible, M::Final),
            (Code::FailedPrecondition, E::InUse, M::Final),
            (Code::Internal, E::Final, M::Final),
            (Code::Unknown, E::Final, M::Final),
            (Code::AlreadyExists, E::Final, M::Final),
            (Code::PermissionDenied, E::Final, M::Final),
            (Code::Unimplemented, E::Final, M::Final),
            (Code::DataLoss, E::Final, M::Final),
            (Code::Unauthenticated, E::Final, M::Final),
        ];
        for (code, expand, modify) in rows {
            assert_eq!(ExpandFailure::of(Some(code), Exhausted::IsOpen), expand, "{code:?}");
            assert_eq!(ModifyFailure::of(code, Exhausted::IsOpen), modify, "{code:?}");
            let other = code != Code::ResourceExhausted;
            assert_eq!(ExpandFailure::of(Some(code), Exhausted::IsFinal) == expand, other, "{code:?}");
            assert_eq!(ModifyFailure::of(code, Exhausted::IsFinal) == modify, other, "{code:?}");
        }
        assert_eq!(E::of(None, Exhausted::IsFinal), E::Open);
        assert!(!E::Open.is_final() && [E::Final, E::InUse, E::Infeasible].iter().all(|f| f.is_final()));
    }
}
