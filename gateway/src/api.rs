//! The OpenAPI document: made of the handlers and the types, with the limits that are in force.

use std::collections::BTreeSet;

use ovation_reaction::TIME_MS_MAX;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::config::Config;
use crate::{feed, history, observe, pipeline, problem, wire};

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ovation",
        description = "Live audience reactions: emoji in, exact window counts out.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "reactions", description = "The way in."),
        (name = "rooms", description = "What the crowd does: snapshots, and the feed."),
        (name = "operation", description = "How the gateway is doing."),
    ),
    components(schemas(wire::FeedMessage, wire::ClientMessage)),
    modifiers(&Bearer),
    security((), ("token" = [])),
)]
pub(crate) struct Document;

/// Tokens, where the gateway has keys.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".into());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// A limit in force: its name, its value, its unit, what it bounds.
type Limit = (&'static str, u64, &'static str, &'static str);

/// The limits of both ways.
fn limits(config: &Config) -> Vec<Limit> {
    let (ingest, event) = (&config.ingest, &config.ingest.rules.limits);
    let history = &config.history;
    let seconds = |time: std::time::Duration| time.as_secs();
    vec![
        ("count-max", event.count_max, "taps", "`count` of a reaction"),
        ("room-bytes-max", event.room_bytes_max as u64, "bytes", "a room's name"),
        ("user-bytes-max", event.user_bytes_max as u64, "bytes", "`user`"),
        ("id-bytes-max", event.id_bytes_max as u64, "bytes", "`id` and `Idempotency-Key`"),
        ("event-bytes-max", event.event_bytes_max as u64, "bytes", "a reaction as it is stored"),
        ("ingest-skew", ingest.skew.as_millis() as u64, "ms", "how far `ts` may be from the gateway's clock"),
        ("time-max", TIME_MS_MAX as u64, "ms since 1970", "the last time that is one"),
        (
            "body-bytes-max",
            ingest.body_bytes_max as u64,
            "bytes",
            "a body with one reaction, also after decompression",
        ),
        ("batch-bytes-max", ingest.batch_bytes_max as u64, "bytes", "a batch as it is sent"),
        (
            "batch-inflated-bytes-max",
            ingest.batch_inflated_bytes_max as u64,
            "bytes",
            "a batch after decompression",
        ),
        ("batch-items-max", ingest.batch_items_max as u64, "reactions", "a batch"),
        ("json-depth-max", ingest.json_depth_max as u64, "levels", "arrays and objects within each other"),
        ("body-timeout", seconds(ingest.body_timeout), "s", "until a body has arrived"),
        ("message-bytes-max", config.message_limit as u64, "bytes", "a message on the feed"),
        (
            "produce-deadline",
            seconds(ingest.produce_deadline),
            "s",
            "until the broker has acknowledged a reaction",
        ),
        (
            "history-range-max",
            seconds(history.range_max),
            "s",
            "from `from` to `to` of a history, and a step",
        ),
        (
            "history-windows-max",
            history.windows_max.into(),
            "records",
            "an answer with history; more begin at its `next`",
        ),
        (
            "history-records-max",
            history.records_max,
            "records",
            "what one answer with history reads of the topic",
        ),
        (
            "history-moments-max",
            history.moments_max.into(),
            "moments",
            "an answer with moments; more begin at its `next`",
        ),
        (
            "history-moments-records-max",
            history.moments_records_max.into(),
            "records",
            "what one answer with moments reads of the end of their topic",
        ),
        ("history-deadline", seconds(history.deadline), "s", "for how long it reads"),
        (
            "history-requests-max",
            history.requests_max as u64,
            "requests",
            "histories that are read at a time",
        ),
        ("dedup-horizon", seconds(ingest.dedup_horizon), "s", "for how long an id counts once"),
        ("feed-clients-max", config.clients_max as u64, "clients", "feeds at a time"),
        ("feed-rooms-max", feed::ROOMS_PER_FEED_MAX as u64, "rooms", "named in one feed"),
        ("feed-every-min", feed::EVERY_MIN.as_millis() as u64, "ms", "the shortest `every`"),
        ("feed-every-max", feed::EVERY_MAX.as_millis() as u64, "ms", "the longest `every`"),
        (
            "feed-write-timeout",
            seconds(config.write_timeout),
            "s",
            "until a client has to take what waits for it",
        ),
    ]
}

/// The document as JSON. `routes` is what the router found.
pub(crate) fn document(
    routes: utoipa::openapi::OpenApi,
    config: &Config,
) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(routes)?;
    let event = &config.ingest.rules.limits;
    // The types say the defaults; these are the limits in force.
    let schemas = &mut document["components"]["schemas"];
    for name in ["Reaction", "React"] {
        let properties = &mut schemas[name]["properties"];
        properties["count"]["maximum"] = event.count_max.into();
        properties["user"]["maxLength"] = event.user_bytes_max.into();
        properties["id"]["maxLength"] = event.id_bytes_max.into();
    }
    schemas["Reaction"]["properties"]["room"]["maxLength"] = event.room_bytes_max.into();
    let types: Vec<String> =
        problem::ALL.iter().map(|kind| format!("{}{}", problem::TYPE_PREFIX, kind.name)).collect();
    schemas["Problem"]["properties"]["type"]["enum"] = json!(types.iter().collect::<BTreeSet<&String>>());
    describe_headers(&mut document, event.id_bytes_max);
    for (path, operation) in operations(&mut document) {
        let most = match path.as_str() {
            history::ROUTE => config.history.windows_max,
            history::moments::ROUTE => config.history.moments_max,
            _ => continue,
        };
        let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
        for limit in parameters.filter(|parameter| parameter["name"] == "limit") {
            limit["schema"]["maximum"] = most.into();
        }
    }
    if config.access.keys.is_some() {
        require_tokens(&mut document);
    }
    document["x-limits"] = limits(config)
        .into_iter()
        .map(|(name, value, unit, about)| json!({ "name": name, "value": value, "unit": unit, "about": about }))
        .collect();
    document["x-problems"] = problem::ALL
        .iter()
        .zip(types)
        .map(|(kind, name)| json!({ "type": name, "status": kind.status, "title": kind.title, "about": kind.about }))
        .collect();
    Ok(document)
}

/// The routes of a document, each with its operations.
fn operations(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        item.as_object_mut().into_iter().flatten().map(move |(_, operation)| (path, operation))
    })
}

/// Tells of the headers of requests and answers. What every answer has is said in one place, not at each handler.
fn describe_headers(document: &mut Value, id_bytes_max: usize) {
    let text = |about: &str| json!({ "description": about, "schema": { "type": "string", "minLength": 1 } });
    document["components"]["headers"] = json!({
        "Request-Id": {
            "description": "Yours, if it is short and plain, or a new one.",
            "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": observe::REQUEST_ID_BYTES_MAX },
        },
        "Retry-After": {
            "description": "Seconds to wait, where waiting helps.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "RateLimit": text("What is left in the tightest bucket; of answers to reactions."),
        "RateLimit-Policy": text("The buckets that a reaction is paid from; of answers to reactions."),
        "Allow": text("Methods of the path; with 405."),
        "WWW-Authenticate": text("What is wrong with the token; with 401."),
    });
    let every: &[(&str, &str)] = &[("X-Request-Id", "Request-Id")];
    let limits = [("RateLimit", "RateLimit"), ("RateLimit-Policy", "RateLimit-Policy")];
    let problem =
        [("Retry-After", "Retry-After"), ("Allow", "Allow"), ("WWW-Authenticate", "WWW-Authenticate")];
    for (_, operation) in operations(document) {
        let takes_reactions = operation.get("requestBody").is_some();
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["name"] == "Idempotency-Key" {
                parameter["schema"]["maxLength"] = id_bytes_max.into();
            }
        }
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let limits = if takes_reactions { &limits[..] } else { &[] };
            let problem = if status == "default" { &problem[..] } else { &[] };
            for (name, header) in [every, limits, problem].concat() {
                response["headers"][name] = json!({ "$ref": format!("#/components/headers/{header}") });
            }
        }
    }
}

/// Nobody may do anything without a token, but look at how the gateway is doing, and begin a feed: its token may be the first
/// message.
fn require_tokens(document: &mut Value) {
    document["security"] = json!([{ "token": [] }]);
    for (path, operation) in operations(document) {
        if operation["tags"] == json!(["operation"]) && path != pipeline::ROUTE {
            operation["security"] = json!([]);
        } else if path.ends_with("/feed") {
            operation["security"] = json!([{}, { "token": [] }]);
        }
    }
}
