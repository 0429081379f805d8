//! A driver in a directory of its own, requests, and a clean-up that also works when a test fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_driver_kit::loop_device;
use csi_driver_kit::mounts::{self, MountTable};
use hostpath_driver::config::Config;
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use sidecar_core::random::Random;

pub(crate) const MIB: i64 = 1 << 20;

/// A temporary directory with a state directory in it. Whatever is mounted below it is unmounted in the end, and the
/// loop devices of images in it are unbound.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the scenarios of the hostpath driver mount and bind loop devices: run them as root"
        );
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn config(&self) -> Config {
        Config { node_id: "node-1".into(), state_dir: self.state_dir(), ..Config::default() }
    }

    pub(crate) fn open(&self) -> Hostpath {
        self.open_with(self.config(), Steps::default())
    }

    pub(crate) fn open_with(&self, config: Config, steps: Steps) -> Hostpath {
        assert_eq!(config.state_dir, self.state_dir(), "clean-up knows only this directory");
        Hostpath::open(config, Random::seeded(1), steps).unwrap()
    }

    /// Names in the state directory that are not the driver's own, and what is left in its side directories.
    pub(crate) fn data(&self) -> Vec<String> {
        let mut found = names(&self.state_dir());
        found.retain(|name| !name.starts_with('.') && name != "state.json");
        for side in [".creating", ".deleting", ".mounting"] {
            found.extend(names(&self.state_dir().join(side)).iter().map(|name| format!("{side}/{name}")));
        }
        found
    }

    /// Names of the volumes' data alone.
    pub(crate) fn volume_data(&self) -> Vec<String> {
        let mut found = self.data();
        found.retain(|name| !is_snapshot(name));
        found
    }

    /// Loop devices bound to any image of this place, and what is mounted below it.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.data() {
            let devices = loop_device::find(&self.state_dir().join(name)).unwrap();
            found.extend(devices.iter().map(|device| device.path().display().to_string()));
        }
        let table = MountTable::read().unwrap();
        found.extend(table.below(self.directory.path()).map(|mount| mount.point.display().to_string()));
        found
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in self.data() {
            for device in loop_device::find(&self.state_dir().join(name)).unwrap_or_default() {
                let _ = loop_device::detach(device);
            }
        }
        let table = MountTable::read().unwrap();
        let mut points: Vec<_> =
            table.below(self.directory.path()).map(|mount| mount.point.clone()).collect();
        points.sort();
        for point in points.iter().rev() {
            let _ = mounts::unmount(point);
        }
    }
}

pub(crate) fn capability(block: bool, mode: Mode) -> csi::VolumeCapability {
    let access_type =
        if block { AccessType::Block(BlockVolume {}) } else { AccessType::Mount(MountVolume::default()) };
    csi::VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode: mode.into() }),
    }
}

pub(crate) fn create_request(name: &str, size: i64, block: bool) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        name: name.into(),
        capacity_range: Some(csi::CapacityRange { required_bytes: size, limit_bytes: 0 }),
        volume_capabilities: vec![capability(block, Mode::SingleNodeWriter)],
        ..csi::CreateVolumeRequest::default()
    }
}

/// Creates and answers the handle.
pub(crate) fn create(driver: &Hostpath, name: &str, size: i64, block: bool) -> String {
    driver.create_volume(create_request(name, size, block)).unwrap().volume.unwrap().volume_id
}

pub(crate) fn list(driver: &Hostpath) -> Vec<csi::list_volumes_response::Entry> {
    driver.list_volumes(&csi::ListVolumesRequest::default()).unwrap().entries
}

pub(crate) fn ids(driver: &Hostpath) -> Vec<String> {
    list(driver).into_iter().map(|entry| entry.volume.unwrap().volume_id).collect()
}

pub(crate) fn publish_request(
    place: &Place,
    id: &str,
    target: &str,
    block: bool,
) -> csi::NodePublishVolumeRequest {
    csi::NodePublishVolumeRequest {
        volume_id: id.into(),
        staging_target_path: place.text("staging"),
        target_path: place.text(target),
        volume_capability: Some(capability(block, Mode::SingleNodeMultiWriter)),
        ..csi::NodePublishVolumeRequest::default()
    }
}

fn is_snapshot(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "snap")
}

/// Snapshot files, in their place or not.
pub(crate) fn snapshot_files(place: &Place) -> Vec<String> {
    place.data().into_iter().filter(|name| is_snapshot(name)).collect()
}

/// Stages and publishes at `target`.
pub(crate) fn publish(driver: &Hostpath, place: &Place, id: &str, target: &str, block: bool) {
    driver.stage(id, &place.text("staging")).unwrap();
    driver.publish(&publish_request(place, id, target, block)).unwrap();
}

/// Unpublishes and unstages.
pub(crate) fn unpublish(driver: &Hostpath, place: &Place, id: &str, target: &str) {
    driver.unpublish(id, &place.text(target)).unwrap();
    driver.unstage(id, &place.text("staging")).unwrap();
}

pub(crate) fn ephemeral_request(place: &Place, id: &str, target: &str) -> csi::NodePublishVolumeRequest {
    csi::NodePublishVolumeRequest {
        staging_target_path: String::new(),
        volume_context: BTreeMap::from([("csi.storage.k8s.io/ephemeral".into(), "true".into())]),
        ..publish_request(place, id, target, false)
    }
}

/// Waits until `condition` holds; loop devices go away with their last user, which may be udev.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::yield_now();
    }
}

#[track_caller]
pub(crate) fn assert_code<T: std::fmt::Debug>(
    result: Result<T, hostpath_driver::error::Error>,
    code: tonic::Code,
) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}
