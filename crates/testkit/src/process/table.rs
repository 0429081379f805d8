//! The table of bad input: what is wrong, what the sidecar says about it, how it ends (sheet `common-library`, 2.5 and 3.1,
//! and the sidecar's own, 2 and 3), and that nothing is lost by it.
//!
//! Rows about the driver's own state (full disk, corrupted or foreign state file, a second process on one state directory, a
//! live socket in the way, wrong flags of the driver) are tests of the hostpath driver: `crates/hostpath-driver/tests/scenarios`,
//! `full_disk.rs`, `damage.rs` and `process.rs`. Clock jumps need a clock that jumps: the provisioner's `clock.rs`, and
//! `sidecar-core`'s tests of the elector.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use super::Subject;
use super::program::{Launch, Program};

/// Rows that run at a time. Most of them wait.
const AT_A_TIME: usize = 6;

/// One kind of bad input.
pub struct Row<C> {
    /// What is wrong.
    pub name: &'static str,
    /// Appended to a command line that is right.
    pub flags: &'static [&'static str],
    /// Makes it wrong before the start.
    pub before: fn(&C, &mut Launch),
    /// Makes it wrong while it runs.
    pub then: fn(&C, &Program),
    /// What the log says.
    pub says: &'static [&'static str],
    /// What the termination log says.
    pub last_words: &'static str,
    /// What becomes of the sidecar.
    pub end: Expected,
    /// Puts right what was wrong; the sidecar, or the next one, then works.
    pub heal: fn(&C),
}

/// What becomes of the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It refuses to start, with this code, and has touched nothing.
    Refuses(i32),
    /// It ends by itself, with this code.
    Ends(i32),
    /// It stays and works as soon as that is possible.
    GoesOn,
    /// It stays, but needs a restart to notice that things are right again.
    Waits,
}

// Derived, these would ask for a `C` that can be copied.
impl<C> Clone for Row<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Row<C> {}

impl<C> Row<C> {
    /// What rows are made from: nothing is wrong.
    pub const BLANK: Self = Self {
        name: "",
        flags: &[],
        before: |_, _| {},
        then: |_, _| {},
        says: &[],
        last_words: "",
        end: Expected::GoesOn,
        heal: |_| {},
    };
}

impl<C: Subject> Row<C> {
    fn run(&self) {
        let subject = C::new();
        let mut launch = subject.launch().with(self.flags);
        (self.before)(&subject, &mut launch);
        let program = launch.start();
        (self.then)(&subject, &program);
        match self.end {
            Expected::Refuses(code) => {
                self.expect_end(program, code);
                subject.assert_untouched();
                (self.heal)(&subject);
            }
            Expected::Ends(code) => {
                self.expect_end(program, code);
                (self.heal)(&subject);
                start_again(&subject);
            }
            Expected::GoesOn => {
                self.expect_words(&program);
                (self.heal)(&subject);
                subject.assert_works();
                stop(program);
            }
            Expected::Waits => {
                self.expect_words(&program);
                subject.assert_untouched();
                stop(program);
                (self.heal)(&subject);
                start_again(&subject);
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
fn start_again(subject: &impl Subject) {
    let program = subject.launch().start();
    subject.assert_works();
    stop(program);
}

/// The end of a sidecar that works.
fn stop(program: Program) {
    program.signal("-TERM");
    let end = program.end();
    assert_eq!(end.code, 0, "{}", end.log);
    assert!(!end.log.contains("panicked at"), "{}", end.log);
}

/// Runs the rows, in this order and some at a time: the slow ones should come first. The environment variable `ROW` has a part
/// of a row's name, to look at one.
pub fn check<C: Subject>(mut rows: Vec<Row<C>>) {
    if let Ok(part) = std::env::var("ROW") {
        rows.retain(|row| row.name.contains(&part));
    }
    rows.reverse();
    let (rows, failed) = (Mutex::new(rows), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(row) = rows.lock().unwrap().pop() else { return };
                    let started = Instant::now();
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

/// No two rows have one name.
pub fn assert_names_are_unique<C>(rows: &[Row<C>]) {
    let mut names: Vec<_> = rows.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len());
}

/// The two tests of a table, made of slices of rows: it does what it says, and no two rows have one name. For the top of a
/// sidecar's tests, where `Row` is its type of row.
#[macro_export]
macro_rules! bad_input {
    ($($rows:expr),+ $(,)?) => {
        fn rows() -> Vec<Row> {
            let parts: &[&[Row]] = &[$($rows),+];
            parts.concat()
        }

        #[test]
        fn bad_input() {
            $crate::process::check(rows());
        }

        #[test]
        fn names_of_rows_are_unique() {
            $crate::process::assert_names_are_unique(&rows());
        }
    };
}
