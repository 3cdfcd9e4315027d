//! The pipeline, for operators: how fast reactions come in, where the stages stand, and what did not count.

pub(crate) mod fuzzing;
mod rates;
mod rejects;
mod stages;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use self::rates::Rates;
pub(crate) use self::rates::measure;
pub(crate) use self::rejects::LETTERS_TAIL;
use self::rejects::Rejects;
pub use self::stages::{StageStatus, TaskStatus};
use crate::access::{Action, token_in};
use crate::follow::standing::Standing;
use crate::ingest::now_ms;
use crate::problem::Problem;
use crate::{App, wire};

/// The route, as the router has it.
pub(crate) const ROUTE: &str = "/v1/pipeline";

/// What this gateway knows of the pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) rates: Rates,
    pub(crate) rejects: Arc<Rejects>,
    /// Of the topic with dead letters.
    pub(crate) standing: Arc<Standing>,
}

impl Pipeline {
    /// Nothing is known yet. `has_rejects` says whether there is a topic with dead letters by configuration.
    pub(crate) fn new(has_rejects: bool) -> Self {
        Self {
            rates: Rates::default(),
            rejects: Arc::new(Rejects::new(now_ms())),
            standing: Arc::new(Standing::optional("rejects", "dead-letter", has_rejects)),
        }
    }
}

/// How reactions get on, for operators.
///
/// Where the gateway has keys it takes a token with the action `admin`. Without keys it answers on an address that only operators or
/// this machine can reach.
#[utoipa::path(
    get,
    operation_id = "pipeline",
    path = "/v1/pipeline",
    tag = "operation",
    responses(
        (status = 200, description = "What this process knows.", body = wire::Pipeline),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    if !app.access.needs_token() && !app.config.operator_routes {
        return Err(Problem::operators_only());
    }
    get_for_operators(State(app), headers).await
}

/// The same on the operators' own address, which nobody else can reach.
pub(crate) async fn get_for_operators(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if app.access.needs_token() {
        app.access.grant_of(token_in(&headers))?.allows(Action::Admin)?;
    }
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((json, answer(&app)).into_response())
}

/// The object, as text: dead letters go out as they stand.
fn answer(app: &App) -> String {
    let Pipeline { rates, rejects, standing } = &app.pipeline;
    let rates = rates.now(app.metrics.accepted());
    // Numbers and texts always serialise.
    let ingest = serde_json::to_string(&rates).unwrap_or_default();
    let stages = serde_json::to_string(&(app.hooks.stages)()).unwrap_or_default();
    let rejects = if standing.is_found() { rejects.json() } else { "null".to_owned() };
    format!(r#"{{"time":{},"ingest":{ingest},"stages":{stages},"rejects":{rejects}}}"#, now_ms())
}

#[cfg(test)]
pub(crate) mod tests;
