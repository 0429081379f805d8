//! The GroupController service. It is served, as upstream does, but has no capability yet: every call answers
//! UNIMPLEMENTED. Group snapshots come with snapshots.

use csi_driver_kit::driver::GroupController;

use crate::plugin::Plugin;

impl GroupController for Plugin {}
