//! What a process says of its own use of memory and processors.

use std::time::{Duration, Instant, SystemTime};

use super::{LONG, Result};

const MIB: f64 = 1024.0 * 1024.0;

/// Ticks of /proc/PID/stat in a second: fixed on Linux for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields of /proc/PID/stat after the name: time in user mode and in the kernel, of the process itself and of
/// the children it has waited for (proc(5)).
const OWN: [usize; 2] = [11, 12];
const CHILDREN: [usize; 2] = [13, 14];

/// Processor time a process has used so far, its threads included.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    ticks(pid, OWN)
}

/// Processor time of this program's children that have ended.
pub(super) fn cpu_of_children() -> Result<Duration> {
    ticks(std::process::id(), CHILDREN)
}

fn ticks(pid: u32, fields: [usize; 2]) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = fields.iter().map(|field| rest.split_whitespace().nth(*field)?.parse::<f64>().ok());
    let ticks: Option<f64> = ticks.sum();
    Ok(Duration::from_secs_f64(ticks.ok_or("/proc/PID/stat")? / TICKS_PER_SECOND))
}

/// A figure of /proc/PID/status in MiB, such as `VmRSS`.
pub(super) fn memory(pid: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or(format!("no {name}"))? * 1024.0 / MIB)
}

/// Memory in MiB.
pub(super) struct Memory {
    pub(super) resident: f64,
    /// The part of it that is no file's: what it has taken itself.
    pub(super) own: f64,
    /// The most that was resident at any time.
    pub(super) peak: f64,
}

/// Waits until the resident memory has not changed by more than 1 % for some seconds.
pub(super) async fn settled_memory(pid: u32) -> Result<Memory> {
    let settle = Duration::from_secs(5);
    let begun = Instant::now();
    let (mut last, mut since) = (memory(pid, "VmRSS")?, begun);
    while since.elapsed() < settle {
        if begun.elapsed() > LONG {
            return Err("the memory does not settle".into());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = memory(pid, "VmRSS")?;
        if (now - last).abs() > last / 100.0 {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(Memory { resident: last, own: memory(pid, "RssAnon")?, peak: memory(pid, "VmHWM")? })
}

/// The times at which lines with that text were logged.
pub(super) fn logged_at(log: &str, text: &str) -> Vec<SystemTime> {
    let lines = log.lines().filter(|line| line.contains(text));
    // Times are in colour codes only where the log goes to a terminal.
    let time = |line: &str| line.split_whitespace().next()?.parse::<jiff::Timestamp>().ok();
    lines.filter_map(time).map(SystemTime::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_what_it_uses() {
        let pid = std::process::id();
        assert!(memory(pid, "VmRSS").is_ok_and(|mib| mib > 0.0) && memory(pid, "VmNone").is_err());
        assert!(cpu(pid).is_ok() && cpu_of_children().is_ok());
    }

    #[test]
    fn times_are_those_of_the_lines() {
        let log = "2026-11-26T05:00:00.5Z  INFO a: one\nmore\n2026-11-26T05:00:02Z  INFO b: two\n";
        let at = logged_at(log, "INFO");
        assert_eq!(at[1].duration_since(at[0]).unwrap(), Duration::from_millis(1500));
        assert!(logged_at(log, "more").is_empty());
    }
}
