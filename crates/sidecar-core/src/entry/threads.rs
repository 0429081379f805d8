//! How many threads the process runs on.
//!
//! A sidecar waits most of its life, and every thread costs memory, so two workers are the most unless the flag asks for
//! what the container's CPU limit allows. `--automaxprocs` keeps upstream's log lines (sheet `common-library`, 3.5), since
//! the number in them is what people look for.

use std::path::Path;

use crate::context::Variables;
use crate::flags::{Binary, Parsed};

/// The most workers without `--automaxprocs`.
const FEW: usize = 2;

/// What was decided, and the line to log about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Threads {
    /// Worker threads; one means that the main thread does everything.
    pub(super) workers: usize,
    pub(super) line: Option<String>,
}

/// Decides for this process.
pub(super) fn decide(parsed: &Parsed, variables: &Variables) -> Threads {
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    decide_with(parsed, variables, available, cpu_quota(Path::new("/")))
}

fn decide_with(parsed: &Parsed, variables: &Variables, available: usize, quota: Option<f64>) -> Threads {
    // These do next to nothing: one thread is enough, and half a megabyte cheaper.
    let idle = matches!(
        parsed.binary,
        Binary::NodeDriverRegistrar | Binary::Livenessprobe | Binary::ClusterDriverRegistrar
    );
    let few = if idle { 1 } else { available.clamp(1, FEW) };
    if !parsed.bool("automaxprocs") {
        return Threads { workers: few, line: None };
    }
    if let Some(text) = variables.non_empty("GOMAXPROCS") {
        let workers = text.parse().ok().filter(|workers| *workers > 0).unwrap_or(few);
        let line = format!("maxprocs: Honoring GOMAXPROCS=\"{text}\" as set in environment");
        return Threads { workers, line: Some(line) };
    }
    let Some(quota) = quota else {
        let line = format!("maxprocs: Leaving GOMAXPROCS={few}: CPU quota undefined");
        return Threads { workers: few, line: Some(line) };
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of CPUs")]
    let allowed = quota.floor() as usize;
    let (workers, reason) = if allowed < 1 {
        (1, "using minimum allowed GOMAXPROCS")
    } else {
        (allowed, "determined from CPU quota")
    };
    Threads { workers, line: Some(format!("maxprocs: Updating GOMAXPROCS={workers}: {reason}")) }
}

/// CPUs that the process's cgroup may use, if there is a limit. `root` is `/`.
fn cpu_quota(root: &Path) -> Option<f64> {
    let membership = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            // In a container the path is that of the host, whose tree is not visible: the mount point is the group itself.
            let mounts = [root.join("sys/fs/cgroup").join(path), root.join("sys/fs/cgroup")];
            return mounts.iter().find_map(|directory| read_v2(&directory.join("cpu.max")));
        }
        if controllers.split(',').any(|controller| controller == "cpu") {
            let cpu = root.join("sys/fs/cgroup/cpu");
            return [cpu.join(path), cpu].iter().find_map(|directory| read_v1(directory));
        }
    }
    None
}

fn read_v2(file: &Path) -> Option<f64> {
    let content = std::fs::read_to_string(file).ok()?;
    let (quota, period) = content.trim().split_once(' ')?;
    ratio(quota, period)
}

fn read_v1(directory: &Path) -> Option<f64> {
    let quota = std::fs::read_to_string(directory.join("cpu.cfs_quota_us")).ok()?;
    let period = std::fs::read_to_string(directory.join("cpu.cfs_period_us")).ok()?;
    ratio(quota.trim(), period.trim())
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(binary: Binary, arguments: &[&str]) -> Result<Parsed, crate::exit::Exit> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        crate::flags::parse(binary, "test", &arguments, &Variables::default())
    }

    fn line(arguments: &[&str], variables: &Variables, quota: Option<f64>) -> (usize, String) {
        let threads = decide_with(&parsed(Binary::Attacher, arguments).unwrap(), variables, 8, quota);
        (threads.workers, threads.line.unwrap_or_default())
    }

    #[test]
    fn automaxprocs_true_false_no_value_error() {
        for (argument, on) in [
            ("--automaxprocs=true", true),
            ("--automaxprocs=false", false),
            ("--automaxprocs", true),
            ("--automaxprocs=", true),
        ] {
            assert_eq!(parsed(Binary::Attacher, &[argument]).unwrap().bool("automaxprocs"), on, "{argument}");
        }
        assert_eq!(parsed(Binary::Attacher, &["--automaxprocs=error"]).unwrap_err().code, 2);
    }

    #[test]
    fn the_lines_are_upstreams() {
        let none = Variables::default();
        assert_eq!(line(&[], &none, Some(7.5)), (2, String::new()));
        let flag = ["--automaxprocs"];
        let undefined = "maxprocs: Leaving GOMAXPROCS=2: CPU quota undefined".to_owned();
        assert_eq!(line(&flag, &none, None), (2, undefined));
        let quota = "maxprocs: Updating GOMAXPROCS=3: determined from CPU quota".to_owned();
        assert_eq!(line(&flag, &none, Some(3.9)), (3, quota));
        let minimum = "maxprocs: Updating GOMAXPROCS=1: using minimum allowed GOMAXPROCS".to_owned();
        assert_eq!(line(&flag, &none, Some(0.2)), (1, minimum));
        let set = Variables::from_pairs([("GOMAXPROCS", "5")]);
        let honoured = "maxprocs: Honoring GOMAXPROCS=\"5\" as set in environment".to_owned();
        assert_eq!(line(&flag, &set, Some(3.9)), (5, honoured));
    }

    #[test]
    fn quotas_are_read_from_both_cgroup_versions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        assert_eq!(cpu_quota(root.path()), None);
        write("proc/self/cgroup", "0::/kubepods/pod1\n");
        write("sys/fs/cgroup/cpu.max", "150000 100000\n");
        assert_eq!(cpu_quota(root.path()), Some(1.5));
        write("sys/fs/cgroup/kubepods/pod1/cpu.max", "max 100000\n");
        write("sys/fs/cgroup/cpu.max", "max 100000\n");
        assert_eq!(cpu_quota(root.path()), None);
        write("proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n");
        write("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "50000\n");
        write("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
        assert_eq!(cpu_quota(root.path()), Some(0.5));
    }
}
