//! What operators ask, beside `/healthz` and `/readyz`: numbers, and admin calls. They belong on an address that the crowd
//! cannot reach.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::access::{Action, token_in};
use crate::problem::Problem;
use crate::room::Room;
use crate::rooms::admin;
use crate::{App, health, observe, pipeline};

/// Who an admin is in the log and in settings where the token names nobody.
const NAMELESS: &str = "admin";

/// The routes of an address for operators alone.
pub(crate) fn router(app: &Arc<App>) -> Router {
    routes(app)
        .route("/v1/pipeline", get(pipeline::get_for_operators))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .with_state(Arc::clone(app))
}

/// The routes that the public address has only where the crowd cannot reach it.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let asked = Arc::clone(app);
    let may = move |headers: &HeaderMap, room: Option<&Room>| may_admin(&asked, headers, room);
    Router::new()
        .route("/metrics", get(health::get_metrics))
        .merge(admin::router(Arc::clone(&app.rooms), Arc::new(may)).with_state(()))
}

/// Who calls, if the caller is an admin of this room, or of all where none is given. Never without a token: any page in a
/// browser on this machine could call, too.
fn may_admin(app: &App, headers: &HeaderMap, room: Option<&Room>) -> Result<String, Problem> {
    if !app.access.needs_token() {
        return Err(Problem::admin_needs_keys());
    }
    let grant = app.access.grant_of(token_in(headers))?;
    match room {
        Some(room) => grant.may(Action::Admin, room.as_str())?,
        None => grant.allows(Action::Admin)?,
    }
    Ok(grant.user().unwrap_or(NAMELESS).to_owned())
}
