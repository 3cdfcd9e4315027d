//! What a process on this machine uses, from the kernel's own numbers.

use std::time::Duration;

/// The kernel's clock ticks of user space: always 100 a second.
const TICK: Duration = Duration::from_millis(10);
/// Fields of `stat` behind the name: `utime` and `stime`.
const UTIME: usize = 11;
const STIME: usize = 12;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Processor time so far, in user mode and in the kernel.
    pub processor: Duration,
}

/// What a process uses now, by its id or as `self`; none where it is not there, or the system tells nothing.
#[must_use]
pub fn usage(pid: &str) -> Option<Usage> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    parse(&read("status")?, &read("stat")?)
}

fn parse(status: &str, stat: &str) -> Option<Usage> {
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.split_whitespace().next()?.parse().ok()?;
    // The name stands in brackets, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(Usage { memory_bytes: kib * 1024, processor: TICK * (ticks(UTIME)? + ticks(STIME)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 2 0 0 0 150 50 0 0 20 0 1 0 3 4 5";
        let usage = parse("Name:\tx\nVmRSS:\t     12 kB\n", stat).expect("both are there");
        assert_eq!((usage.memory_bytes, usage.processor), (12 * 1024, Duration::from_secs(2)));
        let usage = parse("Name:\tx\nVmRSS:\t   2048 kB\n", "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0");
        assert_eq!(usage, Some(Usage { memory_bytes: 2_097_152, processor: Duration::from_secs(3) }));
        assert_eq!((parse("", stat), parse("VmRSS: 1 kB", "7")), (None, None));
    }
}
