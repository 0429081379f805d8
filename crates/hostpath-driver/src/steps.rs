//! Places where a test can make the driver fail or die.
//!
//! Each effect of a call is followed by a named step. In production a step does nothing; the crash tests make
//! each of them fail, or end the driver there, and look at what a new driver makes of it.

use std::fmt;
use std::sync::Arc;

use csi_driver_kit::os_error::OsError;
use rustix::io::Errno;

type Hook = dyn Fn(&'static str) -> Result<(), Errno> + Send + Sync;

/// The hook behind the steps, if any.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<Hook>>);

impl Steps {
    /// Calls `hook` with the name of each step that is reached; its error becomes the error of the step.
    pub fn watched(hook: impl Fn(&'static str) -> Result<(), Errno> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn reach(&self, step: &'static str) -> Result<(), OsError> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(step).map_err(|errno| OsError::new(step, "", errno)),
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Steps").field(&self.0.is_some()).finish()
    }
}
