//! Why something cannot be translated.

/// Why something cannot be translated. The texts are read by users: in events and in the status of attachments.
#[derive(Debug, thiserror::Error)]
pub enum TranslationError {
    /// The volume has no source that a CSI driver takes over. Holds the volume's name.
    #[error("could not find in-tree plugin translation logic for {0:?}")]
    UnknownSource(String),
    /// The class belongs to no plugin that is migrated. Holds its provisioner.
    #[error("could not find in-tree storage class parameter translation logic for {0:?}")]
    UnknownProvisioner(String),
    /// The driver replaces no in-tree plugin.
    #[error("could not find In-tree driver name for CSI plugin {0}")]
    UnknownDriver(String),
    /// The object has no CSI source.
    #[error("CSI source was nil")]
    NoCsiSource,
    /// An object is not what the API says it is.
    #[error("cannot read {what}: {error}")]
    Malformed {
        /// Which part.
        what: String,
        /// The reader's complaint.
        error: serde_json::Error,
    },
    /// The id of an EBS volume has no known form.
    #[error("failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume ({0})")]
    EbsVolumeId(String),
    /// The region of a regional disk cannot be told.
    #[error("failed to get region from zones: {0}")]
    Regions(RegionError),
    /// The place of a volume cannot be told in the plugin's words.
    #[error("failed to translate topology. PV: {volume}. Error: {error}")]
    Topology {
        /// Name of the volume.
        volume: String,
        /// Why.
        error: RegionError,
    },
    /// Azure disks that are not managed have no counterpart.
    #[error("kind({0}) is not supported in csi migration")]
    AzureDiskKind(String),
    /// A handle of the Azure disk driver that names no disk.
    #[error("could not get disk name from {0}, correct format: {1}")]
    AzureDiskUri(String, &'static str),
    /// A handle of the Azure file driver has too few parts.
    #[error("error parsing volume id: {0:?}, should at least contain two #")]
    AzureFileHandle(String),
    /// Nothing says where the secret of a share is.
    #[error("could not find a secret namespace in PersistentVolumeSource or ClaimRef")]
    NoSecretNamespace,
    /// A handle of the persistent disk driver that is none.
    #[error(
        "failed to get id components. Expected projects/{{project}}/zones/{{zone}}/disks/{{name}}. Got: {0}"
    )]
    DiskHandle(String),
    /// The number of a partition is none.
    #[error("failed to convert partition {0} to integer")]
    Partition(String),
    /// A class names its zones twice.
    #[error("cannot simultaneously set allowed topologies and zone/zones parameters")]
    ZonesTwice,
    /// A handle or a node id has too few parts to be repaired.
    #[error("{what} has wrong number of elements; got {got}, wanted {wanted} or more")]
    TooFewElements {
        /// `volume handle` or `node handle`.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// A handle is neither zonal nor regional.
    #[error("expected volume handle to have zones or regions regionality value, got: {0}")]
    Regionality(String),
    /// The zone of a node belongs to no region.
    #[error("failed to get region from zone {zone}: {error}")]
    RegionOfNode {
        /// The zone.
        zone: String,
        /// Why.
        error: RegionError,
    },
}

/// Why zones name no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// There are no zones.
    #[error("no zones specified")]
    NoZones,
    /// A zone of Google's cloud does not look like one.
    #[error("zone in unexpected format, expected: {{locale}}-{{region}}-{{zone}}, got: {0}")]
    GcpZone(String),
    /// A zone of Amazon's cloud does not look like one.
    #[error("Unexpected zone format: {0} is not a valid AWS zone")]
    AwsZone(String),
    /// The zones lie in several regions.
    #[error("multiple or no regions gotten from zones, got: {}", .0.join(", "))]
    Several(Vec<String>),
}
