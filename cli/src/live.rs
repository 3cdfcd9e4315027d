//! What a running engine is doing, from two looks at its `/metrics`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::failure::Failure;
use crate::openmetrics::Sample;

/// Between the two looks that rates come from.
const INTERVAL: Duration = Duration::from_secs(1);
/// For one look, from the connection to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes that one answer may have.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What one stage is doing, over all of its tasks in that process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveStage {
    /// Name of the stage.
    pub(crate) stage: String,
    /// How many tasks it has, one for each source partition.
    pub(crate) tasks: usize,
    /// How many of them are ready.
    pub(crate) ready: usize,
    /// The state that needs attention most among its tasks.
    pub(crate) state: String,
    /// `active`, `standby`, or `mixed` where it differs by partition.
    pub(crate) role: &'static str,
    /// Source records that its chains take a second.
    pub(crate) records_per_second: f64,
    /// Results that are stored a second, by this process or by another one.
    pub(crate) results_per_second: f64,
    /// Bytes of results that this process stores a second.
    pub(crate) bytes_per_second: f64,
    /// Source records that are not processed yet.
    pub(crate) lag_records: u64,
    /// How far the watermark is behind the clock, where that is most; none while no window is open.
    pub(crate) watermark_lag_seconds: Option<f64>,
    /// Windows that are not final.
    pub(crate) open_windows: u64,
    /// Age of the oldest of its tasks' last checkpoints; none before the first one.
    pub(crate) checkpoint_age_seconds: Option<f64>,
    /// Dead letters of the epoch.
    pub(crate) dead_letters: u64,
    /// Dead letters that are stored a second.
    pub(crate) dead_letters_per_second: f64,
    /// Starts after a failure.
    pub(crate) restarts: u64,
}

/// Looks twice at a running `ovation run` or `ovation engine --status`, a second apart.
pub(crate) async fn fetch(url: &str) -> Result<Vec<LiveStage>, Failure> {
    let target = Target::parse(url)?;
    let before = target.get().await?;
    let since = Instant::now();
    tokio::time::sleep(INTERVAL).await;
    let after = target.get().await?;
    let stages = compare(&before, &after, since.elapsed())
        .map_err(|error| Failure::Part(format!("understand {}: {error}", target.url)))?;
    if stages.is_empty() {
        return Err(Failure::Part(format!(
            "find an engine's numbers at {}: name the page of `ovation run`, or the status port of `ovation engine --status`",
            target.url
        )));
    }
    Ok(stages)
}

/// Where `/metrics` is.
pub(crate) struct Target {
    url: Uri,
    authority: String,
    port: u16,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = |why: &str| {
            Failure::Invalid(format!("failed to use {text:?}: {why}; name it like http://127.0.0.1:8080"))
        };
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Uri =
            whole.parse().map_err(|error: hyper::http::uri::InvalidUri| invalid(&error.to_string()))?;
        if url.scheme_str() != Some("http") {
            return Err(invalid("only plain http is spoken here"));
        }
        let authority = url.authority().ok_or_else(|| invalid("it has no host"))?.clone();
        let path = if url.path() == "/" { "/metrics" } else { url.path() };
        let url = format!("http://{authority}{path}")
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| invalid(&error.to_string()))?;
        Ok(Self { url, port: authority.port_u16().unwrap_or(80), authority: authority.to_string() })
    }

    /// The whole address.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    pub(crate) async fn get(&self) -> Result<String, Failure> {
        let failed = |why: String| Failure::Part(format!("read {}: {why}", self.url));
        match tokio::time::timeout(DEADLINE, self.exchange()).await {
            Ok(answer) => answer.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {DEADLINE:?}"))),
        }
    }

    async fn exchange(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        // Brackets belong to an address of IPv6 in a URL alone.
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::get(self.url.path()).header(HOST, &self.authority).body(String::new())?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("it answered {}", answer.status()).into());
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok(String::from_utf8(body.to_bytes().into())?)
    }
}

/// One task's numbers by their names, and its state.
#[derive(Debug, Default)]
struct Numbers {
    values: BTreeMap<String, f64>,
    state: String,
}

/// By stage and partition.
type Tasks = BTreeMap<(String, String), Numbers>;

impl Numbers {
    fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    fn count(&self, name: &str) -> u64 {
        // Counts come as whole numbers that a float holds exactly.
        self.get(name).map_or(0, |value| value.max(0.0) as u64)
    }
}

/// What changed between two texts of `/metrics`.
fn compare(before: &str, after: &str, apart: Duration) -> Result<Vec<LiveStage>, String> {
    let (before, after) = (tasks(before)?, tasks(after)?);
    let mut stages: Vec<LiveStage> = Vec::new();
    for (place, now) in &after {
        let then = before.get(place);
        let one = task(&place.0, then, now, apart.as_secs_f64());
        match stages.last_mut().filter(|stage| stage.stage == place.0) {
            Some(stage) => stage.add(&one),
            None => stages.push(one),
        }
    }
    Ok(stages)
}

/// A stage of one task.
fn task(stage: &str, then: Option<&Numbers>, now: &Numbers, seconds: f64) -> LiveStage {
    // A number that has fallen began anew, with a process or an epoch; what it had before is not known.
    let rate = |name: &str| match (then.and_then(|then| then.get(name)), now.get(name)) {
        (Some(then), Some(now)) if now > then && seconds > 0.0 => (now - then) / seconds,
        _ => 0.0,
    };
    LiveStage {
        stage: stage.to_owned(),
        tasks: 1,
        ready: usize::from(now.count("ovation_task_ready") == 1),
        state: now.state.clone(),
        role: if now.count("ovation_task_active") == 1 { "active" } else { "standby" },
        records_per_second: rate("ovation_task_source_records_total"),
        // By their numbers: a standby knows them as well.
        results_per_second: rate("ovation_task_result_seq"),
        bytes_per_second: rate("ovation_task_result_bytes_total"),
        lag_records: now.count("ovation_task_lag_records"),
        watermark_lag_seconds: now.get("ovation_task_watermark_lag_seconds"),
        open_windows: now.count("ovation_task_open_windows"),
        checkpoint_age_seconds: now.get("ovation_task_checkpoint_age_seconds"),
        dead_letters: now.count("ovation_task_reject_seq"),
        dead_letters_per_second: rate("ovation_task_reject_seq"),
        restarts: now.count("ovation_task_restarts_total"),
    }
}

impl LiveStage {
    /// Takes another task of the same stage in.
    fn add(&mut self, other: &Self) {
        let larger = |one: Option<f64>, two: Option<f64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.max(two)),
            _ => one.or(two),
        };
        self.tasks += other.tasks;
        self.ready += other.ready;
        if urgency(&other.state) > urgency(&self.state) {
            self.state.clone_from(&other.state);
        }
        if self.role != other.role {
            self.role = "mixed";
        }
        self.records_per_second += other.records_per_second;
        self.results_per_second += other.results_per_second;
        self.bytes_per_second += other.bytes_per_second;
        self.lag_records += other.lag_records;
        self.watermark_lag_seconds = larger(self.watermark_lag_seconds, other.watermark_lag_seconds);
        self.open_windows += other.open_windows;
        self.checkpoint_age_seconds = larger(self.checkpoint_age_seconds, other.checkpoint_age_seconds);
        self.dead_letters += other.dead_letters;
        self.dead_letters_per_second += other.dead_letters_per_second;
        self.restarts += other.restarts;
    }
}

/// How much a state needs attention.
fn urgency(state: &str) -> usize {
    const ORDER: [&str; 5] = ["running", "finished", "starting", "waiting", "stopped"];
    ORDER.iter().position(|known| *known == state).unwrap_or(ORDER.len())
}

/// Every task of a text.
fn tasks(text: &str) -> Result<Tasks, String> {
    let mut tasks = Tasks::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let sample =
            Sample::parse(line).ok_or_else(|| format!("line {} is no sample: {line}", number + 1))?;
        let label =
            |name: &str| sample.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value);
        let (Some(stage), Some(partition)) = (label("stage"), label("partition")) else { continue };
        let task = tasks.entry((stage.clone(), partition.clone())).or_default();
        match label("state") {
            Some(state) if sample.value == 1.0 => task.state.clone_from(state),
            Some(_) => {}
            None => {
                // What is told by reason counts together here.
                *task.values.entry(sample.name.to_owned()).or_default() += sample.value;
            }
        }
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use ovation_topology::{TaskRole, TaskState, TaskStatus};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::metrics;

    fn running(partition: u32) -> TaskStatus {
        let mut task = TaskStatus::new("words", partition);
        (task.state, task.ready, task.epoch) = (TaskState::Running, true, 1);
        task
    }

    #[test]
    fn a_stage_adds_up_what_its_tasks_have_done_between_two_looks() {
        let mut tasks = vec![running(0), running(1), TaskStatus::new("other", 0)];
        let before = metrics::text(&tasks);
        (tasks[0].records, tasks[0].seq, tasks[0].result_bytes) = (300, 40, 8_000);
        (tasks[1].records, tasks[1].seq, tasks[1].reject_seq) = (100, 2, 4);
        (tasks[0].offset, tasks[0].high_watermark, tasks[0].open) = (300, 310, 2);
        tasks[1].open = 1;
        (tasks[1].state, tasks[1].role, tasks[1].ready) = (TaskState::Waiting, TaskRole::Standby, false);
        tasks[0].watermark = Some(0);
        let stages = compare(&before, &metrics::text(&tasks), Duration::from_secs(2)).expect("reads");
        let [other, words] = &stages[..] else { panic!("{stages:?}") };
        assert_eq!((other.stage.as_str(), other.state.as_str(), other.tasks), ("other", "starting", 1));
        assert!(words.watermark_lag_seconds.is_some_and(|lag| lag > 1e9), "{words:?}");
        let expected = LiveStage {
            stage: "words".to_owned(),
            tasks: 2,
            ready: 1,
            state: "waiting".to_owned(),
            role: "mixed",
            records_per_second: 200.0,
            results_per_second: 21.0,
            bytes_per_second: 4_000.0,
            lag_records: 10,
            watermark_lag_seconds: words.watermark_lag_seconds,
            open_windows: 3,
            checkpoint_age_seconds: None,
            dead_letters: 4,
            dead_letters_per_second: 2.0,
            restarts: 0,
        };
        assert_eq!(words, &expected);
    }

    #[test]
    fn a_number_that_began_anew_gives_no_rate() {
        let (mut then, mut now) = (running(0), running(0));
        (then.seq, then.records) = (500, 900);
        (now.seq, now.records) = (3, 950);
        let [stage] = &compare(&metrics::text(&[then]), &metrics::text(&[now]), INTERVAL).expect("reads")[..]
        else {
            panic!("one stage")
        };
        assert_eq!((stage.results_per_second, stage.records_per_second), (0.0, 50.0));
    }

    #[test]
    fn what_is_no_metrics_is_named() {
        assert!(compare("<html>", "", INTERVAL).expect_err("no metrics").contains("line 1"));
    }

    #[test]
    fn a_target_is_a_page_or_an_address() {
        let url = |text| {
            Target::parse(text).map(|target| target.url.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(url("http://127.0.0.1:8080"), Ok("http://127.0.0.1:8080/metrics".to_owned()));
        assert_eq!(url("localhost:9100"), Ok("http://localhost:9100/metrics".to_owned()));
        assert_eq!(url("http://[::1]:1/other"), Ok("http://[::1]:1/other".to_owned()));
        assert!(url("https://127.0.0.1").is_err_and(|error| error.contains("plain http")));
        assert!(url("http://").is_err());
    }

    /// Answers every request with the same bytes.
    async fn server(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(&answer).await;
            }
        });
        address.to_string()
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_running_process_is_asked_twice() {
        let here = server(answer("200 OK", &metrics::text(&[running(0)]))).await;
        let stages = fetch(&format!("http://{here}")).await.expect("answers");
        assert_eq!((stages[0].state.as_str(), stages[0].records_per_second), ("running", 0.0));
    }

    #[tokio::test]
    async fn what_is_no_engine_is_said() {
        let text = async |answer: Vec<u8>| fetch(&server(answer).await).await.expect_err("fails").to_string();
        assert!(text(answer("404 Not Found", "")).await.contains("it answered 404"));
        assert!(text(answer("200 OK", "# EOF\n")).await.contains("failed to find an engine's numbers"));
        let large = answer("200 OK", &"x".repeat(ANSWER_BYTES_MAX + 1));
        assert!(text(large).await.contains("length limit exceeded"));
        let gone = fetch("http://127.0.0.1:1").await.expect_err("nobody listens").to_string();
        assert!(gone.starts_with("failed to read http://127.0.0.1:1/metrics"), "{gone}");
    }
}
