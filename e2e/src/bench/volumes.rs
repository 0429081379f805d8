//! The hostpath driver with 5,000 volumes and 1,000 snapshots: how long each call takes when one comes after the other, and its
//! memory. The only measurement that depends on a disk: the driver answers when what it did is on it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, connect};

use super::idle::MIB;
use super::queued::percentiles;
use super::report::{Report, Row};
use super::sidecar::{Memory, Sidecar};
use super::{Bench, Column, Set};
use crate::progress::{Step, say};
use crate::sidecars::DRIVER;

const VOLUMES: usize = 5_000;
const SNAPSHOTS: usize = 1_000;
const PAGE: i32 = 100;
/// How often the whole list is read.
const LISTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

/// Makes, lists and removes volumes and snapshots with the driver of a set.
pub(super) async fn measure(bench: &Bench<'_>, set: &Set, report: &mut Report) -> Result<()> {
    let Some(binary) = set.binary(DRIVER.binary) else { return Ok(()) };
    let dir = bench.dir.join(format!("volumes-{}", set.column.name()));
    let mut run = Run::start(&binary, &dir).await?;
    let idle = run.sidecar.settled(LIMIT).await?;
    let volumes = run.create_volumes().await?;
    let snapshots = run.create_snapshots(&volumes).await?;
    run.list_volumes(set.column).await?;
    let full = run.sidecar.settled(LIMIT).await?;
    run.delete_snapshots(snapshots).await?;
    run.delete_volumes(volumes).await?;
    run.memory("idle memory", idle);
    run.memory(&format!("memory with {VOLUMES} volumes and {SNAPSHOTS} snapshots"), full);
    let peak = super::sidecar::memory(run.sidecar.id())?.peak;
    run.rows.push((row("peak memory of all that", "MiB"), peak / MIB));
    for (row, value) in run.rows {
        report.note(set.column, row, value);
    }
    run.sidecar.stop().await?;
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
}

fn row(what: &str, unit: &'static str) -> Row {
    let command = "one call after the other over the socket, --statedir on the lab's disk";
    Row::new(&format!("{} {what}", DRIVER.binary), unit).command(command)
}

/// A running driver, and what was measured.
struct Run {
    sidecar: Sidecar,
    connection: Connection,
    rows: Vec<(Row, f64)>,
}

fn options() -> CallOptions {
    CallOptions::timeout(LIMIT)
}

impl Run {
    async fn start(binary: &Path, dir: &Path) -> Result<Self> {
        let (state, socket) = (dir.join("state"), dir.join("csi.sock"));
        fs::create_dir_all(&state).with_context(|| format!("cannot create {}", state.display()))?;
        let arguments = [
            "--drivername=volumes.bench.example".to_owned(),
            format!("--endpoint=unix://{}", socket.display()),
            "--nodeid=bench".to_owned(),
            format!("--statedir={}", state.display()),
        ];
        let sidecar = Sidecar::start(binary, &arguments, &dir.join("driver.log"))?;
        let deadline = Instant::now() + LIMIT;
        while UnixStream::connect(&socket).is_err() {
            if Instant::now() > deadline {
                bail!("the driver does not listen within {} s:\n{}", LIMIT.as_secs(), sidecar.tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let connection = dial(socket).await?;
        Ok(Self { sidecar, connection, rows: Vec::new() })
    }

    fn memory(&mut self, what: &str, memory: Memory) {
        self.rows.push((row(what, "MiB"), memory.resident / MIB));
    }

    /// Notes median and 99th percentile.
    fn latencies(&mut self, what: &str, latencies: Vec<Duration>) {
        let (median, late) = percentiles(latencies);
        for (which, value) in [("median", median), ("p99", late)] {
            let row = row(&format!("{what}: {which}"), "ms");
            self.rows.push((row, value.as_secs_f64() * 1000.0));
        }
    }

    /// Makes a call `count` times and notes how long each took.
    async fn timed<T>(
        &mut self,
        what: &str,
        count: usize,
        call: impl AsyncFn(&Connection, usize) -> Result<T>,
    ) -> Result<Vec<T>> {
        let step = Step::start(what);
        let (mut answers, mut latencies) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for number in 0..count {
            if number % 100 == 0 {
                step.note(format!("{what}: {number}"));
            }
            let began = Instant::now();
            answers.push(call(&self.connection, number).await.with_context(|| self.sidecar.tail())?);
            latencies.push(began.elapsed());
        }
        step.note(what);
        step.done();
        self.latencies(what, latencies);
        Ok(answers)
    }

    async fn create_volumes(&mut self) -> Result<Vec<String>> {
        let what = format!("CreateVolume, {VOLUMES} volumes");
        self.timed(&what, VOLUMES, async |connection, number| {
            let capability = csi::VolumeCapability {
                access_type: Some(AccessType::Mount(MountVolume::default())),
                access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
            };
            let request = csi::CreateVolumeRequest {
                name: format!("pvc-{number:08}-0000-0000-0000-000000000000"),
                capacity_range: Some(csi::CapacityRange { required_bytes: 1 << 20, limit_bytes: 0 }),
                volume_capabilities: vec![capability],
                ..csi::CreateVolumeRequest::default()
            };
            let answer = connection.create_volume(request, options()).await?;
            Ok(answer.volume.context("an answer without a volume")?.volume_id)
        })
        .await
    }

    async fn create_snapshots(&mut self, volumes: &[String]) -> Result<Vec<String>> {
        let what = format!("CreateSnapshot, {SNAPSHOTS} beside them");
        self.timed(&what, SNAPSHOTS, async |connection, number| {
            let request = csi::CreateSnapshotRequest {
                name: format!("snapshot-{number:08}-0000-0000-0000-000000000000"),
                source_volume_id: volumes.get(number).cloned().unwrap_or_default(),
                ..csi::CreateSnapshotRequest::default()
            };
            let answer = connection.create_snapshot(request, options()).await?;
            Ok(answer.snapshot.context("an answer without a snapshot")?.snapshot_id)
        })
        .await
    }

    async fn delete_snapshots(&mut self, snapshots: Vec<String>) -> Result<()> {
        let what = format!("DeleteSnapshot, {SNAPSHOTS}");
        self.timed(&what, SNAPSHOTS, async |connection, number| {
            let snapshot_id = snapshots.get(number).cloned().unwrap_or_default();
            let request = csi::DeleteSnapshotRequest { snapshot_id, ..Default::default() };
            Ok(connection.delete_snapshot(request, options()).await?)
        })
        .await
        .map(drop)
    }

    async fn delete_volumes(&mut self, volumes: Vec<String>) -> Result<()> {
        let what = format!("DeleteVolume, {VOLUMES} volumes");
        self.timed(&what, VOLUMES, async |connection, number| {
            let volume_id = volumes.get(number).cloned().unwrap_or_default();
            let request = csi::DeleteVolumeRequest { volume_id, ..Default::default() };
            Ok(connection.delete_volume(request, options()).await?)
        })
        .await
        .map(drop)
    }

    /// Page after page. Upstream's driver gives the first page only; then there is no list to be timed.
    async fn list_volumes(&mut self, column: Column) -> Result<()> {
        let (mut pages, mut lists) = (Vec::new(), Vec::new());
        for _ in 0..LISTS {
            let (began, mut seen, mut token) = (Instant::now(), 0, String::new());
            loop {
                let asked = Instant::now();
                let request = csi::ListVolumesRequest { max_entries: PAGE, starting_token: token };
                let answer = self.connection.list_volumes(request, options()).await?;
                pages.push(asked.elapsed());
                seen += answer.entries.len();
                token = answer.next_token;
                if token.is_empty() {
                    break;
                }
                ensure!(
                    !answer.entries.is_empty() && seen <= VOLUMES,
                    "{seen} volumes of {VOLUMES}, and more"
                );
            }
            if seen == VOLUMES {
                lists.push(began.elapsed());
            } else if column == Column::Ours {
                bail!("{seen} volumes of {VOLUMES} are listed");
            }
        }
        self.latencies(&format!("ListVolumes, a page of {PAGE}"), pages);
        match super::idle::median(lists) {
            Duration::ZERO => say(&format!(
                "the baseline's driver lists fewer than {VOLUMES} volumes in pages of {PAGE}: no time for the whole list"
            )),
            whole => {
                let row = row(&format!("ListVolumes, all {VOLUMES} in pages of {PAGE}"), "ms");
                self.rows.push((row, whole.as_secs_f64() * 1000.0));
            }
        }
        Ok(())
    }
}

async fn dial(socket: PathBuf) -> Result<Connection> {
    let options =
        ConnectOptions { timeout: Some(LIMIT), on_loss: LossPolicy::Reconnect, ..ConnectOptions::default() };
    Ok(connect(&socket.to_string_lossy(), options).await?)
}
