//! The pages: files in the binary; they get everything else from the API.

use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::App;
use crate::access::Access;
use crate::asset::Asset;
use crate::problem::Problem;
use crate::room::Room;

/// Nothing but the gateway's own files, no inline script or style. A page may be framed by its own origin only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// What a room's page says instead: a stream's own page may show it in a frame.
fn framed_policy(access: &Access) -> HeaderValue {
    let policy = CONTENT_SECURITY_POLICY
        .replace("frame-ancestors 'self'", &format!("frame-ancestors {}", access.frame_ancestors()));
    // Origins are letters, digits and a few signs.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(CONTENT_SECURITY_POLICY))
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TYPES: &str = "application/typescript; charset=utf-8";

/// The client, its types and the element: pages of any origin may load them.
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

/// What `gateway/web` is built into: names relative to `dist`, and contents.
static BUILT: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// A page's text.
///
/// # Panics
///
/// If there is no such page: then the binary was built without it, which every start shows.
fn built(name: &str) -> &'static [u8] {
    let found = BUILT.iter().find(|(file, _)| *file == name);
    found.map(|(_, text)| *text).unwrap_or_else(|| panic!("the page {name} is not in this binary"))
}

/// Scripts and styles of the built pages.
fn built_assets() -> Router<Arc<App>> {
    let files = BUILT.iter().filter_map(|(name, text)| Some((*name, kind_of(name)?, *text)));
    files.fold(Router::new(), |router, (name, kind, text)| {
        let file = Arc::new(Asset::named_after_content(kind, text));
        router.route(&format!("/{name}"), get(async move |headers: HeaderMap| (PAGE, file.answer(&headers))))
    })
}

/// The type of a file that pages load, by its name.
fn kind_of(name: &str) -> Option<&'static str> {
    let (_, ending) = name.strip_prefix("assets/")?.rsplit_once('.')?;
    match ending {
        "css" => Some(CSS),
        "js" => Some(SCRIPT),
        "svg" => Some(SVG),
        _ => None,
    }
}

/// The pages and what they load.
pub(crate) fn router(access: &Access) -> Router<Arc<App>> {
    let asset = |kind, text: &'static str| {
        let file = Arc::new(Asset::new(kind, text));
        get(async move |headers: HeaderMap| (PAGE, file.answer(&headers)))
    };
    let shared = |kind, text: &'static [u8]| {
        let file = Arc::new(Asset::new(kind, text));
        get(async move |headers: HeaderMap| (PAGE, SHARED, file.answer(&headers)))
    };
    let (reactions, picker) = (built("ovation-reactions.js"), built("ovation-picker.js"));
    let built = |name| Arc::new(Asset::new(HTML, built(name)));
    let dashboard = built("dashboard.html");
    // The pages read the room's name from their own address.
    let room_page = |name| {
        let (page, policy) = (built(name), [(header::CONTENT_SECURITY_POLICY, framed_policy(access))]);
        get(async move |_: Room, headers: HeaderMap| (PAGE, policy.clone(), page.answer(&headers)))
    };
    Router::new()
        .route("/", get(async move |choice, headers: HeaderMap| front(&dashboard, choice, &headers)))
        .route("/r/{room}", room_page("react.html"))
        .route("/s/{room}", room_page("stage.html"))
        .merge(built_assets())
        .route("/assets/page.css", asset(CSS, include_str!("../web/src/lib/page.css")))
        .route("/assets/icon.svg", asset(SVG, include_str!("../web/icon.svg")))
        .route("/docs", asset(HTML, include_str!("../web/docs.html")))
        .route("/assets/docs.css", asset(CSS, include_str!("../web/docs.css")))
        .route("/assets/docs.js", asset(SCRIPT, include_str!("../web/docs.js")))
        .route("/ovation.js", shared(SCRIPT, include_bytes!("../web/ovation.js")))
        .route("/ovation.d.ts", shared(TYPES, include_bytes!("../web/ovation.d.ts")))
        .route("/ovation-api.d.ts", shared(TYPES, include_bytes!("../web/ovation-api.d.ts")))
        // The element for other pages, and the picker that it loads when somebody asks for it.
        .route("/ovation-reactions.js", shared(SCRIPT, reactions))
        .route("/ovation-picker.js", shared(SCRIPT, picker))
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
