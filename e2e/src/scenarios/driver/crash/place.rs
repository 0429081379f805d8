//! The driver's directory and socket, and what there is: by its own answers and by the kernel's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_client::csi::volume_content_source::{SnapshotSource, Type, VolumeSource};
use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, connect};

use super::caller::{Caller, Kind, Source, Stage};
use crate::leftovers;

/// Longer than any call here takes.
const LIMIT: Duration = Duration::from_secs(60);
/// The kernel unbinds a loop device when its last user is gone, which may be udev.
const UNBINDING: Duration = Duration::from_secs(10);
/// How much is written to a volume at a time.
const LENGTH: usize = 8192;
const MIB: i64 = 1 << 20;
/// Files of the driver's own in its state directory begin with a dot or are this one.
const STATE: &str = "state.json";

/// What is in a volume; nothing if it is new.
pub(super) type Content = Option<Vec<u8>>;

/// What a volume has after `text` was written to it.
pub(super) fn content(text: &str) -> Vec<u8> {
    text.bytes().chain([b'\n']).cycle().take(LENGTH).collect()
}

/// Folders of the driver and its callers.
pub(super) struct Place {
    state: PathBuf,
    socket: PathBuf,
    staging: PathBuf,
    targets: PathBuf,
}

impl Place {
    pub(super) fn new(dir: &Path) -> Result<Self> {
        let path = |name: &str| dir.join(name);
        let place = Self {
            state: path("state"),
            socket: path("csi.sock"),
            staging: path("staging"),
            targets: path("targets"),
        };
        for folder in [&place.state, &place.staging, &place.targets] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(place)
    }

    /// The driver's command line.
    pub(super) fn arguments(&self) -> Vec<String> {
        vec![
            "--drivername=crash.example.com".to_owned(),
            format!("--endpoint=unix://{}", self.socket.display()),
            "--nodeid=crash".to_owned(),
            format!("--statedir={}", self.state.display()),
        ]
    }

    /// Whether somebody listens.
    pub(super) fn is_open(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }

    fn file(&self, kind: Kind, name: &str) -> PathBuf {
        let target = self.targets.join(name);
        if kind == Kind::Block { target } else { target.join("file") }
    }

    /// Writes through a mount, down to the disk.
    pub(super) fn write(&self, kind: Kind, name: &str, text: &str) -> Result<()> {
        let path = self.file(kind, name);
        let mut options = File::options();
        let file = options.write(true).create(kind != Kind::Block).open(&path);
        let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
        file.write_all(&content(text))?;
        file.sync_all().with_context(|| format!("cannot sync {}", path.display()))
    }

    /// Reads through a mount. A new volume has no file, or nothing but zeros.
    pub(super) fn read(&self, kind: Kind, name: &str) -> Result<Content> {
        let path = self.file(kind, name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && kind != Kind::Block => {
                return Ok(None);
            }
            file => file.with_context(|| format!("cannot open {}", path.display()))?,
        };
        let mut found = Vec::new();
        file.take(LENGTH as u64)
            .read_to_end(&mut found)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(found).filter(|found| kind != Kind::Block || found.iter().any(|byte| *byte != 0)))
    }

    /// There is what the callers know of, and nothing else.
    pub(super) async fn expect_exactly(&self, session: &Session, callers: &[Caller]) -> Result<()> {
        let mut wanted = Wanted::default();
        for caller in callers {
            wanted.add(self, caller);
        }
        same("volumes, by the driver's list", session.volumes().await?, &wanted.volumes)?;
        same("snapshots, by the driver's list", session.snapshots().await?, &wanted.snapshots)?;
        let snapshots = wanted.snapshots.iter().map(|id| format!("{id}.snap"));
        let data = snapshots.chain(wanted.volumes.iter().cloned()).collect();
        same("data in the state directory", self.data()?, &data)?;
        same("mounts", self.mounts()?, &wanted.mounts)?;
        let deadline = Instant::now() + UNBINDING;
        loop {
            match same("loop devices", self.loops()?, &wanted.loops) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Volumes and snapshots by their data. In the driver's side directories nothing may be left.
    fn data(&self) -> Result<Vec<String>> {
        let mut data = Vec::new();
        for entry in fs::read_dir(&self.state)? {
            let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let name = entry.to_string_lossy().into_owned();
            if !name.starts_with('.') {
                data.extend((name != STATE).then_some(name));
            } else if path.is_dir() {
                let left = fs::read_dir(&path)?.next();
                ensure!(left.is_none(), "{} still has {left:?}", path.display());
            }
        }
        Ok(data)
    }

    /// Mount points below the folders, one for each mount.
    fn mounts(&self) -> Result<Vec<PathBuf>> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let ours = |point: &PathBuf| {
            [&self.state, &self.staging, &self.targets].into_iter().any(|folder| point.starts_with(folder))
        };
        Ok(points.filter(ours).collect())
    }

    /// Files behind loop devices, one for each device.
    fn loops(&self) -> Result<Vec<PathBuf>> {
        Ok(leftovers::loops(&self.state)?.into_iter().map(|device| device.file).collect())
    }
}

/// What has to be there.
#[derive(Default)]
struct Wanted {
    volumes: BTreeSet<String>,
    snapshots: BTreeSet<String>,
    mounts: BTreeSet<PathBuf>,
    loops: BTreeSet<PathBuf>,
}

impl Wanted {
    fn add(&mut self, place: &Place, caller: &Caller) {
        self.snapshots.extend(caller.cut.values().map(|snapshot| snapshot.id.clone()));
        for (name, volume) in &caller.known {
            self.volumes.insert(volume.id.clone());
            if volume.stage == Stage::Published {
                self.mounts.insert(place.targets.join(name));
            }
            // A filesystem is mounted where it is staged; devices and directories are only recorded there.
            let staged = volume.stage != Stage::Idle && caller.kind == Kind::Filesystem;
            if staged {
                self.mounts.insert(place.staging.join(name));
            }
            if staged || (volume.stage == Stage::Published && caller.kind == Kind::Block) {
                self.loops.insert(place.state.join(&volume.id));
            }
        }
    }
}

fn same<T: Ord + Clone + std::fmt::Debug>(what: &str, found: Vec<T>, wanted: &BTreeSet<T>) -> Result<()> {
    let mut left = wanted.clone();
    let more: Vec<T> = found.into_iter().filter(|one| !left.remove(one)).collect();
    if more.is_empty() && left.is_empty() {
        return Ok(());
    }
    bail!(
        "{what}: acknowledged, but not there: {left:?}; there (or there twice), but not acknowledged: {more:?}"
    )
}

/// A connection to one life of the driver.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) place: Arc<Place>,
    connection: Connection,
}

fn options() -> CallOptions {
    CallOptions::timeout(LIMIT)
}

fn capability(kind: Kind) -> csi::VolumeCapability {
    let access_type = match kind {
        Kind::Block => AccessType::Block(BlockVolume {}),
        Kind::Directory | Kind::Filesystem => AccessType::Mount(MountVolume::default()),
    };
    csi::VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
    }
}

impl Session {
    pub(super) async fn open(place: &Arc<Place>) -> Result<Self> {
        let options = ConnectOptions {
            timeout: Some(LIMIT),
            on_loss: LossPolicy::Reconnect,
            ..ConnectOptions::default()
        };
        let connection = connect(&place.socket.to_string_lossy(), options).await?;
        Ok(Self { place: place.clone(), connection })
    }

    async fn volumes(&self) -> Result<Vec<String>> {
        let answer = self.connection.list_volumes(csi::ListVolumesRequest::default(), options()).await?;
        Ok(answer.entries.into_iter().filter_map(|entry| Some(entry.volume?.volume_id)).collect())
    }

    async fn snapshots(&self) -> Result<Vec<String>> {
        let answer = self.connection.list_snapshots(csi::ListSnapshotsRequest::default(), options()).await?;
        Ok(answer.entries.into_iter().filter_map(|entry| Some(entry.snapshot?.snapshot_id)).collect())
    }

    pub(super) async fn create(&self, kind: Kind, name: &str, source: Source) -> Result<String> {
        let source = match source {
            Source::Nothing => None,
            Source::Volume(volume_id) => Some(Type::Volume(VolumeSource { volume_id })),
            Source::Snapshot(snapshot_id) => Some(Type::Snapshot(SnapshotSource { snapshot_id })),
        };
        let (size, parameters) = match kind {
            Kind::Filesystem => (16 * MIB, vec![("filesystem".to_owned(), "ext4".to_owned())]),
            Kind::Directory | Kind::Block => (MIB, Vec::new()),
        };
        let request = csi::CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(csi::CapacityRange { required_bytes: size, limit_bytes: 0 }),
            volume_capabilities: vec![capability(kind)],
            parameters: parameters.into_iter().collect(),
            volume_content_source: source.map(|source| csi::VolumeContentSource { r#type: Some(source) }),
            ..csi::CreateVolumeRequest::default()
        };
        let answer = self.connection.create_volume(request, options()).await?;
        Ok(answer.volume.context("an answer without a volume")?.volume_id)
    }

    pub(super) async fn delete(&self, id: &str) -> Result<()> {
        let request = csi::DeleteVolumeRequest { volume_id: id.to_owned(), ..Default::default() };
        self.connection.delete_volume(request, options()).await?;
        Ok(())
    }

    pub(super) async fn cut(&self, name: &str, volume: &str) -> Result<String> {
        let request = csi::CreateSnapshotRequest {
            name: name.to_owned(),
            source_volume_id: volume.to_owned(),
            ..csi::CreateSnapshotRequest::default()
        };
        let answer = self.connection.create_snapshot(request, options()).await?;
        Ok(answer.snapshot.context("an answer without a snapshot")?.snapshot_id)
    }

    pub(super) async fn delete_snapshot(&self, id: &str) -> Result<()> {
        let request = csi::DeleteSnapshotRequest { snapshot_id: id.to_owned(), ..Default::default() };
        self.connection.delete_snapshot(request, options()).await?;
        Ok(())
    }

    fn staging(&self, name: &str) -> String {
        self.place.staging.join(name).to_string_lossy().into_owned()
    }

    fn target(&self, name: &str) -> String {
        self.place.targets.join(name).to_string_lossy().into_owned()
    }

    pub(super) async fn stage(&self, kind: Kind, name: &str, id: &str) -> Result<()> {
        // Kubelet's part.
        fs::create_dir_all(self.staging(name))?;
        let request = csi::NodeStageVolumeRequest {
            volume_id: id.to_owned(),
            staging_target_path: self.staging(name),
            volume_capability: Some(capability(kind)),
            ..csi::NodeStageVolumeRequest::default()
        };
        self.connection.node_stage_volume(request, options()).await?;
        Ok(())
    }

    pub(super) async fn publish(&self, kind: Kind, name: &str, id: &str) -> Result<()> {
        let request = csi::NodePublishVolumeRequest {
            volume_id: id.to_owned(),
            staging_target_path: self.staging(name),
            target_path: self.target(name),
            volume_capability: Some(capability(kind)),
            ..csi::NodePublishVolumeRequest::default()
        };
        self.connection.node_publish_volume(request, options()).await?;
        Ok(())
    }

    pub(super) async fn unpublish(&self, name: &str, id: &str) -> Result<()> {
        let target_path = self.target(name);
        let request = csi::NodeUnpublishVolumeRequest { volume_id: id.to_owned(), target_path };
        self.connection.node_unpublish_volume(request, options()).await?;
        Ok(())
    }

    pub(super) async fn unstage(&self, name: &str, id: &str) -> Result<()> {
        let staging_target_path = self.staging(name);
        let request = csi::NodeUnstageVolumeRequest { volume_id: id.to_owned(), staging_target_path };
        self.connection.node_unstage_volume(request, options()).await?;
        Ok(())
    }
}
