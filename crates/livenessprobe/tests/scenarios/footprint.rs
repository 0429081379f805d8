//! Memory: upstream leaked connections and metrics for years (sheet section 12), and this runs on every node.

use std::fs;

use testkit::process::http::Client;

use crate::pod::Pod;

/// Kilobytes that a process occupies.
fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// `PROBES=1000000` is the long form of it (13.8).
#[test]
fn many_probes_leave_nothing_behind() {
    let probes: u32 = std::env::var("PROBES").map_or(10_000, |text| text.parse().unwrap());
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&[]);
    let mut client = Client::connect(port).unwrap();
    let mut ask = |times: u32| {
        for _ in 0..times {
            assert!(client.ask("GET", "/healthz").is(200, "ok"));
        }
    };
    ask(500);
    let (memory, files) = (resident(probe.id()), open_files(probe.id()));
    ask(probes);
    let (memory_after, files_after) = (resident(probe.id()), open_files(probe.id()));
    println!(
        "{probes} probes: {memory} kB and {files} files before, {memory_after} kB and {files_after} after"
    );
    assert!(memory_after <= memory + 256, "{memory} kB before, {memory_after} kB after {probes} probes");
    // The driver's end of the last connection may close a moment later than the answer is read.
    assert!(files_after <= files + 1, "{files} files before, {files_after} after");
}
