//! What `ovation top` shows, made of two looks at each process. No I/O.

use serde::Serialize;

use super::scrape::{Looks, Scrape, Spread, value};

/// Everything, as `--json` prints it. Rates are of the time between the looks; what is unknown is null.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct View {
    /// When, ms since 1970.
    pub(super) time: i64,
    pub(super) processes: Vec<Process>,
    /// None where no process is a gateway; likewise below.
    pub(super) way_in: Option<WayIn>,
    pub(super) broker: Option<Broker>,
    pub(super) tasks: Vec<Task>,
    pub(super) way_out: Option<WayOut>,
    pub(super) rejects: Vec<Rejected>,
    pub(super) topics: Vec<Topic>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Process {
    pub(super) url: String,
    pub(super) version: Option<String>,
    /// Why nothing is known of it.
    pub(super) error: Option<String>,
    pub(super) cpu_cores: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    /// Parts that are not ready.
    pub(super) not_ready: Vec<String>,
}

/// Times of an operation, in seconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct WayIn {
    pub(super) taps_per_s: f64,
    pub(super) accepted_per_s: f64,
    pub(super) duplicates_per_s: f64,
    pub(super) refused_per_s: f64,
    pub(super) requests_per_s: f64,
    pub(super) ack: Latency,
    pub(super) connections: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Broker {
    pub(super) appended_per_s: f64,
    pub(super) appended_bytes_per_s: f64,
    pub(super) produce: Latency,
    pub(super) streams: f64,
    pub(super) streamed_per_s: f64,
    pub(super) chain_records_per_s: f64,
    pub(super) chain: Latency,
    pub(super) fence_refusals_per_s: f64,
    pub(super) storage_errors: f64,
    pub(super) connections: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Task {
    /// Which of the processes it runs in, from 0.
    pub(super) process: usize,
    pub(super) stage: String,
    pub(super) partition: String,
    pub(super) state: String,
    pub(super) role: &'static str,
    pub(super) ready: bool,
    pub(super) records_per_s: f64,
    pub(super) results_per_s: f64,
    pub(super) lag_records: f64,
    pub(super) watermark_lag_s: Option<f64>,
    pub(super) checkpoint_age_s: Option<f64>,
    pub(super) produce: Latency,
    pub(super) restarts: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct WayOut {
    pub(super) clients: f64,
    pub(super) clients_max: f64,
    pub(super) deliveries_per_s: f64,
    pub(super) behind_per_s: f64,
    pub(super) skipped_per_s: f64,
    pub(super) rooms: f64,
    pub(super) delay: Latency,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Rejected {
    pub(super) reason: String,
    pub(super) total: f64,
    pub(super) per_s: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Topic {
    pub(super) topic: String,
    pub(super) appended_per_s: f64,
    pub(super) appended_bytes_per_s: f64,
    pub(super) streams: f64,
    pub(super) streamed_per_s: f64,
    pub(super) chain_records_per_s: f64,
    pub(super) records: f64,
    pub(super) bytes: f64,
    pub(super) fence_refusals: f64,
}

/// What one look at a process has brought.
pub(super) type Look = Result<Scrape, String>;

/// Makes the view of what was seen before and now, in the order of the addresses.
pub(super) fn view(urls: &[String], before: &[Look], now: &[Look], seconds: f64, time: i64) -> View {
    let mut view = View { time, ..View::default() };
    // Of each process that was seen twice.
    let mut seen = Vec::new();
    for (place, (url, look)) in urls.iter().zip(now).enumerate() {
        let mut process = Process { url: url.clone(), ..Process::default() };
        match (before.get(place), look) {
            (_, Err(error)) => process.error = Some(error.clone()),
            (Some(Ok(before)), Ok(now)) => {
                let looks = Looks { before, now, seconds };
                process.describe(&looks);
                seen.push((place, looks));
            }
            (_, Ok(_)) => process.error = Some("seen for the first time".to_owned()),
        }
        view.processes.push(process);
    }
    let all: Vec<Looks<'_>> = seen.iter().map(|(_, looks)| *looks).collect();
    let of = |name: &str| all.iter().filter(|looks| looks.now.has(name)).copied().collect::<Vec<_>>();
    let gateways = of("ovation_hub_rooms");
    view.way_in = (!gateways.is_empty()).then(|| WayIn::of(&gateways));
    view.way_out = (!gateways.is_empty()).then(|| WayOut::of(&gateways));
    let brokers = of("ovation_broker_connections_open");
    view.broker = (!brokers.is_empty()).then(|| Broker::of(&brokers));
    view.topics = topics(&brokers);
    view.rejects = rejects(&gateways);
    view.tasks = seen.iter().flat_map(|(place, looks)| tasks(*place, looks)).collect();
    view
}

impl Process {
    fn describe(&mut self, looks: &Looks<'_>) {
        let now = looks.now;
        self.version = now.values_of("ovation_build_info", "version").pop();
        let cpu = "process_cpu_seconds_total";
        self.cpu_cores = now.has(cpu).then(|| looks.rate(cpu, &[]));
        self.resident_bytes = now.sum("process_resident_memory_bytes", &[]);
        let waiting = now.series("ovation_part_ready").filter(|(_, ready)| *ready == 0.0);
        self.not_ready = waiting.filter_map(|(labels, _)| value(labels, "part").map(str::to_owned)).collect();
        self.not_ready.sort();
    }
}

fn rate(all: &[Looks<'_>], name: &str, wanted: &[(&str, &str)]) -> f64 {
    all.iter().map(|looks| looks.rate(name, wanted)).sum()
}

fn sum(all: &[Looks<'_>], name: &str, wanted: &[(&str, &str)]) -> f64 {
    all.iter().filter_map(|looks| looks.now.sum(name, wanted)).sum()
}

fn latency(all: &[Looks<'_>], name: &str, wanted: &[(&str, &str)]) -> Latency {
    let mut spread = Spread::default();
    for looks in all {
        spread.add(&looks.spread(name, wanted));
    }
    Latency { p50: spread.quantile(0.5), p99: spread.quantile(0.99) }
}

impl WayIn {
    fn of(gateways: &[Looks<'_>]) -> Self {
        let reactions = |wanted: &[(&str, &str)]| rate(gateways, "ovation_reactions_total", wanted);
        let (accepted, duplicates) =
            (reactions(&[("outcome", "accepted")]), reactions(&[("outcome", "duplicate")]));
        Self {
            taps_per_s: rate(gateways, "ovation_taps_total", &[]),
            accepted_per_s: accepted,
            duplicates_per_s: duplicates,
            refused_per_s: (reactions(&[]) - accepted - duplicates).max(0.0),
            requests_per_s: rate(gateways, "ovation_http_requests_total", &[]),
            ack: latency(gateways, "ovation_ack_duration_seconds", &[]),
            connections: sum(gateways, "ovation_connections_open", &[]),
        }
    }
}

impl WayOut {
    fn of(gateways: &[Looks<'_>]) -> Self {
        let behind = rate(gateways, "ovation_feed_updates_read_total", &[]);
        Self {
            clients: sum(gateways, "ovation_feed_clients", &[]),
            clients_max: sum(gateways, "ovation_feed_clients_max", &[]),
            deliveries_per_s: rate(gateways, "ovation_feed_updates_pushed_total", &[]) + behind,
            behind_per_s: behind,
            skipped_per_s: rate(gateways, "ovation_feed_updates_skipped_total", &[]),
            rooms: sum(gateways, "ovation_hub_rooms", &[]),
            delay: latency(gateways, "ovation_reader_delay_seconds", &[("reader", "hub")]),
        }
    }
}

impl Broker {
    fn of(brokers: &[Looks<'_>]) -> Self {
        Self {
            appended_per_s: rate(brokers, "ovation_broker_appended_records_total", &[]),
            appended_bytes_per_s: rate(brokers, "ovation_broker_appended_bytes_total", &[]),
            produce: latency(brokers, "ovation_broker_produce_duration_seconds", &[]),
            streams: sum(brokers, "ovation_broker_streams_open", &[]),
            streamed_per_s: rate(brokers, "ovation_broker_streamed_records_total", &[]),
            chain_records_per_s: rate(brokers, "ovation_broker_chain_records_total", &[]),
            chain: latency(brokers, "ovation_broker_chain_duration_seconds", &[]),
            fence_refusals_per_s: rate(brokers, "ovation_broker_fence_refusals_total", &[]),
            storage_errors: sum(brokers, "ovation_broker_storage_errors_total", &[]),
            connections: sum(brokers, "ovation_broker_connections_open", &[]),
        }
    }
}

fn topics(brokers: &[Looks<'_>]) -> Vec<Topic> {
    let mut names: Vec<String> =
        brokers.iter().flat_map(|looks| looks.now.values_of("ovation_broker_topic_bytes", "topic")).collect();
    names.sort();
    names.dedup();
    let topic = |name: String| {
        let wanted = [("topic", name.as_str())];
        let grown = |series: &str| rate(brokers, series, &wanted);
        let held = |series: &str| sum(brokers, series, &wanted);
        Topic {
            appended_per_s: grown("ovation_broker_appended_records_total"),
            appended_bytes_per_s: grown("ovation_broker_appended_bytes_total"),
            streams: held("ovation_broker_streams_open"),
            streamed_per_s: grown("ovation_broker_streamed_records_total"),
            chain_records_per_s: grown("ovation_broker_chain_records_total"),
            records: held("ovation_broker_topic_records"),
            bytes: held("ovation_broker_topic_bytes"),
            fence_refusals: held("ovation_broker_fence_refusals_total"),
            topic: name,
        }
    };
    names.into_iter().map(topic).collect()
}

/// Every gateway reads every letter: the one that has seen most tells.
fn rejects(gateways: &[Looks<'_>]) -> Vec<Rejected> {
    const NAME: &str = "ovation_rejects_total";
    let total = |looks: &Looks<'_>| looks.now.sum(NAME, &[]).unwrap_or(0.0);
    let Some(looks) = gateways.iter().max_by(|one, two| total(one).total_cmp(&total(two))) else {
        return Vec::new();
    };
    let reasons = looks.now.values_of(NAME, "reason").into_iter();
    let mut rejects: Vec<_> = reasons
        .map(|reason| {
            let wanted = [("reason", reason.as_str())];
            let (total, per_s) = (looks.now.sum(NAME, &wanted).unwrap_or(0.0), looks.rate(NAME, &wanted));
            Rejected { total, per_s, reason }
        })
        .collect();
    rejects.sort_by(|one, two| two.total.total_cmp(&one.total));
    rejects
}

fn tasks(process: usize, looks: &Looks<'_>) -> Vec<Task> {
    let now = looks.now;
    let mut tasks = Vec::new();
    for (labels, _) in now.series("ovation_task_ready") {
        let (Some(stage), Some(partition)) = (value(labels, "stage"), value(labels, "partition")) else {
            continue;
        };
        let wanted = [("stage", stage), ("partition", partition)];
        let number = |name: &str| now.sum(name, &wanted);
        let is = |name: &str| number(name) == Some(1.0);
        let state = now.series("ovation_task_state").find(|(labels, value_now)| {
            *value_now == 1.0 && wanted.iter().all(|(name, is)| value(labels, name) == Some(*is))
        });
        tasks.push(Task {
            process,
            stage: stage.to_owned(),
            partition: partition.to_owned(),
            state: state.and_then(|(labels, _)| value(labels, "state")).unwrap_or("unknown").to_owned(),
            role: if is("ovation_task_active") { "active" } else { "standby" },
            ready: is("ovation_task_ready"),
            records_per_s: looks.rate("ovation_task_source_records_total", &wanted),
            results_per_s: looks.rate("ovation_task_results_total", &wanted),
            lag_records: number("ovation_task_lag_records").unwrap_or(0.0),
            watermark_lag_s: number("ovation_task_watermark_lag_seconds"),
            checkpoint_age_s: number("ovation_task_checkpoint_age_seconds"),
            produce: latency(&[*looks], "ovation_task_produce_duration_seconds", &wanted),
            restarts: number("ovation_task_restarts_total").unwrap_or(0.0),
        });
    }
    let place = |task: &Task| task.partition.parse::<u64>().unwrap_or(u64::MAX);
    tasks.sort_by(|one, two| (&one.stage, place(one)).cmp(&(&two.stage, place(two))));
    tasks
}
