//! Reasons and messages of the events that users, alerts and test suites know (sheet section 8).

/// Reason of events about the start of an attempt, and of leaving a claim to a populator.
pub(crate) const PROVISIONING: &str = "Provisioning";
/// Reason of the event about a saved volume.
pub(crate) const PROVISIONING_SUCCEEDED: &str = "ProvisioningSucceeded";
/// Reason of events about failed attempts.
pub(crate) const PROVISIONING_FAILED: &str = "ProvisioningFailed";
/// Reason of events about a volume that could not be deleted.
pub(crate) const VOLUME_FAILED_DELETE: &str = "VolumeFailedDelete";
/// Reason of the event about a volume whose deletion waits for something normal.
pub(crate) const VOLUME_DELETE: &str = "VolumeDelete";
/// Component of the events that do not name the process.
pub(crate) const COMPONENT: &str = "external-provisioner";

/// A claim is left to an external populator.
pub(crate) const POPULATOR_MESSAGE: &str = "Assuming an external populator will provision the volume";

/// The component of the events that name the process: driver, host and a random id.
pub(crate) fn process_component(driver: &str, hostname: &str, id: &uuid::Uuid) -> String {
    format!("{driver}_{hostname}_{id}")
}

/// An attempt begins.
pub(crate) fn provisioning(namespace: &str, name: &str) -> String {
    format!("External provisioner is provisioning volume for claim \"{namespace}/{name}\"")
}

/// A volume was saved.
pub(crate) fn succeeded(volume: &str) -> String {
    format!("Successfully provisioned volume {volume}")
}

/// The driver calls the request invalid.
pub(crate) fn infeasible(error: &str) -> String {
    format!("Volume provisioning failed with infeasible error. Retries will be delayed. {error}")
}

/// The driver made the volume, but the API server does not take the object.
pub(crate) fn save_rejected(volume: &str, error: &str) -> String {
    format!(
        "Volume {volume} was created, but saving its PersistentVolume was rejected: {error}. Retries will be delayed."
    )
}

/// The name that the volume would get is taken.
pub(crate) fn name_taken(volume: &str) -> String {
    format!(
        "PersistentVolume {volume} already exists and belongs to another claim or driver; it is left alone"
    )
}
