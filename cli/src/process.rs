//! What the system tells of this process, by the names that Prometheus' own clients use.

use std::fs;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Adds memory, processor time and open files, where the system has them below `/proc`.
pub(crate) fn register(registry: &mut Registry) {
    let text = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    if let Some(used) = ovation_load::usage("self") {
        let bytes = i64::try_from(used.memory_bytes).unwrap_or(i64::MAX);
        gauge(registry, "process_resident_memory_bytes", "Memory of the process", bytes);
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(used.processor.as_secs_f64());
        registry.register("process_cpu_seconds", "Processor time of the process", counter);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // The one that reads them is one more.
        let open = files.count().saturating_sub(1);
        gauge(
            registry,
            "process_open_fds",
            "Open files and connections",
            i64::try_from(open).unwrap_or(i64::MAX),
        );
    }
    if let Some(max) = files_max(&text("limits")) {
        gauge(registry, "process_max_fds", "Files and connections that may be open", max);
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// Of `/proc/self/limits`: the limit that holds now.
fn files_max(limits: &str) -> Option<i64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        assert_eq!(
            files_max("Max open files            1024                 524288    files\n"),
            Some(1_024)
        );
        assert_eq!(files_max("Max"), None);
    }
}
