//! Requests of every type, built from bytes that only have to decode. Whatever comes: the driver answers, touches
//! nothing outside, and its state can be read by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use csi_client::csi;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use hostpath_driver::Plugin;
use hostpath_driver::config::Config;
use hostpath_driver::steps::Steps;
use prost::Message;
use sidecar_core::random::Random;

use crate::support::{Place, eventually, ids, list};

/// Strings that a driver must not stumble over; every second one is a path or handle of this place.
fn words(place: &Place) -> Vec<String> {
    let mut words: Vec<String> = [
        "",
        "a",
        "..",
        ".",
        "../forbidden",
        "../forbidden/file",
        "forbidden/file",
        "state.json",
        ".creating",
        "x.snap",
        "a/b",
        "nul\0",
        "\u{7}",
        "ünï",
        "kind",
        "fast",
        "filesystem",
        "xfs",
        "ext4",
        "true",
        "false",
        "csi.storage.k8s.io/ephemeral",
        "ignoreFailedRead",
        "node-1",
        "1",
        "0",
        "-1",
        "9999999999999999999",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push("n".repeat(300));
    words.push("long".repeat(2000));
    for name in
        ["staging", "target", "forbidden/file", "forbidden", "missing/target", "forbidden/../x", "state"]
    {
        words.push(place.text(name));
    }
    words
}

struct Bytes<'a> {
    random: &'a Random,
    words: &'a [String],
}

impl Bytes<'_> {
    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    /// Fields of any number and type; nested messages are such bytes again.
    fn message(&self, depth: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(7) {
            let number = self.below(11) as u64 + 1;
            if self.below(3) == 0 {
                prost::encoding::encode_varint(number << 3, &mut bytes);
                let sizes =
                    [0, 1, 2, 5, 7, 4096, 1 << 20, 5 << 20, 1 << 40, u64::MAX, self.random.u64() >> 40];
                prost::encoding::encode_varint(sizes[self.below(sizes.len())], &mut bytes);
            } else {
                let content = match self.below(3) {
                    0 if depth > 0 => self.message(depth - 1),
                    1 if depth > 0 => self.entry(),
                    _ => self.word().into_bytes(),
                };
                prost::encoding::encode_varint(number << 3 | 2, &mut bytes);
                prost::encoding::encode_varint(content.len() as u64, &mut bytes);
                bytes.extend(content);
            }
        }
        bytes
    }

    fn word(&self) -> String {
        self.words[self.below(self.words.len())].clone()
    }

    /// An entry of a map from strings to strings.
    fn entry(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [1_u64, 2] {
            let word = self.word();
            prost::encoding::encode_varint(number << 3 | 2, &mut bytes);
            prost::encoding::encode_varint(word.len() as u64, &mut bytes);
            bytes.extend(word.into_bytes());
        }
        bytes
    }

    fn request<Q: Message + Default>(&self) -> Q {
        loop {
            if let Ok(request) = Q::decode(self.message(3).as_slice()) {
                return request;
            }
        }
    }
}

macro_rules! calls {
    ($connection:ident, $bytes:ident, $which:expr, [$($call:ident($request:ident)),* $(,)?]) => {{
        let calls = [$(stringify!($call)),*];
        let chosen = calls[$which % calls.len()];
        let result: Result<(), tonic::Status> = match chosen {
            $(stringify!($call) => {
                let request: csi::$request = $bytes.request();
                $connection.$call(request, CallOptions::default()).await.map(drop)
            })*
            _ => unreachable!(),
        };
        (chosen, result)
    }};
}

async fn call(connection: &Connection, bytes: &Bytes<'_>) -> (&'static str, Result<(), tonic::Status>) {
    calls!(
        connection,
        bytes,
        bytes.below(1 << 20),
        [
            create_volume(CreateVolumeRequest),
            delete_volume(DeleteVolumeRequest),
            controller_publish_volume(ControllerPublishVolumeRequest),
            controller_unpublish_volume(ControllerUnpublishVolumeRequest),
            validate_volume_capabilities(ValidateVolumeCapabilitiesRequest),
            list_volumes(ListVolumesRequest),
            controller_get_volume(ControllerGetVolumeRequest),
            controller_list_volume_health(ControllerListVolumeHealthRequest),
            controller_get_volume_health(ControllerGetVolumeHealthRequest),
            get_capacity(GetCapacityRequest),
            create_snapshot(CreateSnapshotRequest),
            delete_snapshot(DeleteSnapshotRequest),
            list_snapshots(ListSnapshotsRequest),
            get_snapshot(GetSnapshotRequest),
            controller_expand_volume(ControllerExpandVolumeRequest),
            controller_modify_volume(ControllerModifyVolumeRequest),
            node_stage_volume(NodeStageVolumeRequest),
            node_unstage_volume(NodeUnstageVolumeRequest),
            node_publish_volume(NodePublishVolumeRequest),
            node_unpublish_volume(NodeUnpublishVolumeRequest),
            node_get_volume_stats(NodeGetVolumeStatsRequest),
            node_get_volume_health(NodeGetVolumeHealthRequest),
            node_get_storage_health(NodeGetStorageHealthRequest),
            node_expand_volume(NodeExpandVolumeRequest),
            node_get_info(NodeGetInfoRequest),
            create_volume_group_snapshot(CreateVolumeGroupSnapshotRequest),
            delete_volume_group_snapshot(DeleteVolumeGroupSnapshotRequest),
            get_volume_group_snapshot(GetVolumeGroupSnapshotRequest),
            probe(ProbeRequest),
            get_plugin_info(GetPluginInfoRequest),
        ]
    )
}

/// Rounds of requests with one seed; handles that the driver gave out join the words.
async fn disturb(seed: u64, rounds: usize) -> BTreeMap<&'static str, (usize, usize)> {
    let place = Place::new();
    for name in ["forbidden", "staging"] {
        std::fs::create_dir(place.path(name)).unwrap();
    }
    std::fs::write(place.path("forbidden/file"), "precious").unwrap();
    let config = Config {
        max_volume_size: 6 << 20,
        enable_modify: true,
        enable_snapshot_metadata: true,
        enable_volume_health: true,
        ..place.config()
    };
    let driver = Arc::new(place.open_with(config, Steps::default()));
    let service = Plugin::service(driver.clone());
    let connection = Connection::from_service(service.routes().prepare(), ConnectionSettings::default());
    let random = Random::seeded(seed);
    let mut words = words(&place);
    let mut counted: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for round in 0..rounds {
        if round % 40 == 0 {
            let volumes = ids(&driver);
            let snapshots = driver.list_snapshots(&csi::ListSnapshotsRequest::default()).unwrap().entries;
            let snapshots = snapshots.into_iter().map(|entry| entry.snapshot.unwrap().snapshot_id);
            words.extend(volumes.into_iter().chain(snapshots).take(12));
            let excess = words.len().saturating_sub(90);
            words.drain(37..37 + excess);
        }
        let bytes = Bytes { random: &random, words: &words };
        let (name, result) = call(&connection, &bytes).await;
        let counts = counted.entry(name).or_default();
        counts.0 += 1;
        counts.1 += usize::from(result.is_ok());
        if let Err(status) = result {
            assert!(!status.message().contains("failed in this call"), "{name} panicked, seed {seed}");
        }
        if round % 10 == 0 {
            let _answer = connection.get_metadata_allocated(bytes.request(), CallOptions::default()).await;
            let _answer = connection.get_metadata_delta(bytes.request(), CallOptions::default()).await;
        }
    }
    assert_eq!(std::fs::read_to_string(place.path("forbidden/file")).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(place.path("forbidden")).unwrap().count(), 1);
    let before = list(&driver);
    service.finished().await;
    drop((connection, service));
    // What the connection left to the runtime lets go of the driver when it is run.
    while Arc::strong_count(&driver) > 1 {
        tokio::task::yield_now().await;
    }
    drop(driver);
    let driver = place.open();
    assert_eq!(list(&driver).len(), before.len(), "seed {seed}");
    for entry in before {
        driver.delete_volume(&entry.volume.unwrap().volume_id).unwrap();
    }
    eventually("clean", || place.leftovers().is_empty());
    counted
}

#[tokio::test]
async fn any_request_that_decodes_is_answered_and_does_no_harm() {
    let mut all: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for seed in 0..6 {
        for (name, (calls, fine)) in disturb(seed, 1_000).await {
            let counts = all.entry(name).or_default();
            counts.0 += calls;
            counts.1 += fine;
        }
    }
    println!("{all:?}");
    assert!(all.values().all(|(calls, _)| *calls > 0));
    let worked = ["create_volume", "delete_volume", "create_snapshot", "node_publish_volume"];
    assert!(worked.iter().any(|name| all[name].1 > 0), "{all:?}");
}
