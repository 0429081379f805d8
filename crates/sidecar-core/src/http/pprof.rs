//! `/debug/pprof/`, with the paths of Go's package.
//!
//! Go's profiles describe Go's runtime, so their formats make no sense here; each path answers, in plain text, what it can
//! truthfully say about this process: who used the CPU, how much memory there is and of which kind, which threads and tasks
//! exist.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::reply::{Asked, Reply};
use super::routes::Routes;

/// Seconds of a profile or trace when the request names none, as in Go.
const PROFILE_SECONDS: f64 = 30.0;
const TRACE_SECONDS: f64 = 1.0;
/// The longest profile.
const LONGEST_SECONDS: f64 = 600.0;
/// Ticks per second in `/proc/<pid>/stat`.
const USER_HZ: f64 = 100.0;

/// Adds all paths.
pub(super) fn add_routes(routes: &Routes) {
    routes.add_fixed("/debug/pprof/", index);
    routes.add_fixed("/debug/pprof/cmdline", |_| Reply::text(200, command_line()));
    routes.add_fixed("/debug/pprof/symbol", |_| Reply::text(200, "num_symbols: 0\n"));
    routes.add_fixed("/debug/pprof/heap", |_| Reply::text(200, memory()));
    routes.add_fixed("/debug/pprof/allocs", |_| Reply::text(200, memory()));
    routes.add_fixed("/debug/pprof/threadcreate", |_| Reply::text(200, threads()));
    routes.add_fixed("/debug/pprof/goroutine", |_| Reply::text(200, tasks()));
    // The patterns are constants with a path, so they cannot be refused.
    let _profile = routes.add("/debug/pprof/profile", |asked| profile(asked, PROFILE_SECONDS));
    let _trace = routes.add("/debug/pprof/trace", |asked| profile(asked, TRACE_SECONDS));
}

const PATHS: [(&str, &str); 7] = [
    ("cmdline", "the command line, its words separated by NUL"),
    ("goroutine", "tokio's workers and tasks"),
    ("heap", "memory by kind"),
    ("profile", "CPU time by thread; ?seconds=N, 30 if not given"),
    ("symbol", "no symbols: there are no Go program counters to resolve"),
    ("threadcreate", "threads"),
    ("trace", "CPU time by thread; ?seconds=N, 1 if not given"),
];

fn index(asked: &Asked) -> Reply {
    if asked.path != "/debug/pprof/" {
        return Reply::error(404, "Unknown profile").with_header("x-go-pprof", "1");
    }
    let mut text = String::from("/debug/pprof/ of this process, in plain text\n\n");
    for (path, meaning) in PATHS {
        let _cannot_fail = writeln!(text, "{path:14}{meaning}");
    }
    Reply::text(200, text)
}

fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join("\0")
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let sizes: String = status
        .lines()
        .filter(|line| line.starts_with("Vm") || line.starts_with("Rss"))
        .fold(String::new(), |text, line| text + line + "\n");
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    format!("/proc/self/status\n{sizes}\n/proc/self/smaps_rollup\n{rollup}")
}

fn threads() -> String {
    let times = thread_times();
    let lines = times.iter().map(|(id, (name, seconds))| format!("{id} {name} {seconds:.2}s\n"));
    format!("threads: {}\n{}", times.len(), lines.collect::<String>())
}

fn tasks() -> String {
    match tokio::runtime::Handle::try_current() {
        Ok(handle) => {
            let metrics = handle.metrics();
            format!("workers: {}\nalive tasks: {}\n", metrics.num_workers(), metrics.num_alive_tasks())
        }
        Err(_) => "no runtime\n".to_owned(),
    }
}

/// CPU time that each thread used while we waited.
async fn profile(asked: Asked, default_seconds: f64) -> Reply {
    let seconds = asked.number("seconds").filter(|seconds| *seconds > 0.0).unwrap_or(default_seconds);
    let seconds = seconds.min(LONGEST_SECONDS);
    let before = thread_times();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let after = thread_times();
    let mut text = format!("CPU time by thread within {seconds} s\n");
    for (id, (name, total)) in after {
        let earlier = before.get(&id).map_or(0.0, |(_, seconds)| *seconds);
        let _cannot_fail = writeln!(text, "{:8.2}s {id} {name}", total - earlier);
    }
    Reply::text(200, text)
}

/// Name and CPU seconds of every thread, by its id.
fn thread_times() -> BTreeMap<u32, (String, f64)> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, fields) = stat.rsplit_once(')')?;
            let name = head.split_once('(')?.1.to_owned();
            let ticks = |index| fields.split_ascii_whitespace().nth(index)?.parse::<f64>().ok();
            Some((id, (name, (ticks(11)? + ticks(12)?) / USER_HZ)))
        })
        .collect()
}
