//! The record of a run: what happened in which order, and a hash that says whether two runs were the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The record so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    // Keyed with constants, so equal over runs of one build.
    hasher: DefaultHasher,
}

impl Trace {
    pub(super) fn add(&mut self, at: Duration, text: &str) {
        let line = format!("{:>10.3} {text}", at.as_secs_f64());
        line.hash(&mut self.hasher);
        self.lines.push(line);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}
