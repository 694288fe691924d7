//! What does the kernel say of this process?
//!
//! The names are those that Prometheus' client libraries use, so that usual dashboards work.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks a second in `/proc`: fixed for user space on every architecture Linux has.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` on each scrape; what cannot be read is left out.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&read("stat")) {
            let help = "Processor time used, in seconds";
            let counter = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            counter.encode(metric)?;
        }
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            Some(value) => {
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(metric)
            }
            None => Ok(()),
        };
        let resident = resident_bytes(&read("status"));
        gauge("process_resident_memory_bytes", "Memory resident, in bytes", resident)?;
        let files = std::fs::read_dir("/proc/self/fd").ok().and_then(|files| files.count().try_into().ok());
        gauge("process_open_fds", "Open file descriptors", files)
    }
}

/// The time in user and kernel mode of `/proc/self/stat`: fields 14 and 15, counted after the name in
/// brackets, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

/// `VmRSS` of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_kernel_writes() {
        let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_bytes(""), None);
    }
}
