//! One caller: makes one call after the other for volumes of its own, and remembers what was acknowledged.

use std::collections::BTreeMap;

use anyhow::{Context, Error, Result, ensure};

use super::place::{Content, Session, content};

/// The most volumes and snapshots that a caller has at a time.
const VOLUMES: usize = 6;
const SNAPSHOTS: usize = 4;

/// What a caller's volumes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Directories.
    Directory,
    /// Images, shown as devices.
    Block,
    /// Images with a filesystem of their own.
    Filesystem,
}

/// How far a volume is on its way to a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Idle,
    Staged,
    Published,
}

/// A volume whose creation was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) stage: Stage,
    /// What was written last; nothing in a new volume.
    content: Content,
}

/// A snapshot that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) id: String,
    /// What the volume had when it was cut.
    content: Content,
}

/// What a new volume is filled with: a name of the caller's.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Nothing,
    Volume(String),
    Snapshot(String),
}

/// A call that can be repeated.
#[derive(Clone, Debug)]
enum Call {
    Create(String, Source),
    Stage(String),
    Publish(String),
    Unpublish(String),
    Unstage(String),
    Delete(String),
    Cut(String, String),
    DeleteSnapshot(String),
}

/// A caller and what it knows.
pub(super) struct Caller {
    pub(super) kind: Kind,
    number: usize,
    random: fastrand::Rng,
    /// Numbers given to names so far.
    names: u64,
    pub(super) known: BTreeMap<String, Volume>,
    pub(super) cut: BTreeMap<String, Snapshot>,
    /// The call that was not answered.
    pending: Option<Call>,
}

impl Caller {
    pub(super) fn new(kind: Kind, number: usize, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        Self { kind, number, random, names: 0, known: BTreeMap::new(), cut: BTreeMap::new(), pending: None }
    }

    /// How many volumes it has.
    pub(super) fn volumes(&self) -> usize {
        self.known.len()
    }

    /// How many snapshots it has.
    pub(super) fn snapshots(&self) -> usize {
        self.cut.len()
    }

    /// Works until a call fails: how many were acknowledged, and the failure.
    pub(super) async fn work(&mut self, session: &Session) -> (u64, Error) {
        let mut acknowledged = 0;
        loop {
            let call = match self.next(session) {
                Ok(call) => call,
                Err(error) => return (acknowledged, error),
            };
            match self.make(session, call).await {
                Ok(()) => acknowledged += 1,
                Err(error) => return (acknowledged, error),
            }
        }
    }

    /// Makes the call again that was cut off.
    pub(super) async fn repeat(&mut self, session: &Session) -> Result<()> {
        match self.pending.take() {
            Some(call) => self.make(session, call).await.context("the retry of a call that was cut off"),
            None => Ok(()),
        }
    }

    /// What to do next; on the way, something may be written to a volume.
    fn next(&mut self, session: &Session) -> Result<Call> {
        let choice = self.random.u32(0..100);
        if self.known.is_empty() || (choice < 15 && self.known.len() < VOLUMES) {
            return Ok(self.creation());
        }
        let (name, volume) = self.any_volume()?;
        if choice < 25 && self.cut.len() < SNAPSHOTS {
            return Ok(Call::Cut(self.new_name("s"), name));
        }
        if choice < 32
            && let Some(name) = any(&mut self.random, &self.cut)
        {
            return Ok(Call::DeleteSnapshot(name));
        }
        let coin = self.random.bool();
        Ok(match volume.stage {
            Stage::Idle if coin && self.known.len() > 2 => Call::Delete(name),
            Stage::Idle => Call::Stage(name),
            Stage::Staged if coin => Call::Unstage(name),
            Stage::Staged => Call::Publish(name),
            Stage::Published => {
                if coin {
                    self.write(session, &name)?;
                }
                Call::Unpublish(name)
            }
        })
    }

    fn creation(&mut self) -> Call {
        let source = match self.random.u32(0..4) {
            0 => any(&mut self.random, &self.cut).map(Source::Snapshot),
            1 => any(&mut self.random, &self.known).map(Source::Volume),
            _ => None,
        };
        Call::Create(self.new_name("v"), source.unwrap_or(Source::Nothing))
    }

    fn any_volume(&mut self) -> Result<(String, Volume)> {
        let name = any(&mut self.random, &self.known).context("no volume")?;
        let volume = self.volume(&name)?.clone();
        Ok((name, volume))
    }

    fn new_name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}-{}", self.number, self.names)
    }

    fn volume(&self, name: &str) -> Result<&Volume> {
        self.known.get(name).with_context(|| format!("no volume {name}"))
    }

    fn snapshot(&self, name: &str) -> Result<&Snapshot> {
        self.cut.get(name).with_context(|| format!("no snapshot {name}"))
    }

    /// Writes something new through the mount of a published volume.
    fn write(&mut self, session: &Session, name: &str) -> Result<()> {
        let text = self.new_name(name);
        session.place.write(self.kind, name, &text)?;
        self.known.get_mut(name).context("no such volume")?.content = Some(content(&text));
        Ok(())
    }

    /// Makes a call; once it is acknowledged, its effect is known.
    async fn make(&mut self, session: &Session, call: Call) -> Result<()> {
        self.pending = Some(call.clone());
        self.effect(session, &call).await.with_context(|| format!("{call:?}"))?;
        self.pending = None;
        Ok(())
    }

    async fn effect(&mut self, session: &Session, call: &Call) -> Result<()> {
        match call {
            Call::Create(name, source) => {
                let (content, source) = match source {
                    Source::Nothing => (None, Source::Nothing),
                    Source::Volume(from) => {
                        let from = self.volume(from)?;
                        (from.content.clone(), Source::Volume(from.id.clone()))
                    }
                    Source::Snapshot(from) => {
                        let from = self.snapshot(from)?;
                        (from.content.clone(), Source::Snapshot(from.id.clone()))
                    }
                };
                let id = session.create(self.kind, name, source).await?;
                self.known.insert(name.clone(), Volume { id, stage: Stage::Idle, content });
            }
            Call::Stage(name) => {
                session.stage(self.kind, name, &self.volume(name)?.id).await?;
                self.reached(name, Stage::Staged);
            }
            Call::Publish(name) => {
                session.publish(self.kind, name, &self.volume(name)?.id).await?;
                self.reached(name, Stage::Published);
            }
            Call::Unpublish(name) => {
                session.unpublish(name, &self.volume(name)?.id).await?;
                self.reached(name, Stage::Staged);
            }
            Call::Unstage(name) => {
                session.unstage(name, &self.volume(name)?.id).await?;
                self.reached(name, Stage::Idle);
            }
            Call::Delete(name) => {
                session.delete(&self.volume(name)?.id).await?;
                self.known.remove(name);
            }
            Call::Cut(name, of) => {
                let volume = self.volume(of)?;
                let id = session.cut(name, &volume.id).await?;
                let content = volume.content.clone();
                self.cut.insert(name.clone(), Snapshot { id, content });
            }
            Call::DeleteSnapshot(name) => {
                session.delete_snapshot(&self.snapshot(name)?.id).await?;
                self.cut.remove(name);
            }
        }
        Ok(())
    }

    fn reached(&mut self, name: &str, stage: Stage) {
        if let Some(volume) = self.known.get_mut(name) {
            volume.stage = stage;
        }
    }

    /// Reads every volume that is published: how many.
    pub(super) fn read_what_is_mounted(&self, session: &Session) -> Result<u64> {
        let mut read = 0;
        for (name, volume) in self.known.iter().filter(|(_, volume)| volume.stage == Stage::Published) {
            let found = session.place.read(self.kind, name)?;
            ensure!(found == volume.content, "volume {name} has other data than was written");
            read += 1;
        }
        Ok(read)
    }

    /// Publishes every volume, and a copy of every snapshot, and reads them.
    pub(super) async fn show_everything(&mut self, session: &Session) -> Result<()> {
        for snapshot in self.cut.keys().cloned().collect::<Vec<_>>() {
            let copy = self.new_name("copy");
            self.make(session, Call::Create(copy, Source::Snapshot(snapshot))).await?;
        }
        for name in self.known.keys().cloned().collect::<Vec<_>>() {
            if self.volume(&name)?.stage == Stage::Idle {
                self.make(session, Call::Stage(name.clone())).await?;
            }
            if self.volume(&name)?.stage == Stage::Staged {
                self.make(session, Call::Publish(name)).await?;
            }
        }
        self.read_what_is_mounted(session).map(drop)
    }

    /// Removes everything in good order.
    pub(super) async fn take_everything_back(&mut self, session: &Session) -> Result<()> {
        for name in self.known.keys().cloned().collect::<Vec<_>>() {
            for call in [Call::Unpublish, Call::Unstage, Call::Delete] {
                self.make(session, call(name.clone())).await?;
            }
        }
        for name in self.cut.keys().cloned().collect::<Vec<_>>() {
            self.make(session, Call::DeleteSnapshot(name)).await?;
        }
        Ok(())
    }
}

/// One of the names.
fn any<T>(random: &mut fastrand::Rng, names: &BTreeMap<String, T>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    names.keys().nth(random.usize(0..names.len())).cloned()
}
