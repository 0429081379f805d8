//! The table of bad input: what is wrong, what the sidecar says about it, how it ends (sheet csi-provisioner, 2 and 3;
//! `common-library`, 2.5 and 3.1), and that nothing is lost by it.
//!
//! The rows are in the modules by what they are about; the tests of other sidecars include this file and have rows of their
//! own. Rows about the driver's own state (full disk, corrupted or foreign state file, a second process on one state
//! directory, a live socket in the way, wrong flags of the driver) are tests of the hostpath driver:
//! `crates/hostpath-driver/tests/scenarios`, `full_disk.rs`, `damage.rs` and `process.rs`. Clock jumps need a clock that
//! jumps: the provisioner's `clock.rs`, and `sidecar-core`'s tests of the elector.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::cluster::Cluster;
use crate::program::{Launch, Program};
use crate::{command_line, driver, rights, server};

/// Rows that run at a time. Most of them wait.
const AT_A_TIME: usize = 6;

/// One kind of bad input.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// Appended to a command line that is right.
    pub(crate) flags: &'static [&'static str],
    /// Makes it wrong before the start.
    pub(crate) before: fn(&Cluster, &mut Launch),
    /// Makes it wrong while it runs.
    pub(crate) then: fn(&Cluster, &Program),
    /// What the log says.
    pub(crate) says: &'static [&'static str],
    /// What the termination log says.
    pub(crate) last_words: &'static str,
    /// What becomes of the sidecar.
    pub(crate) end: Expected,
    /// Puts right what was wrong; the sidecar, or the next one, then works.
    pub(crate) heal: fn(&Cluster),
}

/// What becomes of the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It refuses the command line and has touched nothing.
    Refuses(i32),
    /// It ends by itself.
    Ends(i32),
    /// It stays and works as soon as that is possible.
    GoesOn,
    /// It stays, but needs a restart to notice that things are right again.
    Waits,
}

/// What rows are made from.
pub(crate) const ROW: Row = Row {
    name: "",
    flags: &[],
    before: |_, _| {},
    then: |_, _| {},
    says: &[],
    last_words: "",
    end: Expected::GoesOn,
    heal: |_| {},
};

impl Row {
    fn run(&self) {
        let cluster = Cluster::new();
        let mut launch = cluster.launch().with(self.flags);
        (self.before)(&cluster, &mut launch);
        let program = launch.start();
        (self.then)(&cluster, &program);
        match self.end {
            Expected::Refuses(code) => {
                self.expect_end(program, code);
                cluster.assert_untouched();
                (self.heal)(&cluster);
            }
            Expected::Ends(code) => {
                self.expect_end(program, code);
                (self.heal)(&cluster);
                start_again(&cluster);
            }
            Expected::GoesOn => {
                self.expect_words(&program);
                (self.heal)(&cluster);
                cluster.assert_works();
                stop(program);
            }
            Expected::Waits => {
                self.expect_words(&program);
                cluster.assert_untouched();
                stop(program);
                (self.heal)(&cluster);
                start_again(&cluster);
            }
        }
    }

    fn expect_words(&self, program: &Program) {
        self.says.iter().for_each(|text| program.wait_for(text));
    }

    fn expect_end(&self, program: Program, code: i32) {
        let end = program.end();
        assert_eq!(end.code, code, "{}", end.log);
        for text in self.says {
            assert!(end.log.contains(text), "{text:?} is not in:\n{}", end.log);
        }
        assert!(!end.log.contains("panicked at"), "{}", end.log);
        assert_eq!(end.last_words, self.last_words);
    }
}

/// The next sidecar, after things are right again.
fn start_again(cluster: &Cluster) {
    let program = cluster.launch().start();
    cluster.assert_works();
    stop(program);
}

/// The end of a sidecar that works.
fn stop(program: Program) {
    program.signal("-TERM");
    let end = program.end();
    assert_eq!(end.code, 0, "{}", end.log);
    assert!(!end.log.contains("panicked at"), "{}", end.log);
}

/// The table.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    // The slow ones first.
    rows.extend_from_slice(driver::ROWS);
    rows.extend_from_slice(server::ROWS);
    rows.extend_from_slice(rights::ROWS);
    rows.extend_from_slice(command_line::ROWS);
    // Part of a row's name, to look at one.
    if let Ok(part) = std::env::var("ROW") {
        rows.retain(|row| row.name.contains(&part));
    }
    rows.reverse();
    rows
}

#[test]
fn bad_input() {
    let (rows, failed) = (Mutex::new(rows()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(row) = rows.lock().unwrap().pop() else { return };
                    let started = std::time::Instant::now();
                    let outcome = catch_unwind(AssertUnwindSafe(|| row.run()));
                    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
                    eprintln!("{word:6} {:5.1} s  {}", started.elapsed().as_secs_f32(), row.name);
                    if outcome.is_err() {
                        failed.lock().unwrap().push(row.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "rows that failed: {failed:#?}");
}

#[test]
fn names_of_rows_are_unique() {
    let mut names: Vec<_> = rows().into_iter().map(|row| row.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
