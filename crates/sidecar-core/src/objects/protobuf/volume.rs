//! PersistentVolume, and VolumeAttachment, which may contain a volume's spec.

use super::Type::{Bool, Inline, Int, Message, Messages, QuantityMap, Text, TextMap, Texts, Time};
use super::meta::OBJECT_META;
use super::{Shape, field, kept};

/// `PersistentVolume`.
pub(in super::super) static VOLUME: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "spec", Message(&VOLUME_SPEC)),
        field(3, "status", Message(&VOLUME_STATUS)),
    ],
};

/// `PersistentVolumeStatus`.
static VOLUME_STATUS: Shape = Shape { fields: &[field(1, "phase", Text)] };

/// `PersistentVolumeSpec`.
static VOLUME_SPEC: Shape = Shape {
    fields: &[
        field(1, "capacity", QuantityMap),
        field(2, "", Inline(&SOURCE)),
        field(3, "accessModes", Texts),
        field(4, "claimRef", Message(&OBJECT_REFERENCE)),
        field(5, "persistentVolumeReclaimPolicy", Text),
        field(6, "storageClassName", Text),
        field(7, "mountOptions", Texts),
        field(8, "volumeMode", Text),
        field(9, "nodeAffinity", Message(&NODE_AFFINITY)),
        field(10, "volumeAttributesClassName", Text),
    ],
};

/// `PersistentVolumeSource`.
static SOURCE: Shape = Shape {
    fields: &[
        field(1, "gcePersistentDisk", Message(&GCE_PERSISTENT_DISK)),
        field(2, "awsElasticBlockStore", Message(&AWS_ELASTIC_BLOCK_STORE)),
        field(8, "cinder", Message(&CINDER)),
        field(13, "azureFile", Message(&AZURE_FILE)),
        field(14, "vsphereVolume", Message(&VSPHERE_VOLUME)),
        field(16, "azureDisk", Message(&AZURE_DISK)),
        field(18, "portworxVolume", Message(&PORTWORX_VOLUME)),
        field(22, "csi", Message(&CSI)),
    ],
};

/// `CSIPersistentVolumeSource`.
static CSI: Shape = Shape {
    fields: &[
        field(1, "driver", Text),
        field(2, "volumeHandle", Text),
        field(3, "readOnly", Bool),
        field(4, "fsType", Text),
        field(5, "volumeAttributes", TextMap),
        field(6, "controllerPublishSecretRef", Message(&SECRET_REFERENCE)),
        field(9, "controllerExpandSecretRef", Message(&SECRET_REFERENCE)),
        field(10, "nodeExpandSecretRef", Message(&SECRET_REFERENCE)),
    ],
};

/// `SecretReference`.
static SECRET_REFERENCE: Shape = Shape { fields: &[field(1, "name", Text), field(2, "namespace", Text)] };

/// `ObjectReference`.
static OBJECT_REFERENCE: Shape =
    Shape { fields: &[field(2, "namespace", Text), field(3, "name", Text), field(4, "uid", Text)] };

/// `VolumeNodeAffinity`.
static NODE_AFFINITY: Shape = Shape { fields: &[field(1, "required", Message(&NODE_SELECTOR))] };

/// `NodeSelector`.
static NODE_SELECTOR: Shape =
    Shape { fields: &[field(1, "nodeSelectorTerms", Messages(&NODE_SELECTOR_TERM))] };

/// `NodeSelectorTerm`.
static NODE_SELECTOR_TERM: Shape = Shape {
    fields: &[
        field(1, "matchExpressions", Messages(&NODE_SELECTOR_REQUIREMENT)),
        field(2, "matchFields", Messages(&NODE_SELECTOR_REQUIREMENT)),
    ],
};

/// `NodeSelectorRequirement`.
static NODE_SELECTOR_REQUIREMENT: Shape =
    Shape { fields: &[field(1, "key", Text), field(2, "operator", Text), field(3, "values", Texts)] };

// The sources of in-tree plugins are read whole, as JSON: what is a pointer or always written in Go is told apart.

/// `GCEPersistentDiskVolumeSource`.
static GCE_PERSISTENT_DISK: Shape = Shape {
    fields: &[
        kept(1, "pdName", Text),
        field(2, "fsType", Text),
        field(3, "partition", Int),
        field(4, "readOnly", Bool),
    ],
};

/// `AWSElasticBlockStoreVolumeSource`.
static AWS_ELASTIC_BLOCK_STORE: Shape = Shape {
    fields: &[
        kept(1, "volumeID", Text),
        field(2, "fsType", Text),
        field(3, "partition", Int),
        field(4, "readOnly", Bool),
    ],
};

/// `CinderPersistentVolumeSource`.
static CINDER: Shape = Shape {
    fields: &[
        kept(1, "volumeID", Text),
        field(2, "fsType", Text),
        field(3, "readOnly", Bool),
        field(4, "secretRef", Message(&SECRET_REFERENCE)),
    ],
};

/// `AzureFilePersistentVolumeSource`. Without a namespace JSON has a null, which means the same as nothing.
static AZURE_FILE: Shape = Shape {
    fields: &[
        kept(1, "secretName", Text),
        kept(2, "shareName", Text),
        field(3, "readOnly", Bool),
        kept(4, "secretNamespace", Text),
    ],
};

/// `VsphereVirtualDiskVolumeSource`.
static VSPHERE_VOLUME: Shape = Shape {
    fields: &[
        kept(1, "volumePath", Text),
        field(2, "fsType", Text),
        field(3, "storagePolicyName", Text),
        field(4, "storagePolicyID", Text),
    ],
};

/// `AzureDiskVolumeSource`.
static AZURE_DISK: Shape = Shape {
    fields: &[
        kept(1, "diskName", Text),
        kept(2, "diskURI", Text),
        kept(3, "cachingMode", Text),
        kept(4, "fsType", Text),
        kept(5, "readOnly", Bool),
        kept(6, "kind", Text),
    ],
};

/// `PortworxVolumeSource`.
static PORTWORX_VOLUME: Shape =
    Shape { fields: &[kept(1, "volumeID", Text), field(2, "fsType", Text), field(3, "readOnly", Bool)] };

/// `VolumeAttachment`.
pub(in super::super) static ATTACHMENT: Shape = Shape {
    fields: &[
        field(1, "metadata", Message(&OBJECT_META)),
        field(2, "spec", Message(&ATTACHMENT_SPEC)),
        field(3, "status", Message(&ATTACHMENT_STATUS)),
    ],
};

/// `VolumeAttachmentSpec`.
static ATTACHMENT_SPEC: Shape = Shape {
    fields: &[
        field(1, "attacher", Text),
        field(2, "source", Message(&ATTACHMENT_SOURCE)),
        field(3, "nodeName", Text),
    ],
};

/// `VolumeAttachmentSource`.
static ATTACHMENT_SOURCE: Shape = Shape {
    fields: &[field(1, "persistentVolumeName", Text), field(2, "inlineVolumeSpec", Message(&VOLUME_SPEC))],
};

/// `VolumeAttachmentStatus`.
static ATTACHMENT_STATUS: Shape = Shape {
    fields: &[
        field(1, "attached", Bool),
        field(2, "attachmentMetadata", TextMap),
        field(3, "attachError", Message(&VOLUME_ERROR)),
        field(4, "detachError", Message(&VOLUME_ERROR)),
    ],
};

/// `VolumeError`.
static VOLUME_ERROR: Shape =
    Shape { fields: &[field(1, "time", Time), field(2, "message", Text), kept(3, "errorCode", Int)] };
