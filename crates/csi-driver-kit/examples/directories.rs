//! A complete CSI driver: every volume is a directory of the node, shown to pods by a bind mount.
//!
//! `directories <endpoint> <node id> <directory>`, as root. `docs/write-a-driver.md` walks through it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use csi_client::csi;
use csi_client::csi::controller_service_capability::rpc::Type as ControllerCapability;
use csi_driver_kit::driver::{Answer, Controller, GroupController, Identity, Node, PluginInfo};
use csi_driver_kit::durable::{DirectoryLock, DurableFile};
use csi_driver_kit::endpoint::Endpoint;
use csi_driver_kit::mounts::{self, MountTable};
use csi_driver_kit::os_error::Context as _;
use csi_driver_kit::remove_tree::remove_tree;
use csi_driver_kit::server::Listener;
use csi_driver_kit::service::{Service, Settings};
use tonic::Status;

/// What the driver remembers: the size that each volume was asked for with, by the volume's handle.
type Volumes = BTreeMap<String, i64>;

struct Directories {
    root: PathBuf,
    node_id: String,
    record: DurableFile,
    volumes: Mutex<Volumes>,
    _sole_owner: DirectoryLock,
}

impl Directories {
    fn open(root: &Path, node_id: String) -> Result<Self, Box<dyn std::error::Error>> {
        let lock = DirectoryLock::acquire(root)?;
        let record = DurableFile::new(root, "volumes.json");
        let volumes =
            record.read()?.map_or(Ok(Volumes::new()), |content| serde_json::from_slice(&content))?;
        let volumes = Mutex::new(volumes);
        Ok(Self { root: root.to_path_buf(), node_id, record, volumes, _sole_owner: lock })
    }

    fn size_of(&self, id: &str) -> Option<i64> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Changes the record on the disk, then in memory.
    fn change(&self, edit: impl FnOnce(&mut Volumes)) -> Answer<()> {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = volumes.clone();
        edit(&mut next);
        let content = serde_json::to_vec(&next).map_err(|error| Status::internal(error.to_string()))?;
        self.record.replace(&content).map_err(|error| Status::internal(error.to_string()))?;
        *volumes = next;
        Ok(())
    }

    fn known(&self, id: &str) -> Answer<PathBuf> {
        match self.size_of(id) {
            Some(_) => Ok(self.root.join(id)),
            None => Err(Status::not_found(format!("volume {id} does not exist"))),
        }
    }
}

/// Names are free text, handles become names of directories: the same name always gives the same handle.
fn handle_of(name: &str) -> String {
    let plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain {
        return format!("volume-{name}");
    }
    // FNV-1a over 128 bits.
    let hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("hashed-{hash:032x}")
}

impl Identity for Directories {
    fn plugin_info(&self) -> PluginInfo {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        PluginInfo { name: "directories.example.com".into(), version, ..PluginInfo::default() }
    }
}

impl Controller for Directories {
    fn controller_capabilities(&self) -> Vec<ControllerCapability> {
        vec![ControllerCapability::CreateDeleteVolume]
    }

    async fn create_volume(&self, request: csi::CreateVolumeRequest) -> Answer<csi::CreateVolumeResponse> {
        use csi::volume_capability::AccessType;
        if request.volume_capabilities.iter().any(|c| matches!(c.access_type, Some(AccessType::Block(_)))) {
            return Err(Status::invalid_argument("volumes of this driver are directories, not devices"));
        }
        let range = request.capacity_range.unwrap_or_default();
        let id = handle_of(&request.name);
        let size = self.size_of(&id).unwrap_or(range.required_bytes);
        if size < range.required_bytes || (range.limit_bytes > 0 && size > range.limit_bytes) {
            let text = format!("volume {:?} exists with {size} bytes", request.name);
            return Err(Status::already_exists(text));
        }
        // Made before it is recorded: a crash in between leaves an empty directory that the retry takes over.
        let path = self.root.join(&id);
        std::fs::create_dir_all(&path).context("create directory", &path)?;
        self.change(|volumes| {
            volumes.insert(id.clone(), size);
        })?;
        let volume = csi::Volume {
            volume_id: id,
            capacity_bytes: size,
            volume_context: request.parameters,
            ..csi::Volume::default()
        };
        Ok(csi::CreateVolumeResponse { volume: Some(volume) })
    }

    async fn delete_volume(&self, request: csi::DeleteVolumeRequest) -> Answer<csi::DeleteVolumeResponse> {
        let id = request.volume_id;
        if self.size_of(&id).is_some() {
            remove_tree(&self.root, &id)?;
            self.change(|volumes| {
                volumes.remove(&id);
            })?;
        }
        Ok(csi::DeleteVolumeResponse {})
    }

    async fn validate_volume_capabilities(
        &self,
        request: csi::ValidateVolumeCapabilitiesRequest,
    ) -> Answer<csi::ValidateVolumeCapabilitiesResponse> {
        self.known(&request.volume_id)?;
        let confirmed = csi::validate_volume_capabilities_response::Confirmed {
            volume_capabilities: request.volume_capabilities,
            volume_context: request.volume_context,
            parameters: request.parameters,
            mutable_parameters: request.mutable_parameters,
        };
        let confirmed = Some(confirmed);
        Ok(csi::ValidateVolumeCapabilitiesResponse { confirmed, ..Default::default() })
    }
}

impl Node for Directories {
    async fn node_info(&self) -> Answer<csi::NodeGetInfoResponse> {
        Ok(csi::NodeGetInfoResponse { node_id: self.node_id.clone(), ..Default::default() })
    }

    async fn node_publish_volume(
        &self,
        request: csi::NodePublishVolumeRequest,
    ) -> Answer<csi::NodePublishVolumeResponse> {
        let (source, target) = (self.known(&request.volume_id)?, Path::new(&request.target_path));
        if MountTable::read()?.at(target).is_none() {
            std::fs::create_dir_all(target).context("create directory", target)?;
            mounts::bind(&source, target)?;
        }
        Ok(csi::NodePublishVolumeResponse {})
    }

    async fn node_unpublish_volume(
        &self,
        request: csi::NodeUnpublishVolumeRequest,
    ) -> Answer<csi::NodeUnpublishVolumeResponse> {
        let target = Path::new(&request.target_path);
        mounts::unmount(target)?;
        match std::fs::remove_dir(target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(csi_driver_kit::os_error::OsError::io("remove", target, &error).into())
            }
            _ => Ok(csi::NodeUnpublishVolumeResponse {}),
        }
    }
}

impl GroupController for Directories {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, node_id, root] = arguments.as_slice() else {
        return Err("usage: directories <endpoint> <node id> <directory>".into());
    };
    let driver = Directories::open(Path::new(root), node_id.clone())?;
    let listener = Listener::bind(&endpoint.parse::<Endpoint>()?).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async {
        terminate.recv().await;
    };
    let service = Service::new(Arc::new(driver), Settings::default());
    listener.serve(service, stop, Duration::from_secs(20)).await?;
    Ok(())
}
