//! What a waiting person sees: every step with its name and how long it takes, on standard error.
//!
//! On a terminal the running step is redrawn in place; elsewhere (CI logs) a line appears when the step ends
//! and every ten seconds while it runs, so that silence never lasts.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

const TERMINAL_TICK: Duration = Duration::from_millis(250);
const LOG_TICK: Duration = Duration::from_secs(10);

static STARTED: OnceLock<SystemTime> = OnceLock::new();

/// When this lab began; the process inside the namespaces is told by the one outside.
pub(crate) fn started() -> SystemTime {
    *STARTED.get_or_init(SystemTime::now)
}

/// Continues the clock of the process that started this one.
pub(crate) fn continue_from(started: SystemTime) {
    let _ = STARTED.set(started);
}

/// Seconds since the lab began, for narration.
pub(crate) fn elapsed() -> Duration {
    started().elapsed().unwrap_or_default()
}

/// One line of narration with the time since the start.
pub(crate) fn say(text: &str) {
    line(&format!("{} {text}", stamp()));
}

/// One line that must be noticed.
pub(crate) fn trouble(text: &str) {
    line(&format!("{} \u{2717} {text}", stamp()));
}

fn stamp() -> String {
    format!("[{:6.1} s]", elapsed().as_secs_f64())
}

fn line(text: &str) {
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    // Standard error may be a closed pipe; narration is not worth dying for.
    let _ = writeln!(std::io::stderr(), "{clear}{text}");
}

/// A step under way. Ends with [`Step::done`]; dropped without it, it is shown as failed.
pub(crate) struct Step {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
    began: Instant,
    quiet_end: bool,
}

struct Shared {
    text: Mutex<String>,
    ended: Mutex<bool>,
    bell: Condvar,
}

impl Step {
    /// Shows that `what` has begun.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let shared = Arc::new(Shared {
            text: Mutex::new(what.into()),
            ended: Mutex::new(false),
            bell: Condvar::new(),
        });
        let began = Instant::now();
        let ticker = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || tick(&shared, began))
        };
        Self { shared, ticker: Some(ticker), began, quiet_end: false }
    }

    /// Changes what is shown while the step goes on.
    pub(crate) fn note(&self, what: impl Into<String>) {
        *lock(&self.shared.text) = what.into();
    }

    /// Shows that the step succeeded and how long it took.
    pub(crate) fn done(mut self) {
        self.stop();
        say(&format!("\u{2713} {} ({:.1} s)", lock(&self.shared.text), self.began.elapsed().as_secs_f64()));
    }

    fn stop(&mut self) {
        self.quiet_end = true;
        *lock(&self.shared.ended) = true;
        self.shared.bell.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.quiet_end {
            self.stop();
            trouble(&format!(
                "{} (gave up after {:.1} s)",
                lock(&self.shared.text),
                self.began.elapsed().as_secs_f64()
            ));
        }
    }
}

fn tick(shared: &Shared, began: Instant) {
    let terminal = std::io::stderr().is_terminal();
    let pause = if terminal { TERMINAL_TICK } else { LOG_TICK };
    let mut ended = lock(&shared.ended);
    loop {
        ended = shared.bell.wait_timeout(ended, pause).unwrap_or_else(PoisonError::into_inner).0;
        if *ended {
            return;
        }
        let text =
            format!("{} \u{2026} {} ({:.0} s)", stamp(), lock(&shared.text), began.elapsed().as_secs_f64());
        if terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        } else {
            line(&text);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
