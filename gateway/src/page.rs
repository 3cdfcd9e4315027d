//! The pages: plain files, embedded; they get everything else from the API.

use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::App;
use crate::asset::Asset;
use crate::problem::Problem;
use crate::room::Room;

/// Nothing but the gateway's own files, no inline script or style. A page may be framed by its own origin only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TYPES: &str = "application/typescript; charset=utf-8";

/// The client and its types: pages of any origin may load them.
const SHARED: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

/// What browsers are told of every file.
const PAGE: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
];

/// The pages and what they load.
pub(crate) fn router() -> Router<Arc<App>> {
    let asset = |kind, text: &'static str| {
        let file = Arc::new(Asset::new(kind, text));
        get(async move |headers: HeaderMap| (PAGE, file.answer(&headers)))
    };
    let shared = |kind, text: &'static str| {
        let file = Arc::new(Asset::new(kind, text));
        get(async move |headers: HeaderMap| (PAGE, SHARED, file.answer(&headers)))
    };
    let front_page = Arc::new(Asset::new(HTML, include_str!("../web/front.html")));
    let room_page = Arc::new(Asset::new(HTML, include_str!("../web/room.html")));
    Router::new()
        .route("/", get(async move |choice, headers: HeaderMap| front(&front_page, choice, &headers)))
        // The page reads the room's name from its own address.
        .route("/r/{room}", get(async move |_: Room, headers: HeaderMap| (PAGE, room_page.answer(&headers))))
        .route("/assets/page.css", asset(CSS, include_str!("../web/page.css")))
        .route("/assets/room.js", asset(SCRIPT, include_str!("../web/room.js")))
        .route("/assets/floats.js", asset(SCRIPT, include_str!("../web/floats.js")))
        .route("/assets/icon.svg", asset(SVG, include_str!("../web/icon.svg")))
        .route("/docs", asset(HTML, include_str!("../web/docs.html")))
        .route("/assets/docs.css", asset(CSS, include_str!("../web/docs.css")))
        .route("/assets/docs.js", asset(SCRIPT, include_str!("../web/docs.js")))
        .route("/ovation.js", shared(SCRIPT, include_str!("../web/ovation.js")))
        .route("/ovation.d.ts", shared(TYPES, include_str!("../web/ovation.d.ts")))
        .route("/ovation-api.d.ts", shared(TYPES, include_str!("../web/ovation-api.d.ts")))
}

#[derive(Deserialize)]
struct Choice {
    room: Option<String>,
}

/// `/`: choose a room; `/?room=NAME`, as its form sends it, leads there.
fn front(
    page: &Asset,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Query(choice) = choice.map_err(|error| Problem::bad_request(error.body_text()))?;
    match choice.room {
        None => Ok((PAGE, page.answer(headers)).into_response()),
        Some(name) => {
            let room = Room::named(name.trim())?;
            Ok(Redirect::to(&format!("/r/{}", room.as_str())).into_response())
        }
    }
}
