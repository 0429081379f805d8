//! The volumes' directories and images.
//!
//! A volume is made in `.creating` and gets its place by a rename; it is removed by a rename into `.deleting`. So
//! whatever has a volume's name in the state directory is whole, and whatever a crash leaves in the two side
//! directories can be told apart by asking the state. Nothing else is ever removed: with a lost state file all data is still there.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use csi_driver_kit::durable::{exists, rename, sync_directory};
use csi_driver_kit::filesystem::{Identity, Kind};
use csi_driver_kit::loop_device;
use csi_driver_kit::mounts::{self, MountTable};
use csi_driver_kit::os_error::{Context as _, OsError};
use csi_driver_kit::remove_tree::remove_tree;
use csi_driver_kit::space::{Space, create_allocated, extend_allocated};
use csi_driver_kit::tree;
use rustix::io::Errno;

use crate::state::Volume;

const CREATING: &str = ".creating";
const DELETING: &str = ".deleting";
/// Places for the first half of a read-only mount.
const MOUNTING: &str = ".mounting";

/// Any user of a pod may write, as the umask allows.
const VOLUME_MODE: u32 = 0o777;
const IMAGE_MODE: u32 = 0o600;

/// What a volume's data is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A directory.
    Directory,
    /// An image of so many bytes.
    Image(u64),
}

/// The state directory, as far as volumes are concerned.
#[derive(Debug)]
pub(crate) struct Data {
    root: PathBuf,
    creating: PathBuf,
    deleting: PathBuf,
    mounting: PathBuf,
}

impl Data {
    pub(crate) fn open(root: &Path) -> Result<Self, OsError> {
        let data = Self {
            root: root.to_path_buf(),
            creating: root.join(CREATING),
            deleting: root.join(DELETING),
            mounting: root.join(MOUNTING),
        };
        for side in [&data.creating, &data.deleting, &data.mounting] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(side)
                .context("create directory", side)?;
        }
        sync_directory(root)?;
        Ok(data)
    }

    /// Where a volume's data is when it is whole.
    pub(crate) fn path(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Makes a volume's data in `.creating`, forced to the disk.
    pub(crate) fn make(&self, id: &str, shape: Shape) -> Result<(), OsError> {
        let path = self.creating.join(id);
        match shape {
            Shape::Directory => {
                std::fs::DirBuilder::new()
                    .mode(VOLUME_MODE)
                    .create(&path)
                    .context("create directory", &path)?;
            }
            Shape::Image(size) => create_allocated(&path, size, IMAGE_MODE)?,
        }
        sync_directory(&self.creating)
    }

    /// Makes an empty filesystem in an image that is still in `.creating`.
    pub(crate) fn format(&self, id: &str, filesystem: Kind, identity: &Identity) -> Result<(), OsError> {
        let path = self.creating.join(id);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).context("open", &path)?;
        let size = file.metadata().context("stat", &path)?.len();
        filesystem.format(&file, &path, size, identity)
    }

    /// Makes an image larger, and the devices that show it.
    pub(crate) fn grow(&self, id: &str, size: u64) -> Result<(), OsError> {
        let path = self.path(id);
        extend_allocated(&path, size)?;
        loop_device::find(&path)?.into_iter().try_for_each(loop_device::update_capacity)
    }

    /// Writes a snapshot of a volume into `.creating`, forced to the disk. With `tolerant`, files that cannot be read
    /// are left out.
    pub(crate) fn cut(&self, volume: &Volume, file: &str, tolerant: bool) -> Result<(), OsError> {
        let (from, to) = (self.path(&volume.id), self.creating.join(file));
        if volume.has_image() {
            let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(IMAGE_MODE).open(&to);
            new.context("create", &to)?;
            copy_image(&from, &to)?;
        } else {
            tree::archive::pack(&from, &to, tolerant)?;
        }
        sync_directory(&self.creating)
    }

    /// Fills a new volume that is still in `.creating` from a snapshot's file or another volume's data.
    pub(crate) fn fill(&self, id: &str, shape: Shape, origin: &str) -> Result<(), OsError> {
        let (from, to) = (self.path(origin), self.creating.join(id));
        if let Shape::Image(_) = shape {
            return copy_image(&from, &to);
        }
        if from.is_dir() { tree::copy(&from, &to) } else { tree::archive::unpack(&from, &to) }
    }

    /// Gives finished data its place.
    pub(crate) fn reveal(&self, id: &str) -> Result<(), OsError> {
        rename(&self.creating.join(id), &self.path(id))
    }

    /// Takes data that nobody knows of yet back into `.creating`. Without effect if it is not in its place.
    pub(crate) fn conceal(&self, id: &str) -> Result<(), OsError> {
        if exists(&self.path(id))? { rename(&self.path(id), &self.creating.join(id)) } else { Ok(()) }
    }

    /// Removes what is in `.creating`.
    pub(crate) fn discard(&self, id: &str) -> Result<(), OsError> {
        remove_tree(&self.creating, id)
    }

    /// Takes a volume's data away in one step. Missing data is fine: there is nothing to lose.
    pub(crate) fn condemn(&self, id: &str) -> Result<(), OsError> {
        if exists(&self.path(id))? { rename(&self.path(id), &self.deleting.join(id)) } else { Ok(()) }
    }

    /// Puts condemned data back.
    pub(crate) fn pardon(&self, id: &str) -> Result<(), OsError> {
        let condemned = self.deleting.join(id);
        if exists(&condemned)? { rename(&condemned, &self.path(id)) } else { Ok(()) }
    }

    /// Removes condemned data, also what an earlier attempt left of it.
    pub(crate) fn erase(&self, id: &str) -> Result<(), OsError> {
        let parts = format!("{id}.");
        for name in names(&self.deleting)? {
            if name == id || name.starts_with(&parts) {
                remove_tree(&self.deleting, &name)?;
            }
        }
        Ok(())
    }

    /// Brings a volume's data to its place after a crash or a failed step. `false`: there is none anywhere.
    pub(crate) fn restore(&self, id: &str) -> Result<bool, OsError> {
        if exists(&self.path(id))? {
            return Ok(true);
        }
        if exists(&self.creating.join(id))? {
            return self.reveal(id).map(|()| true);
        }
        if exists(&self.deleting.join(id))? {
            return self.pardon(id).map(|()| true);
        }
        Ok(false)
    }

    /// Shows the directory `source` of a volume at `target`, so that nobody can write to it there.
    pub(crate) fn bind_read_only(&self, id: &str, source: &Path, target: &Path) -> Result<(), OsError> {
        let scratch = self.mounting.join(id);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&scratch)
            .context("create directory", &scratch)?;
        let bound = mounts::bind_read_only(source, target, &scratch);
        let removed = rustix::fs::rmdir(&scratch).context("remove directory", &scratch);
        bound.and(removed)
    }

    /// Empties the side directories, as far as that is possible: `refused` gets what went wrong. Only at start-up,
    /// after every volume has been [restored](Self::restore).
    pub(crate) fn clean(&self, mut refused: impl FnMut(OsError)) -> usize {
        let mut removed = 0;
        for side in [&self.mounting, &self.creating, &self.deleting] {
            for name in names(side).unwrap_or_else(|error| {
                refused(error);
                Vec::new()
            }) {
                match self.clean_up(side, &name) {
                    Ok(()) => removed += usize::from(*side != self.mounting),
                    Err(error) => refused(error),
                }
            }
        }
        removed
    }

    fn clean_up(&self, side: &Path, name: &str) -> Result<(), OsError> {
        if *side != self.mounting {
            return remove_tree(side, name);
        }
        let scratch = side.join(name);
        mounts::unmount(&scratch)?;
        rustix::fs::rmdir(&scratch).context("remove directory", &scratch)
    }

    /// Refuses when something is mounted inside the volume: removing the volume would leave it without a place.
    pub(crate) fn check_nothing_inside(&self, id: &str, mounts: &MountTable) -> Result<(), OsError> {
        match mounts.below(&self.path(id)).next() {
            Some(mount) => {
                Err(OsError::new("remove volume: still mounted inside it:", &mount.point, Errno::BUSY))
            }
            None => Ok(()),
        }
    }

    /// Unbinds every loop device of an image.
    pub(crate) fn detach_loops(&self, volume: &Volume) -> Result<(), OsError> {
        if !volume.has_image() {
            return Ok(());
        }
        loop_device::find(&self.path(&volume.id))?.into_iter().try_for_each(loop_device::detach)
    }

    /// Numbers of the filesystem that the volumes are on.
    pub(crate) fn space(&self) -> Result<Space, OsError> {
        Space::of(&self.root)
    }
}

fn copy_image(from: &Path, to: &Path) -> Result<(), OsError> {
    let source = std::fs::File::open(from).context("open", from)?;
    let target = std::fs::OpenOptions::new().read(true).write(true).open(to).context("open", to)?;
    tree::copy_file(&source, &target, to)?;
    target.sync_all().context("sync", to)
}

/// Names in a side directory. A name that is not text is not ours.
fn names(directory: &Path) -> Result<Vec<String>, OsError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).context("list", directory)? {
        names.extend(entry.context("list", directory)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
