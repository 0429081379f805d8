//! Which class a snapshot gets (sheet 5.3, 5.12).

use std::sync::Arc;

use sidecar_core::objects::{Interned, Snapshot, SnapshotClass};

use super::source::{self, Taken};
use super::{Problem, Stores};
use crate::events;

/// The class of that name.
pub fn named(stores: &Stores, name: &str) -> Result<Arc<SnapshotClass>, String> {
    let missing = || format!("volumesnapshotclass.snapshot.storage.k8s.io {name:?} not found");
    stores.classes.get("", name).ok_or_else(missing)
}

/// The one class among `classes` that is the default of a driver. `what` is for the message.
pub fn only_default<'c>(
    classes: impl IntoIterator<Item = &'c SnapshotClass>,
    driver: &str,
    none: &str,
) -> Result<Interned, String> {
    let of_driver = |class: &&SnapshotClass| class.is_default && *class.driver == *driver;
    let found: Vec<_> = classes.into_iter().filter(of_driver).collect();
    match found.as_slice() {
        [] => Err(none.to_owned()),
        [class] => Ok(class.meta.name.clone()),
        several => Err(format!("{} default snapshot classes were found", several.len())),
    }
}

/// What a snapshot's class is to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// It needs none.
    None,
    /// The one it names.
    Named(Arc<SnapshotClass>),
    /// It names none, and this is the default.
    Default(Arc<SnapshotClass>),
}

impl Choice {
    /// The class.
    pub fn class(&self) -> Option<&SnapshotClass> {
        match self {
            Self::None => None,
            Self::Named(class) | Self::Default(class) => Some(class),
        }
    }
}

/// The class of a snapshot that has no content yet.
pub fn choose(snapshot: &Snapshot, stores: &Stores) -> Result<Choice, Problem> {
    if let Some(name) = &snapshot.class {
        return named(stores, name).map(Choice::Named).map_err(|error| {
            let message = format!("Failed to get snapshot class with error {error}");
            Problem::keeping_readiness(events::GET_CLASS_FAILED, message, error)
        });
    }
    // Not for those that were made by hand, nor for members: theirs is the group's.
    if snapshot.content.is_some() || snapshot.group.is_some() {
        return Ok(Choice::None);
    }
    default(snapshot, stores).map(Choice::Default).map_err(|error| {
        let message = format!("Failed to set default snapshot class with error {error}");
        Problem::keeping_readiness(events::SET_DEFAULT_CLASS_FAILED, message, error)
    })
}

fn default(snapshot: &Snapshot, stores: &Stores) -> Result<Arc<SnapshotClass>, String> {
    let key = snapshot.meta.key();
    let claim = match snapshot.claim.as_deref() {
        None => return Err("the snapshot source PVC name is not specified".to_owned()),
        Some("") => return Err(format!("the PVC name is not specified in snapshot {key}")),
        Some(claim) => source::claim(stores, snapshot.meta.namespace(), claim)?,
    };
    let volume = source::volume(stores, &claim, Taken::Snapshot)?;
    let Some(driver) = &volume.driver else {
        return Err(format!("snapshotting non-CSI volumes is not supported, snapshot:{key}"));
    };
    let classes = stores.classes.list();
    let name = only_default(classes.iter().map(AsRef::as_ref), driver, "cannot find default snapshot class")?;
    named(stores, &name)
}

/// Whether an error in a status is about the class: it means nothing any more once there is a content.
pub fn is_class_error(message: &str) -> bool {
    message.starts_with("Failed to get snapshot class with error ")
        || message.starts_with("Failed to set default snapshot class with error ")
}
