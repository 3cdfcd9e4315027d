//! What is seen of each request: its id, a line in the log, its place in the metrics.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower::{Layer as _, ServiceExt as _};

use crate::problem::{Kind, Problem};
use crate::{App, accept, feed, history};

/// Name of the header, in requests and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client or a proxy, in bytes.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;

/// Below it every answer is JSON, but for history, which is CSV as well.
const API: &str = "/v1/";

/// Gives ids to requests: the process's start and a number.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    /// Begins to count.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { prefix: format!("{:x}", since.as_micros()), next: AtomicU64::new(1) }
    }

    /// The id that the request brings, if it is short and plain; else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let brought = headers.get(REQUEST_ID).filter(|id| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
        });
        brought.cloned().unwrap_or_else(|| {
            let mut id = String::with_capacity(self.prefix.len() + 8);
            // Writing to a String does not fail.
            let _ = write!(id, "{}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
            HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
        })
    }
}

/// Around every route of the operators.
pub(crate) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    seen(&app, request, async |request| next.run(request).await).await
}

/// Around every route of the public address. One layer for all that comes before a route: each one costs every request a few
/// allocations.
pub(crate) async fn enter(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    seen(&app, request, async |request| {
        if let Err(problem) = app.access.check_page(request.headers(), request.uri()) {
            return problem.into_response();
        }
        if request.uri().path().starts_with(API) && !takes_answer(&request) {
            return Problem::not_acceptable().into_response();
        }
        match request.headers().contains_key(header::ORIGIN) {
            // Boxed, so that it takes no space in the requests of all others.
            true => {
                let answer = Box::pin(app.cors.layer(next).oneshot(request)).await;
                answer.unwrap_or_else(|never| match never {})
            }
            false => next.run(request).await,
        }
    })
    .await
}

/// Whether the client takes what the interface answers.
fn takes_answer(request: &Request) -> bool {
    let headers = request.headers();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    accept::takes_json(headers)
        || ([history::ROUTE, history::moments::ROUTE].contains(&route) && accept::takes_csv(headers))
        || (feed::EVENT_ROUTES.contains(&route) && accept::takes_events(headers))
}

/// Has a request answered, and tells of it.
async fn seen(app: &App, request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let started = Instant::now();
    let id = app.request_ids.of(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let mut response = answer(request).await;
    let took = started.elapsed();
    let status = response.status();
    let problem = response.extensions().get::<&'static Kind>().map(|kind| kind.name);
    app.metrics.request(route, &method, status, took);
    // A line for each would be the gateway's main work: only what went wrong on this side is told unasked.
    let request_id = id.to_str().unwrap_or_default();
    let took_ms = took.as_secs_f64() * 1_000.0;
    if status.is_server_error() {
        let problem = problem.unwrap_or_default();
        tracing::info!(request_id, %method, route, status = status.as_u16(), problem, took_ms, "request failed");
    } else {
        let problem = problem.unwrap_or_default();
        tracing::debug!(request_id, %method, route, status = status.as_u16(), problem, took_ms, "request");
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_taken_over_and_anything_else_is_not() {
        let ids = RequestIds::new();
        let of = |id: &str| ids.of(&HeaderMap::from_iter([(REQUEST_ID, id.parse().expect("a header"))]));
        assert_eq!(of("edge-7:1.a_b"), "edge-7:1.a_b");
        for other in ["", "a b", "<script>", &"a".repeat(REQUEST_ID_BYTES_MAX + 1)] {
            let given = of(other);
            assert_ne!(given, other);
            assert!(given.to_str().is_ok_and(|id| id.len() > 8));
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }
}
