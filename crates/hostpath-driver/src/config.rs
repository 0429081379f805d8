//! What the command line decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Settings of one driver process. The defaults are those of the flags (sheet, section 2).
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "one per switch of the command line")]
pub struct Config {
    /// `--drivername`
    pub driver_name: String,
    /// The version that GetPluginInfo and `--version` tell.
    pub version: String,
    /// `--nodeid`
    pub node_id: String,
    /// `--statedir`
    pub state_dir: PathBuf,
    /// `--ephemeral`
    pub ephemeral: bool,
    /// `--maxvolumespernode`
    pub max_volumes_per_node: i64,
    /// `--capacity`: pool sizes in bytes by kind; empty means no simulation.
    pub capacity: BTreeMap<String, i64>,
    /// `--check-volume-lifecycle`
    pub check_volume_lifecycle: bool,
    /// `--max-volume-size`
    pub max_volume_size: i64,
    /// `--enable-topology`
    pub enable_topology: bool,
    /// `--enable-controller-modify-volume`
    pub enable_modify: bool,
    /// `--accepted-mutable-parameter-names`; `None` accepts every key.
    pub accepted_mutable_parameters: Option<Vec<String>>,
    /// `--enable-attach`
    pub enable_attach: bool,
    /// `--attach-limit`
    pub attach_limit: i64,
    /// `--list-volumes-published-nodes`
    pub list_published_nodes: bool,
    /// `--enable-volume-health`
    pub enable_volume_health: bool,
    /// `--log-secrets`
    pub log_secrets: bool,
    /// `--enable-list-snapshots`
    pub enable_list_snapshots: bool,
    /// `--enable-snapshot-metadata`
    pub enable_snapshot_metadata: bool,
    /// `--snapshot-metadata-block-type`: whether neighbouring blocks are told as one.
    pub merge_metadata_blocks: bool,
    /// `--enable-volume-expansion`
    pub enable_expansion: bool,
    /// `--disable-controller-expansion`
    pub disable_controller_expansion: bool,
    /// `--disable-node-expansion`
    pub disable_node_expansion: bool,
    /// `--max-volume-size-node`; 0 for [`max_volume_size`](Self::max_volume_size).
    pub max_volume_size_node: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            driver_name: "hostpath.csi.k8s.io".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: String::new(),
            state_dir: "/csi-data-dir".into(),
            ephemeral: false,
            max_volumes_per_node: 0,
            capacity: BTreeMap::new(),
            check_volume_lifecycle: false,
            max_volume_size: 1 << 40,
            enable_topology: true,
            enable_modify: false,
            accepted_mutable_parameters: None,
            enable_attach: false,
            attach_limit: 0,
            list_published_nodes: false,
            enable_volume_health: false,
            log_secrets: false,
            enable_list_snapshots: true,
            enable_snapshot_metadata: false,
            merge_metadata_blocks: false,
            enable_expansion: true,
            disable_controller_expansion: false,
            disable_node_expansion: false,
            max_volume_size_node: 0,
        }
    }
}

impl Config {
    /// Whether everything that has no default is there.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.driver_name.is_empty() {
            return Err("no driver name provided");
        }
        if self.node_id.is_empty() {
            return Err("no node id provided");
        }
        Ok(())
    }
}
