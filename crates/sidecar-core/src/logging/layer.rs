//! The `tracing` layer: which events are lines, and where the lines go.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use jiff::tz::TimeZone;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::event::Said;
use super::format::{self, Origin};
use super::{Config, Format, zone};
use crate::clock::Clock;

/// Opens the place where one line goes.
pub(super) type Open<W> = Box<dyn Fn() -> W + Send + Sync>;

/// Turns events into klog lines, one write each.
pub struct KlogLayer<W> {
    config: Config,
    clock: Clock,
    zone: TimeZone,
    pid: u32,
    open: Open<W>,
}

impl<W: Write> KlogLayer<W> {
    /// Lines as `config` wants them, written to what `open` gives.
    pub fn new(config: Config, clock: Clock, open: Open<W>) -> Self {
        let pid = u32::try_from(rustix::process::getpid().as_raw_nonzero().get()).unwrap_or(0);
        Self { config, clock, zone: zone::local(), pid, open }
    }

    /// Another time zone and process id, for lines that a test can compare.
    #[must_use]
    pub fn with_identity(mut self, zone: TimeZone, pid: u32) -> Self {
        self.zone = zone;
        self.pid = pid;
        self
    }

    fn write(&self, line: &str) {
        // A log that nobody takes is no reason to stop, and there is nowhere to say so.
        let _nobody_listens = (self.open)().write_all(line.as_bytes());
    }
}

impl<W> fmt::Debug for KlogLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KlogLayer").field("config", &self.config).finish_non_exhaustive()
    }
}

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<S: Subscriber, W: Write + 'static> Layer<S> for KlogLayer<W> {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let highest = self.config.highest_verbosity();
        Some(match highest {
            0..DEBUG_VERBOSITY => LevelFilter::INFO,
            DEBUG_VERBOSITY..TRACE_VERBOSITY => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        let file = metadata.file().unwrap_or("unknown.rs");
        let severe = *metadata.level() <= Level::WARN;
        if !severe && said.verbosity > self.config.verbosity_of(file) {
            return;
        }
        let line = metadata.line().unwrap_or(1);
        let origin = Origin { level: *metadata.level(), file, line, time: self.clock.now(), pid: self.pid };
        LINE.with(|buffer| match buffer.try_borrow_mut() {
            Ok(mut buffer) => self.emit(&mut buffer, &origin, said),
            // A value whose printing logs in turn.
            Err(_) => self.emit(&mut String::new(), &origin, said),
        });
    }
}

/// Where `debug!` stands among klog's verbosities.
const DEBUG_VERBOSITY: u32 = 6;
/// Where `trace!` stands among klog's verbosities.
const TRACE_VERBOSITY: u32 = 10;
/// A line longer than this does not keep its buffer.
const KEPT_BUFFER: usize = 16 << 10;

impl<W: Write> KlogLayer<W> {
    fn emit(&self, buffer: &mut String, origin: &Origin<'_>, said: Said) {
        buffer.clear();
        match self.config.format {
            Format::Text => format::text(buffer, origin, &self.zone, said),
            Format::Json => format::json(buffer, origin, said),
        }
        self.write(buffer);
        if buffer.capacity() > KEPT_BUFFER {
            *buffer = String::new();
        }
    }

    /// Libraries that are not ours talk at `info` of what upstream's say from V(6) on.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let verbosity = self.config.verbosity_of(metadata.file().unwrap_or_default());
        let wanted = match *metadata.level() {
            Level::ERROR | Level::WARN => 0,
            Level::INFO if is_ours(metadata.target()) => 0,
            Level::INFO | Level::DEBUG => DEBUG_VERBOSITY,
            Level::TRACE => TRACE_VERBOSITY,
        };
        // An event with a field `v` is judged by it later; here the file's verbosity decides on whole levels.
        wanted <= verbosity
    }
}

fn is_ours(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    !FOREIGN.contains(&root)
}

/// The libraries below us that log.
const FOREIGN: [&str; 14] = [
    "axum",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "kube",
    "kube_client",
    "kube_runtime",
    "mio",
    "rustls",
    "tokio",
    "tokio_util",
    "tonic",
    "tower",
];
