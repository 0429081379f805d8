//! VolumeAttachment.

use serde::Deserialize;

use super::claim::some;
use super::meta::{WireMeta, annotation};
use super::volume::WireSpec as WireVolumeSpec;
use super::wire::{Pairs, Text};
use super::{InlineVolume, Interest, Interned, Kind, Meta, Projected, Resource, Sections, Shape, protobuf};

/// An attachment of a volume to a node. The provisioner reads only which volume is meant; the rest is the attacher's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// Metadata.
    pub meta: Meta,
    /// `spec.attacher`: the driver.
    pub attacher: Interned,
    /// `spec.source.persistentVolumeName`; `None` for an inline volume.
    pub volume: Option<Interned>,
    /// `spec.nodeName`.
    pub node: Interned,
    /// Section [`Sections::ATTACHMENT_STATUS`], only for attachments of wanted drivers.
    pub status: Option<Box<AttachmentStatus>>,
}

/// What only the attacher reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttachmentStatus {
    /// `spec.source.inlineVolumeSpec`.
    pub inline: Option<Box<InlineVolume>>,
    /// `status.attached`.
    pub attached: bool,
    /// The annotation with the node id of the last attempt; an empty text is kept.
    pub node_id: Option<Box<str>>,
    /// `status.attachmentMetadata`.
    pub metadata: Vec<(Interned, Box<str>)>,
    /// `status.attachError`.
    pub attach_error: Option<AttachmentError>,
    /// `status.detachError`.
    pub detach_error: Option<AttachmentError>,
}

/// A recorded error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachmentError {
    /// Message.
    pub message: Box<str>,
    /// Time as written.
    pub time: Box<str>,
    /// `errorCode`, if set.
    pub code: Option<i32>,
}

/// Lookups of attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachmentIndex {
    /// By name of the persistent volume.
    Volume,
    /// By node name.
    Node,
}

impl Kind for Attachment {
    const RESOURCE: Resource = Resource {
        group: "storage.k8s.io",
        version: "v1",
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        namespaced: false,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::ATTACHMENT);

    type Wire<'a> = WireAttachment<'a>;
    type Index = AttachmentIndex;

    // Attachments of other drivers are kept too: any attachment that names a volume guards its deletion
    // (provisioner sheet 5.12) and its finalizer (attacher sheet 5.8).
    fn project(wire: WireAttachment<'_>, interest: &Interest) -> Projected<Self> {
        let wanted = interest.sections.has(Sections::ATTACHMENT_STATUS)
            && interest.drivers.contains(wire.spec.attacher.as_str());
        Projected::Own(wire.keep(wanted))
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: AttachmentIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            AttachmentIndex::Volume => self.volume.as_deref().into_iter().for_each(emit),
            AttachmentIndex::Node => emit(&self.node),
        }
    }
}

/// An attachment as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireAttachment<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
    #[serde(borrow)]
    status: WireStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec<'a> {
    #[serde(borrow)]
    attacher: Text<'a>,
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow)]
    source: WireSource<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSource<'a> {
    #[serde(borrow)]
    persistent_volume_name: Text<'a>,
    #[serde(borrow)]
    inline_volume_spec: Option<Box<WireVolumeSpec<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus<'a> {
    attached: bool,
    #[serde(borrow)]
    attachment_metadata: Pairs<'a>,
    #[serde(borrow)]
    attach_error: Option<WireError<'a>>,
    #[serde(borrow)]
    detach_error: Option<WireError<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireError<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    time: Text<'a>,
    error_code: Option<i32>,
}

impl WireAttachment<'_> {
    fn keep(&self, with_status: bool) -> Attachment {
        Attachment {
            // Nothing refers to an attachment by name.
            meta: self.metadata.keep(false),
            attacher: Interned::new(self.spec.attacher.as_str()),
            volume: some(&self.spec.source.persistent_volume_name),
            node: Interned::new(self.spec.node_name.as_str()),
            status: with_status.then(|| Box::new(self.keep_status())),
        }
    }

    fn keep_status(&self) -> AttachmentStatus {
        let status = &self.status;
        let inline = self.spec.source.inline_volume_spec.as_deref();
        let pairs = status.attachment_metadata.0.iter();
        let node_id = self.metadata.annotations().get(annotation::NODE_ID);
        AttachmentStatus {
            inline: inline.map(|spec| Box::new(spec.keep_inline())),
            attached: status.attached,
            node_id: node_id.map(|value| value.as_str().into()),
            metadata: pairs.map(|(k, v)| (Interned::new(k.as_str()), v.as_str().into())).collect(),
            attach_error: status.attach_error.as_ref().map(WireError::keep),
            detach_error: status.detach_error.as_ref().map(WireError::keep),
        }
    }
}

impl WireError<'_> {
    fn keep(&self) -> AttachmentError {
        AttachmentError {
            message: self.message.as_str().into(),
            time: self.time.as_str().into(),
            code: self.error_code,
        }
    }
}
