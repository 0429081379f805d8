//! From `main` to `run` and back: everything around a sidecar that is the same for all.
//!
//! [`main`] reads the command line, sets up logging, starts a small runtime, watches for signals, and turns what `run`
//! returns into last words and an exit code. It is the only place that decides about the process itself.

mod prologue;
mod supervise;
mod threads;

use std::io::Write as _;
use std::process::ExitCode;

pub use prologue::{VERSION, prologue, refuse_two_addresses};
pub use supervise::supervise;

use crate::context::{Context, Variables};
use crate::exit::{Exit, Style};
use crate::flags::{self, Binary, Notice, Parsed};
use crate::logging;
use crate::shutdown::Shutdown;

/// Stack of a worker thread; only what is used of it costs memory.
const STACK: usize = 1 << 20;

/// Threads for blocking calls, of which there are few: name look-ups and files.
const BLOCKING_THREADS: usize = 4;

/// The whole life of a process: call it from `main` with the sidecar's `run`.
pub fn main<F, R>(binary: Binary, run: F) -> ExitCode
where
    F: FnOnce(Parsed, Context) -> R,
    R: Future<Output = Result<(), Exit>>,
{
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| binary.name().to_owned());
    let arguments: Vec<String> = arguments.collect();
    crash_like_go();
    let context = Context::production();
    let outcome = start(binary, &program, &arguments, context.clone(), run);
    ExitCode::from(end(&outcome, &context))
}

fn start<F, R>(
    binary: Binary,
    program: &str,
    arguments: &[String],
    context: Context,
    run: F,
) -> Result<(), Exit>
where
    F: FnOnce(Parsed, Context) -> R,
    R: Future<Output = Result<(), Exit>>,
{
    let parsed = parse(binary, program, arguments, &context.variables)?;
    set_up_logging(&parsed, &context)?;
    let threads = threads::decide(&parsed, &context.variables);
    if let Some(line) = &threads.line {
        tracing::info!(unstructured = true, "{line}");
    }
    tell(&parsed.notices);
    let context = with_grace(context, &parsed);
    let runtime = build_runtime(threads.workers)
        .map_err(|error| Exit::failure(1, "Failed to start the process's threads").because(error))?;
    let shutdown = context.shutdown.clone();
    let outcome = runtime.block_on(supervise(run(parsed, context), &shutdown));
    // What still runs is abandoned: the grace period for it is over.
    runtime.shutdown_background();
    outcome
}

/// Go's runtime ends a program that panics with code 2; Rust's would abort it.
fn crash_like_go() {
    if cfg!(panic = "abort") {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |information| {
            print(information);
            std::process::exit(2);
        }));
    }
}

/// The all-in-one has a flag for the grace period.
fn with_grace(context: Context, parsed: &Parsed) -> Context {
    if parsed.value("shutdown-grace-period").is_none() {
        return context;
    }
    Context { shutdown: Shutdown::new(parsed.duration("shutdown-grace-period")), ..context }
}

/// Reads the command line; errors that are not about the command line are logged, so they need logging.
fn parse(binary: Binary, program: &str, arguments: &[String], variables: &Variables) -> Result<Parsed, Exit> {
    flags::parse(binary, program, arguments, variables).inspect_err(|exit| {
        if exit.style != Style::Plain {
            logging::install(&logging::Config::default(), &crate::clock::Clock::system());
        }
    })
}

fn set_up_logging(parsed: &Parsed, context: &Context) -> Result<(), Exit> {
    let config = logging::Config::from_flags(parsed);
    logging::install(config.as_ref().unwrap_or(&logging::Config::default()), &context.clock);
    config.map(drop).map_err(|error| Exit::failure(1, "LoggingConfiguration is invalid").because(error))
}

fn tell(notices: &[Notice]) {
    for notice in notices {
        match notice {
            Notice::Alias { option, instead } => {
                tracing::info!(option, "use" = instead, "Option is an alias");
            }
            Notice::NoEffect { option, reason } => {
                tracing::warn!(option, reason, "Option has no effect");
            }
            Notice::Variable { name: "KUBECONFIG", .. } => {
                tracing::info!(
                    unstructured = true,
                    "Found KUBECONFIG environment variable set, using that.."
                );
            }
            Notice::Variable { name, option } => {
                tracing::info!(variable = name, option, "Option is set by an environment variable");
            }
        }
    }
}

fn build_runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if workers > 1 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers).thread_stack_size(STACK);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.max_blocking_threads(BLOCKING_THREADS).enable_all().build()
}

/// Last words and the exit code.
fn end(outcome: &Result<(), Exit>, context: &Context) -> u8 {
    let Err(exit) = outcome else { return 0 };
    if let Some(text) = &exit.termination {
        context.termination_log.write(text);
    }
    say(exit);
    exit.code
}

fn say(exit: &Exit) {
    let message = &exit.message;
    let (error, pairs) = (exit.error.as_deref(), logging::pairs(&exit.details));
    match exit.style {
        Style::Silent => {}
        Style::Plain => {
            let newline = if message.ends_with('\n') { "" } else { "\n" };
            let _closed_stderr = std::io::stderr().write_all(format!("{message}{newline}").as_bytes());
        }
        Style::Structured => tracing::error!(err = error, pairs, "{message}"),
        Style::Unstructured => tracing::error!(unstructured = true, err = error, pairs, "{message}"),
        Style::Fatal => tracing::error!(unstructured = true, fatal = true, err = error, pairs, "{message}"),
    }
}
