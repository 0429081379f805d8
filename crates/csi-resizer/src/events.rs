//! Reasons and messages of the events that users, alerts and test suites know (sheet section 8).

/// Reason of the event before each try to expand.
pub const RESIZING: &str = "Resizing";
/// Reason of the event when the node has to do its part.
pub const FILE_SYSTEM_RESIZE_REQUIRED: &str = "FileSystemResizeRequired";
/// Reason of the event when all is done.
pub const VOLUME_RESIZE_SUCCESSFUL: &str = "VolumeResizeSuccessful";
/// Reason of events about failed expansions.
pub const VOLUME_RESIZE_FAILED: &str = "VolumeResizeFailed";
/// Reason of the event before each try to modify.
pub const VOLUME_MODIFY: &str = "VolumeModify";
/// Reason of the event when the class is applied.
pub const VOLUME_MODIFY_SUCCESSFUL: &str = "VolumeModifySuccessful";
/// Reason of events about failed modifications.
pub const VOLUME_MODIFY_FAILED: &str = "VolumeModifyFailed";
/// Reason of the event when the user has given up.
pub const VOLUME_MODIFY_CANCELED: &str = "VolumeModifyCanceled";

/// The node has to do its part.
pub const FILE_SYSTEM_MESSAGE: &str = "Require file system resize of volume on node";
/// All is done.
pub const RESIZE_SUCCEEDED: &str = "Resize volume succeeded";
/// The user has given up.
pub const MODIFY_CANCELED: &str = "Cancelled modify.";

/// Component of all events.
pub fn component(driver: &str) -> String {
    format!("external-resizer {driver}")
}

/// A try to expand begins.
pub fn resizing(volume: &str) -> String {
    format!("External resizer is resizing volume {volume}")
}

/// The driver, or what comes before it, failed.
pub fn resize_failed(volume: &str, driver: &str, error: &str) -> String {
    format!("resize volume \"{volume}\" by resizer \"{driver}\" failed: {error}")
}

/// The volume is in use, and the driver cannot expand it then.
pub fn in_use(claim: &str, driver: &str) -> String {
    format!(
        "Unable to expand {claim} because CSI driver {driver} only supports offline expansion and volume is currently in-use"
    )
}

/// A try to modify begins.
pub fn modifying(claim: &str, class: &str) -> String {
    format!("external resizer is modifying volume {claim} with vac {class}")
}

/// The class is applied.
pub fn modified(claim: &str, class: &str) -> String {
    format!("external resizer modified volume {claim} with vac {class} successfully")
}

/// The driver failed, and may still be at it.
pub fn still_modifying(error: &str, class: &str) -> String {
    format!("{error}. Still modifying to VAC {class}")
}

/// The class is not there.
pub fn no_class(class: &str) -> String {
    format!("VAC \"{class}\" does not exist.")
}

/// The class is one for another driver. Upstream does not look, and neither does the API server.
pub fn foreign_class(class: &str, named: &str, driver: &str) -> String {
    format!("VAC \"{class}\" is for driver {named}, it is given to driver {driver} all the same")
}
