//! Facts about the process itself, read from `/proc` when scraped.
//!
//! Dashboards for memory and CPU of the sidecars use these families; they are the same as Go's process collector's.
//! Go's runtime families (`go_*`) have no meaning here and are absent.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use super::constant;
use crate::flags::Binary;

/// Ticks per second in `/proc/<pid>/stat`; part of the kernel's interface on all our platforms.
const USER_HZ: f64 = 100.0;

/// Which families a binary exposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessSeries {
    /// Start time only, with the help text of Kubernetes' registries (livenessprobe, snapshot-controller).
    StartTime,
    /// All, the start time's help prefixed `[ALPHA] ` (attacher, resizer, snapshotter).
    AllAlphaStart,
    /// All, the start time's help plain (provisioner).
    All,
}

/// Collects the process families.
#[derive(Debug)]
pub struct ProcessMetrics {
    proc: PathBuf,
    series: ProcessSeries,
    descriptions: Vec<Desc>,
}

impl ProcessMetrics {
    /// The families of this process.
    pub fn new(series: ProcessSeries) -> Self {
        Self::reading(Path::new("/proc"), series)
    }

    fn reading(proc: &Path, series: ProcessSeries) -> Self {
        let description = |family: &Family| {
            constant(Desc::new(family.name.to_owned(), series.help(family), Vec::new(), HashMap::new()))
        };
        let descriptions = FAMILIES.iter().filter(|family| series.has(family)).map(description).collect();
        Self { proc: proc.to_owned(), series, descriptions }
    }

    /// Seconds since the epoch at which the process started; `None` where `/proc` does not tell.
    pub fn start_time(&self) -> Option<f64> {
        let ticks: f64 = self.stat_field(22)?.parse().ok()?;
        let stat = fs::read_to_string(self.proc.join("stat")).ok()?;
        let boot: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(boot + ticks / USER_HZ)
    }

    fn read(&self, source: Source) -> Option<f64> {
        match source {
            Source::StartTime => self.start_time(),
            Source::Cpu => {
                let ticks = |field| self.stat_field(field)?.parse::<f64>().ok();
                Some((ticks(14)? + ticks(15)?) / USER_HZ)
            }
            Source::OpenFiles => {
                let entries = fs::read_dir(self.proc.join("self/fd")).ok()?.count();
                // The directory being read is one of them.
                u32::try_from(entries.saturating_sub(1)).ok().map(f64::from)
            }
            Source::MaxFiles => self.limit("Max open files"),
            Source::Resident => self.resident(),
            Source::Virtual => self.stat_field(23)?.parse().ok(),
            Source::MaxVirtual => self.limit("Max address space"),
            Source::Received => self.network(7),
            Source::Sent => self.network(8),
        }
    }

    /// A field of `/proc/self/stat`, counted from 1 as in its manual page, from the third on.
    fn stat_field(&self, field: usize) -> Option<String> {
        let stat = fs::read_to_string(self.proc.join("self/stat")).ok()?;
        let after_name = stat.rsplit_once(')')?.1;
        after_name.split_ascii_whitespace().nth(field.checked_sub(3)?).map(str::to_owned)
    }

    fn resident(&self) -> Option<f64> {
        let status = fs::read_to_string(self.proc.join("self/status")).ok()?;
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
        Some(kilobytes.parse::<f64>().ok()? * 1024.0)
    }

    fn limit(&self, name: &str) -> Option<f64> {
        let limits = fs::read_to_string(self.proc.join("self/limits")).ok()?;
        let soft = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))?
            .split_ascii_whitespace()
            .next()?
            .to_owned();
        // Go prints the largest unsigned number for "unlimited".
        if soft == "unlimited" { Some(18_446_744_073_709_551_615.0) } else { soft.parse().ok() }
    }

    /// A column of the second `IpExt` line of `/proc/self/net/netstat`.
    fn network(&self, column: usize) -> Option<f64> {
        let netstat = fs::read_to_string(self.proc.join("self/net/netstat")).ok()?;
        let values = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:")).nth(1)?;
        values.split_ascii_whitespace().nth(column.checked_sub(1)?)?.parse().ok()
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = FAMILIES.iter().filter(|family| self.series.has(family));
        families
            .filter_map(|family| Some(family.with(self.series.help(family), self.read(family.source)?)))
            .collect()
    }
}

impl ProcessSeries {
    /// What upstream's binary exposes; none where it has no metrics (sheet `common-library`, section 9).
    pub fn of(binary: Binary) -> Option<Self> {
        match binary {
            Binary::Provisioner | Binary::AllInOne => Some(Self::All),
            Binary::Attacher | Binary::Resizer | Binary::Snapshotter => Some(Self::AllAlphaStart),
            Binary::SnapshotController | Binary::Livenessprobe => Some(Self::StartTime),
            // Not upstream's endpoints at all: everything may be there.
            Binary::NodeDriverRegistrar | Binary::ClusterDriverRegistrar | Binary::Hostpath => {
                Some(Self::All)
            }
            Binary::ConversionWebhook => None,
        }
    }

    fn has(self, family: &Family) -> bool {
        self != Self::StartTime || matches!(family.source, Source::StartTime)
    }

    fn help(self, family: &Family) -> String {
        let alpha = matches!(family.source, Source::StartTime) && self != Self::All;
        format!("{}{}", if alpha { "[ALPHA] " } else { "" }, family.help)
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    StartTime,
    Cpu,
    OpenFiles,
    MaxFiles,
    Resident,
    Virtual,
    MaxVirtual,
    Received,
    Sent,
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    source: Source,
}

impl Family {
    fn with(&self, help: String, value: f64) -> MetricFamily {
        let mut metric = Metric::default();
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(help);
        family.set_field_type(self.kind);
        family.set_metric(vec![metric]);
        family
    }
}

const fn family(name: &'static str, help: &'static str, kind: MetricType, source: Source) -> Family {
    Family { name, help, kind, source }
}

use MetricType::{COUNTER, GAUGE};

static FAMILIES: [Family; 9] = [
    family(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        GAUGE,
        Source::StartTime,
    ),
    family(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        COUNTER,
        Source::Cpu,
    ),
    family("process_open_fds", "Number of open file descriptors.", GAUGE, Source::OpenFiles),
    family("process_max_fds", "Maximum number of open file descriptors.", GAUGE, Source::MaxFiles),
    family("process_resident_memory_bytes", "Resident memory size in bytes.", GAUGE, Source::Resident),
    family("process_virtual_memory_bytes", "Virtual memory size in bytes.", GAUGE, Source::Virtual),
    family(
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        GAUGE,
        Source::MaxVirtual,
    ),
    family(
        "process_network_receive_bytes_total",
        "Number of bytes received by the process over the network.",
        COUNTER,
        Source::Received,
    ),
    family(
        "process_network_transmit_bytes_total",
        "Number of bytes sent by the process over the network.",
        COUNTER,
        Source::Sent,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn metrics_registry_gathered_process_start_time_seconds_present() {
        let metrics = Metrics::new();
        metrics.register(ProcessMetrics::new(ProcessSeries::StartTime));
        let text = metrics.text();
        assert!(text.starts_with("# HELP process_start_time_seconds [ALPHA] Start time"), "{text}");
        assert!(!text.contains("process_cpu"), "{text}");
        let start = ProcessMetrics::new(ProcessSeries::All).start_time().unwrap();
        assert!(start > 1_700_000_000.0, "{start}");
    }

    #[test]
    fn all_process_families_are_read() {
        let metrics = Metrics::new();
        metrics.register(ProcessMetrics::new(ProcessSeries::All));
        let text = metrics.text();
        for family in &FAMILIES {
            assert!(text.contains(&format!("\n{} ", family.name)), "{} is missing:\n{text}", family.name);
        }
        assert!(text.contains("# HELP process_start_time_seconds Start time"), "{text}");
    }

    #[test]
    fn a_missing_proc_leaves_families_out() {
        let metrics = Metrics::new();
        metrics.register(ProcessMetrics::reading(Path::new("/nonexistent"), ProcessSeries::All));
        assert_eq!(metrics.text(), "");
    }
}
