//! What `/metrics` tells of the program and its engine: made anew for each request.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use ovation_topology::{Cause, TaskRole, TaskState, TaskStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::process;

type Labels = Vec<(&'static str, String)>;

/// A name, what it means, and where it comes from.
type TaskGauge = (&'static str, &'static str, fn(&TaskStatus) -> Option<i64>);

const GAUGES: &[TaskGauge] = &[
    ("ovation_task_active", "1 for the engine that stores results, 0 for one that stands by", |task| {
        Some(i64::from(task.role == TaskRole::Active))
    }),
    ("ovation_task_ready", "1 once the chain has caught up with what the source held at the start", |task| {
        Some(i64::from(task.ready && task.state == TaskState::Running))
    }),
    ("ovation_task_epoch", "Counts resets, from 1", |task| Some(number(task.epoch))),
    ("ovation_task_source_offset", "Next source offset", |task| Some(task.offset)),
    ("ovation_task_source_high_watermark", "End of the source", |task| Some(task.high_watermark)),
    ("ovation_task_lag_records", "Source records that are not processed yet", |task| Some(task.lag())),
    ("ovation_task_result_seq", "Number of the last stored result", |task| Some(number(task.seq))),
    ("ovation_task_reject_seq", "Number of the last stored dead letter", |task| {
        Some(number(task.reject_seq))
    }),
    ("ovation_task_watermark_ms", "Stream time less grace, ms since 1970", |task| task.watermark),
    ("ovation_task_open_windows", "Windows that are not final", |task| Some(number(task.open))),
    ("ovation_task_backlog_results", "Results that wait only for another record", |task| {
        Some(number(task.backlog))
    }),
    ("ovation_task_checkpoint_offset", "Source offset of the last stored checkpoint", |task| task.checkpoint),
    ("ovation_task_state_keys", "Keys with totals", |task| Some(number(task.kept.keys))),
    ("ovation_task_state_windows", "Slices of open windows that are kept", |task| {
        Some(number(task.kept.windows))
    }),
    ("ovation_task_state_ids", "Ids in the dedup horizon", |task| Some(number(task.kept.ids))),
    ("ovation_task_state_bytes", "Memory that the module has taken", |task| Some(number(task.kept.bytes))),
];

/// A name without its `_total`, what it means, and where it comes from.
type TaskCounter = (&'static str, &'static str, fn(&TaskStatus) -> u64);

const COUNTERS: &[TaskCounter] = &[
    ("ovation_task_source_records", "Source records that the chain has taken, replays included", |task| {
        task.records
    }),
    ("ovation_task_chain_answers", "Calls that the chain has answered", |task| task.answers),
    ("ovation_task_checkpoints", "Checkpoints that this engine has stored", |task| task.checkpoints),
    ("ovation_task_results", "Results that this engine has stored", |task| task.results),
    ("ovation_task_result_bytes", "Bytes of the results that this engine has stored", |task| {
        task.result_bytes
    }),
    ("ovation_task_rejects", "Dead letters that this engine has stored", |task| task.rejects),
    ("ovation_task_reject_bytes", "Bytes of the dead letters that this engine has stored", |task| {
        task.reject_bytes
    }),
];

/// A name, what it means, and the time in ms since 1970 that it is the age of.
type TaskAge = (&'static str, &'static str, fn(&TaskStatus) -> Option<i64>);

const AGES: &[TaskAge] = &[
    ("ovation_task_checkpoint_age_seconds", "Time since this engine has stored a checkpoint", |task| {
        task.checkpoint_at
    }),
    (
        "ovation_task_watermark_lag_seconds",
        "How far the watermark is behind the clock, while windows are open",
        |task| task.watermark.filter(|_| task.open > 0),
    ),
];

const STATES: [TaskState; 5] =
    [TaskState::Starting, TaskState::Running, TaskState::Waiting, TaskState::Stopped, TaskState::Finished];

/// The whole exposition of a process that has nothing but these tasks.
#[cfg(test)]
pub(crate) fn text(tasks: &[TaskStatus]) -> String {
    let mut registry = Registry::default();
    register(&mut registry, tasks);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("writes");
    text
}

/// Adds the program and its tasks as they stand.
pub(crate) fn register(registry: &mut Registry, tasks: &[TaskStatus]) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    register_at(registry, tasks, i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
}

fn register_at(registry: &mut Registry, tasks: &[TaskStatus], now_ms: i64) {
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("ovation_build", "This program", build);
    process::register(registry);
    for (name, help, value) in GAUGES {
        let family = Family::<Labels, Gauge>::default();
        for task in tasks {
            if let Some(value) = value(task) {
                family.get_or_create(&labels(task)).set(value);
            }
        }
        registry.register(*name, *help, family);
    }
    for (name, help, value) in COUNTERS {
        let family = Family::<Labels, Counter>::default();
        for task in tasks {
            family.get_or_create(&labels(task)).inc_by(value(task));
        }
        registry.register(*name, *help, family);
    }
    for (name, help, time) in AGES {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for task in tasks {
            if let Some(time) = time(task) {
                family.get_or_create(&labels(task)).set(seconds(now_ms - time));
            }
        }
        registry.register(*name, *help, family);
    }
    let restarts = Family::<Labels, Counter>::default();
    for task in tasks {
        for cause in Cause::ALL {
            let mut labels = labels(task);
            labels.push(("reason", cause.to_string()));
            restarts.get_or_create(&labels).inc_by(task.restarts_by.of(cause));
        }
    }
    registry.register("ovation_task_restarts", "Failures after which the task started again", restarts);
    if !tasks.is_empty() {
        registry.register_collector(Box::new(ProduceTimes(tasks.to_vec())));
    }
    let states = Family::<Labels, Gauge>::default();
    for task in tasks {
        for state in STATES {
            let mut labels = labels(task);
            labels.push(("state", state.to_string()));
            states.get_or_create(&labels).set(i64::from(task.state == state));
        }
    }
    registry.register("ovation_task_state", "1 for the state that the task is in", states);
}

/// How long results took to be stored.
#[derive(Debug)]
struct ProduceTimes(Vec<TaskStatus>);

impl Collector for ProduceTimes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Time from a batch of results to the acknowledgement of the sink";
        let mut family = encoder.encode_descriptor(
            "ovation_task_produce_duration",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for task in &self.0 {
            let times: Vec<_> = task.produce_times.buckets().collect();
            let count = times.iter().map(|(_, count)| count).sum();
            let labels = labels(task);
            let mut encoder = family.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(task.produce_times.sum_seconds(), count, &times, None)?;
        }
        Ok(())
    }
}

fn labels(task: &TaskStatus) -> Labels {
    vec![("stage", task.stage.clone()), ("partition", task.partition.to_string())]
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Milliseconds as seconds; a clock that was set back makes nothing younger than now.
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_task_shows_its_state_and_its_numbers() {
        let mut task = TaskStatus::new("words", 3);
        (task.state, task.seq) = (TaskState::Running, 41);
        (task.offset, task.high_watermark) = (70, 100);
        (task.records, task.results, task.result_bytes, task.rejects) = (75, 40, 9_000, 5);
        task.checkpoint_at = Some(7_500);
        let mut busy = TaskStatus::new("busy", 0);
        (busy.open, busy.watermark) = (2, Some(6_000));
        let mut registry = Registry::default();
        register_at(&mut registry, &[task, busy], 10_000);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writes");
        let line = |line: &str| assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        line("ovation_task_state{stage=\"words\",partition=\"3\",state=\"running\"} 1");
        line("ovation_task_state{stage=\"words\",partition=\"3\",state=\"stopped\"} 0");
        line("ovation_task_restarts_total{stage=\"words\",partition=\"3\",reason=\"chain\"} 0");
        line("ovation_task_produce_duration_seconds_bucket{le=\"+Inf\",stage=\"words\",partition=\"3\"} 0");
        line("ovation_task_lag_records{stage=\"words\",partition=\"3\"} 30");
        line("ovation_task_result_seq{stage=\"words\",partition=\"3\"} 41");
        line("ovation_task_source_records_total{stage=\"words\",partition=\"3\"} 75");
        line("ovation_task_results_total{stage=\"words\",partition=\"3\"} 40");
        line("ovation_task_result_bytes_total{stage=\"words\",partition=\"3\"} 9000");
        line("ovation_task_rejects_total{stage=\"words\",partition=\"3\"} 5");
        line("ovation_task_checkpoint_age_seconds{stage=\"words\",partition=\"3\"} 2.5");
        line("ovation_task_watermark_lag_seconds{stage=\"busy\",partition=\"0\"} 4.0");
        let absent = |name: &str| assert!(!text.contains(name), "nothing is known of it:\n{text}");
        absent("ovation_task_watermark_ms{stage=\"words\"");
        absent("ovation_task_watermark_lag_seconds{stage=\"words\"");
        absent("ovation_task_checkpoint_age_seconds{stage=\"busy\"");
        assert!(text.ends_with("# EOF\n"));
    }
}
