//! The SnapshotMetadata service (sheet, 5.11): which blocks of an image snapshot hold data, and which differ between two.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use csi_client::csi;
use csi_client::csi::snapshot_metadata_server::SnapshotMetadata;
use csi_driver_kit::os_error::Context as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::plugin::Plugin;
use crate::state::{AccessType, Snapshot};

const BLOCK: u64 = 4096;
const BLOCK_SIZE: usize = 4096;
/// Entries of a message when the caller does not say.
const DEFAULT_RESULTS: usize = 256;
/// Messages that wait for the caller to read them.
const WAITING: usize = 4;

/// Blocks of a file, the last one perhaps short.
struct Blocks {
    file: BufReader<File>,
    ended: bool,
}

impl Blocks {
    fn from(mut file: File, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file: BufReader::with_capacity(1 << 20, file), ended: false })
    }

    /// Empty at the end.
    fn next<'a>(&mut self, buffer: &'a mut [u8; BLOCK_SIZE]) -> io::Result<&'a [u8]> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty() && !self.ended) {
            match self.file.read(room)? {
                0 => self.ended = true,
                count => filled += count,
            }
        }
        Ok(buffer.get(..filled).unwrap_or_default())
    }
}

/// Puts blocks into messages.
struct Pages<F> {
    page: Vec<csi::BlockMetadata>,
    most: usize,
    merge: bool,
    send: F,
}

impl<F: FnMut(Vec<csi::BlockMetadata>) -> Result<(), Ended>> Pages<F> {
    fn add(&mut self, block: u64) -> Result<(), Ended> {
        let size = i64::try_from(BLOCK).unwrap_or(i64::MAX);
        let offset = i64::try_from(block.saturating_mul(BLOCK)).unwrap_or(i64::MAX);
        if let Some(last) = self.page.last_mut()
            && self.merge
            && last.byte_offset + last.size_bytes == offset
        {
            last.size_bytes += size;
            return Ok(());
        }
        if self.page.len() >= self.most {
            self.flush()?;
        }
        self.page.push(csi::BlockMetadata { byte_offset: offset, size_bytes: size });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ended> {
        if self.page.is_empty() { Ok(()) } else { (self.send)(std::mem::take(&mut self.page)) }
    }
}

/// Why a stream ends early.
#[derive(Debug)]
enum Ended {
    /// Nobody listens any more.
    Unheard,
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What is read: one snapshot, or two to be compared.
struct Source {
    target: File,
    base: Option<File>,
    capacity: i64,
    offset: u64,
    most: usize,
}

impl Source {
    /// Reports the blocks that hold data, or differ, to `pages`. A short last block counts as data.
    fn report<F>(self, mut pages: Pages<F>) -> Result<(), Ended>
    where
        F: FnMut(Vec<csi::BlockMetadata>) -> Result<(), Ended>,
    {
        let (mut one, mut other) = ([0; BLOCK_SIZE], [0; BLOCK_SIZE]);
        let first = self.offset / BLOCK;
        let mut target = Blocks::from(self.target, first * BLOCK)?;
        let mut base = self.base.map(|file| Blocks::from(file, first * BLOCK)).transpose()?;
        for number in first.. {
            let block = target.next(&mut one)?;
            let reported = match &mut base {
                None if block.is_empty() => break,
                None => block.len() < BLOCK_SIZE || block.iter().any(|byte| *byte != 0),
                Some(base) => {
                    let before = base.next(&mut other)?;
                    if block.is_empty() && before.is_empty() {
                        break;
                    }
                    block != before
                }
            };
            if reported {
                pages.add(number)?;
            }
        }
        pages.flush()
    }
}

impl Hostpath {
    /// A snapshot of an image whose volume is still there, as upstream asks for.
    fn image_snapshot(&self, id: &str, missing: &str) -> Result<(Arc<Snapshot>, i64), Error> {
        let snapshot = self.snapshot(id).map_err(|_| Error::NotThere(missing.to_owned()))?;
        if !snapshot.ready_to_use {
            return Err(Error::NotReady(format!("snapshot {id} is not yet ready to use")));
        }
        let volume = self.volume(&snapshot.volume_id)?;
        if volume.access_type != AccessType::Block {
            return Err(Error::Invalid("source volume does not have block mode access type".into()));
        }
        Ok((snapshot, volume.size))
    }

    fn open_snapshot(&self, snapshot: &Snapshot) -> Result<(File, u64), Error> {
        let path = self.data.path(&snapshot.file());
        let file = File::open(&path).context("open", &path)?;
        let length = file.metadata().context("stat", &path)?.len();
        Ok((file, length))
    }

    fn allocated(&self, request: &csi::GetMetadataAllocatedRequest) -> Result<Source, Error> {
        required(&request.snapshot_id, "SnapshotID missing in request")?;
        let most = results(request.max_results)?;
        let (snapshot, capacity) = self.image_snapshot(&request.snapshot_id, "cannot find the snapshot")?;
        let (target, length) = self.open_snapshot(&snapshot)?;
        let offset = offset(request.starting_offset, length)?;
        Ok(Source { target, base: None, capacity, offset, most })
    }

    fn delta(&self, request: &csi::GetMetadataDeltaRequest) -> Result<Source, Error> {
        required(&request.base_snapshot_id, "BaseSnapshotID missing in request")?;
        required(&request.target_snapshot_id, "TargetSnapshotID missing in request")?;
        let most = results(request.max_results)?;
        let (base, _) = self.image_snapshot(&request.base_snapshot_id, "cannot find the source snapshot")?;
        let (target, capacity) =
            self.image_snapshot(&request.target_snapshot_id, "cannot find the target snapshot")?;
        if base.volume_id != target.volume_id {
            return Err(Error::Invalid("snapshots don't belong to the same Volume".into()));
        }
        let ((base, before), (target, after)) = (self.open_snapshot(&base)?, self.open_snapshot(&target)?);
        let offset = offset(request.starting_offset, before.max(after))?;
        Ok(Source { target, base: Some(base), capacity, offset, most })
    }
}

fn required(id: &str, text: &str) -> Result<(), Error> {
    if id.is_empty() { Err(Error::Invalid(text.to_owned())) } else { Ok(()) }
}

fn results(max_results: i32) -> Result<usize, Error> {
    match usize::try_from(max_results) {
        Ok(0) => Ok(DEFAULT_RESULTS),
        Ok(most) => Ok(most),
        Err(_) => Err(Error::Invalid("max_results cannot be negative".into())),
    }
}

fn offset(offset: i64, length: u64) -> Result<u64, Error> {
    let inside = u64::try_from(offset).ok().filter(|offset| *offset <= length);
    inside.ok_or_else(|| Error::OutOfRange(format!("starting_offset {offset} is not within {length} bytes")))
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

/// Reads on a thread of its own, as fast as the caller takes the messages.
fn stream<T: Send + 'static>(
    source: Source,
    merge: bool,
    message: impl Fn(i32, i64, Vec<csi::BlockMetadata>) -> T + Send + 'static,
) -> Result<Response<Stream<T>>, Status> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let kind =
        if merge { csi::BlockMetadataType::VariableLength } else { csi::BlockMetadataType::FixedLength };
    let (capacity, most) = (source.capacity, source.most);
    let started = std::thread::Builder::new().name("metadata".into()).spawn(move || {
        let send = |page| {
            let message = message(kind.into(), capacity, page);
            sender.blocking_send(Ok(message)).map_err(|_| Ended::Unheard)
        };
        let pages = Pages { page: Vec::new(), most, merge, send };
        if let Err(Ended::Failed(error)) = source.report(pages) {
            let _unheard = sender.blocking_send(Err(Status::internal(format!("read snapshot: {error}"))));
        }
    });
    started.map_err(|error| Status::resource_exhausted(format!("start a thread: {error}")))?;
    Ok(Response::new(ReceiverStream::new(receiver)))
}

#[tonic::async_trait]
impl SnapshotMetadata for Plugin {
    type GetMetadataAllocatedStream = Stream<csi::GetMetadataAllocatedResponse>;
    type GetMetadataDeltaStream = Stream<csi::GetMetadataDeltaResponse>;

    async fn get_metadata_allocated(
        &self,
        request: Request<csi::GetMetadataAllocatedRequest>,
    ) -> Result<Response<Self::GetMetadataAllocatedStream>, Status> {
        let request = request.into_inner();
        let source = self.run(move |driver| driver.allocated(&request)).await?;
        stream(source, self.driver.config().merge_metadata_blocks, |kind, capacity, page| {
            csi::GetMetadataAllocatedResponse {
                block_metadata_type: kind,
                volume_capacity_bytes: capacity,
                block_metadata: page,
            }
        })
    }

    async fn get_metadata_delta(
        &self,
        request: Request<csi::GetMetadataDeltaRequest>,
    ) -> Result<Response<Self::GetMetadataDeltaStream>, Status> {
        let request = request.into_inner();
        let source = self.run(move |driver| driver.delta(&request)).await?;
        stream(source, self.driver.config().merge_metadata_blocks, |kind, capacity, page| {
            csi::GetMetadataDeltaResponse {
                block_metadata_type: kind,
                volume_capacity_bytes: capacity,
                block_metadata: page,
            }
        })
    }
}

#[cfg(test)]
mod tests;
