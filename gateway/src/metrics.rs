//! What the gateway counts. Names and labels are bounded: routes, methods and kinds of problems are known beforehand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::follow::standing;
use crate::ingest::Taken;
use crate::problem::Problem;
use crate::{App, health};

/// First upper bound of the latency histogram.
const LATENCY_LEAST_SECONDS: f64 = 0.0005;
/// How many there are, each twice the one before: up to 8 s.
const LATENCY_BUCKETS: u16 = 15;

/// Counters of the gateway. Cheap to share.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabel, Histogram, fn() -> Histogram>,
    reactions: Family<ReactionLabels, Counter>,
    /// Those of `reactions` that every request needs, by way.
    accepted: [Counter; Way::ALL.len()],
    duplicates: [Counter; Way::ALL.len()],
    taps: Counter,
    acks: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// Path as the router knows it, or `other`.
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReactionLabels {
    way: &'static str,
    /// `accepted`, `duplicate`, or the kind of the problem.
    outcome: &'static str,
}

/// The way by which a reaction came in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// One in a request.
    One,
    /// Many in a request.
    Many,
    /// A message on the feed's socket.
    Feed,
}

impl Way {
    const ALL: [Self; 3] = [Self::One, Self::Many, Self::Feed];

    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Many => "many",
            Self::Feed => "feed",
        }
    }
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let latency = || Histogram::new(exponential_buckets(LATENCY_LEAST_SECONDS, 2.0, LATENCY_BUCKETS));
        let reactions = Family::<ReactionLabels, Counter>::default();
        let of = |outcome| {
            Way::ALL.map(|way| reactions.get_or_create_owned(&ReactionLabels { way: way.name(), outcome }))
        };
        Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(latency),
            accepted: of("accepted"),
            duplicates: of("duplicate"),
            reactions,
            taps: Counter::default(),
            acks: latency(),
        }
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let labels =
            RequestLabels { route: route.to_owned(), method: method_name(method), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.latency.get_or_create(&RouteLabel { route: labels.route }).observe(took.as_secs_f64());
    }

    /// Counts a reaction that is answered; `taps` are its taps.
    pub(crate) fn reaction(&self, way: Way, taps: u64, outcome: &Result<Taken, Problem>) {
        match outcome {
            Ok(taken) if taken.is_duplicate => self.duplicates[way as usize].inc(),
            Ok(_) => {
                self.taps.inc_by(taps);
                self.accepted[way as usize].inc()
            }
            Err(problem) => {
                let labels = ReactionLabels { way: way.name(), outcome: problem.kind().name };
                self.reactions.get_or_create(&labels).inc()
            }
        };
    }

    /// The broker has acknowledged what a request or a message brought.
    pub(crate) fn acknowledged(&self, took: Duration) {
        self.acks.observe(took.as_secs_f64());
    }

    /// Reactions that were accepted since the start, and their taps.
    pub(crate) fn accepted(&self) -> (u64, u64) {
        (self.accepted.iter().map(Counter::get).sum(), self.taps.get())
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("ovation_http_requests", "Answered requests", self.requests.clone());
        registry.register_with_unit(
            "ovation_http_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register_with_unit(
            "ovation_ack_duration",
            "Time from checked reactions to the broker's acknowledgement, one for each request or message",
            Unit::Seconds,
            self.acks.clone(),
        );
        registry.register("ovation_reactions", "Reactions that were answered", self.reactions.clone());
        registry.register("ovation_taps", "Taps of the reactions that were accepted", self.taps.clone());
    }
}

/// Methods that no route has are one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The whole exposition: the gateway's own numbers, and what the process adds.
pub(crate) fn exposition(app: &App) -> String {
    let mut registry = Registry::default();
    app.metrics.register(&mut registry);
    app.feed_metrics.register(&mut registry);
    app.pipeline.rejects.register(&mut registry);
    standing::register(&mut registry, &[&app.standing, &app.moments, &app.pipeline.standing]);
    let mut parts = app.parts();
    parts.extend((app.hooks.readiness)());
    health::register(&mut registry, &parts);
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("ovation_recent_ids", "Ids that are known again", app.store.recent_ids());
    let feeds = app.config.clients_max.saturating_sub(app.seats.available_permits());
    gauge("ovation_feed_clients", "Clients of feeds", feeds);
    gauge("ovation_feed_clients_max", "Clients that it takes at most", app.config.clients_max);
    gauge("ovation_hub_rooms", "Rooms that the hub knows", app.hub.rooms_known());
    let counts = &app.connections;
    let now = |counter: &AtomicU64| usize::try_from(counter.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    gauge("ovation_connections_open", "HTTP connections, without those that became feeds", now(&counts.open));
    gauge("ovation_connections_parked", "Of these, idle ones that hold no buffers", now(&counts.parked));
    let mut counter = |name: &str, help: &str, value: &AtomicU64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value.load(Ordering::Relaxed));
        registry.register(name, help, counter);
    };
    counter("ovation_connections_accepted", "Connections since the start", &counts.accepted);
    counter(
        "ovation_connections_refused",
        "Closed at once: their address had its share",
        &counts.refused_per_address,
    );
    counter("ovation_connections_yielded", "Closed to make room for others", &counts.closed_under_pressure);
    counter("ovation_connections_unread", "Cut: the client did not read its answers", &counts.write_timeouts);
    counter("ovation_connections_unheard", "Cut: a request's head did not come", &counts.header_timeouts);
    (app.hooks.metrics)(&mut registry);
    text(&registry)
}

/// OpenMetrics text.
pub(crate) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into memory cannot fail.
    let _ = encode(&mut text, registry);
    text
}

#[cfg(test)]
mod tests {
    use ovation_client::Stored;

    use super::*;

    #[test]
    fn requests_and_reactions_are_told_apart_by_bounded_labels() {
        let metrics = Metrics::new();
        let post = |status| {
            metrics.request("/v1/reactions", &Method::POST, status, Duration::from_millis(3));
        };
        post(StatusCode::OK);
        post(StatusCode::OK);
        post(StatusCode::SERVICE_UNAVAILABLE);
        metrics.request(
            "other",
            &Method::from_bytes(b"BREW").expect("a method"),
            StatusCode::NOT_FOUND,
            Duration::ZERO,
        );
        let place = Stored { partition: 0, offset: 0 };
        let taken = |is_duplicate| Ok(Taken { id: "x".into(), place, is_duplicate });
        metrics.reaction(Way::Many, 7, &taken(false));
        metrics.reaction(Way::Feed, 5, &taken(true));
        metrics.reaction(Way::One, 1, &Err(Problem::malformed("x")));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let text = text(&registry);
        for line in [
            r#"ovation_http_requests_total{route="/v1/reactions",method="POST",status="200"} 2"#,
            r#"ovation_http_requests_total{route="/v1/reactions",method="POST",status="503"} 1"#,
            r#"ovation_http_requests_total{route="other",method="other",status="404"} 1"#,
            r#"ovation_http_request_duration_seconds_bucket{le="0.004",route="/v1/reactions"} 3"#,
            r#"ovation_reactions_total{way="many",outcome="accepted"} 1"#,
            r#"ovation_reactions_total{way="feed",outcome="duplicate"} 1"#,
            r#"ovation_reactions_total{way="one",outcome="malformed"} 1"#,
            "ovation_taps_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
