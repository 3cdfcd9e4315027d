//! What has to hold for all that strangers send, as functions of their bytes: for `gateway/fuzz`, and for the tests, which
//! give them damaged copies of `gateway/fuzz/seeds`. Each says whether something was taken, so that a test can tell
//! whether its seeds reach that far. No part of the crate's interface.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use ovation_client::Cluster;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

pub use crate::access::fuzzing::{keys, token};
pub use crate::feed::echo::echo;
pub use crate::feed::fuzzing::{choice, frames, message};
pub use crate::history::moments::fuzzing::moment;
pub use crate::hub::fuzzing::update;
pub use crate::ingest::fuzzing::{batch, body, reaction};
pub use crate::pipeline::fuzzing::letter;
pub use crate::rooms::fuzzing::{rules, settings};
pub use crate::server::fuzzing::preface;

use crate::cursor::Cursor;
use crate::network::{self, Network};
use crate::observe::{REQUEST_ID, RequestIds};
use crate::problem::Problem;
use crate::{App, Config, Fair, Hooks, RoomRules, accept, access, ingest};

/// Rooms that take no reactions, and such that take one emoji.
const RULES: &str = r#"
[[room]]
match = "closed-*"
open = false

[[room]]
match = "fire-*"
emoji = ["🔥"]
"#;

/// The clock of a body's timeout, and a place for the producer's task, which never runs: nobody waits for it.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().build().unwrap_or_else(|error| panic!("no runtime: {error}"))
});

/// A gateway without a broker, without limits of fair use, and with [`RULES`].
pub(crate) static APP: LazyLock<Arc<App>> = LazyLock::new(|| {
    // Not the runtime that runs.
    static PARKED: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_current_thread().build().unwrap_or_else(|error| panic!("no runtime: {error}"))
    });
    let _inside = PARKED.enter();
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.fair = Fair { per_user: None, per_address: None, per_room: None, ..Fair::default() };
    config.rooms.rules = RoomRules::parse(RULES).unwrap_or_else(|error| panic!("{error}"));
    App::new(config, Hooks::default(), CancellationToken::new())
});

/// What holds for every problem that a client's bytes are the reason of.
pub(crate) fn is_told(problem: &Problem) {
    assert!((400..500).contains(&problem.kind().status), "{problem:?} blames the gateway");
    let json: serde_json::Value =
        serde_json::from_str(&problem.to_json()).unwrap_or_else(|error| panic!("{problem:?}: {error}"));
    assert_eq!(json["status"], problem.kind().status);
}

/// A cursor of a feed client.
pub fn cursor(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(cursor) = Cursor::decode(text) else { return false };
    assert_eq!(cursor.encode(), text, "what is read is what is written");
    let mut moved = Cursor::default();
    for (partition, place) in cursor.places() {
        assert!(moved.advance(partition, place) && !moved.advance(partition, place));
        assert!(place.before() <= place && place <= place.after());
    }
    assert_eq!(moved, cursor);
    true
}

/// Names of headers that are looked at; a line of the input chooses by its first byte.
const NAMES: [HeaderName; 11] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::ORIGIN,
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("idempotency-key"),
    REQUEST_ID,
];

/// Headers of a request, a line each: `a` and a value is the first of the names below, and so on.
pub fn headers(bytes: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((first, value)) = line.split_first() else { continue };
        let name = &NAMES[usize::from(first.wrapping_sub(b'a')) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            headers.append(name, value);
        }
    }
    let uri: Uri = headers
        .get(header::HOST)
        .and_then(|host| Uri::try_from(["http://".as_bytes(), host.as_bytes()].concat()).ok())
        .unwrap_or_default();
    request_id(&headers);
    client_address(&headers);
    let is_json = accept::takes_json(&headers);
    let is_keyed = ingest::fuzzing::headers(&headers);
    let is_shown =
        access::fuzzing::headers(&headers, &uri) | access::fuzzing::headers(&headers, &Uri::default());
    is_json && (is_keyed || is_shown)
}

fn request_id(headers: &HeaderMap) {
    static IDS: LazyLock<RequestIds> = LazyLock::new(RequestIds::new);
    let id = IDS.of(headers);
    // It stands in the log and in an answer.
    assert!(id.len() <= 64 && id.as_bytes().iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"'));
}

/// Whatever a client writes itself stands before what its proxy writes, and changes nothing.
fn client_address(headers: &HeaderMap) {
    let (proxy, stranger) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([203, 0, 113, 9]));
    let trusted_proxies = ["192.0.2.0/24", "10.0.0.0/8"].iter().filter_map(|text| text.parse().ok());
    let network = Network { trusted_proxies: trusted_proxies.collect(), ..Network::default() };
    assert_eq!(network.client(stranger, headers), stranger);
    let client = network.client(proxy, headers);
    assert_eq!(network::bucket(client), network::bucket(network::bucket(client)));
    let name = &NAMES[8];
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    for claim in ["198.51.100.66", "127.0.0.1", "nonsense"] {
        let mut claimed = HeaderMap::new();
        claimed.append(name, HeaderValue::from_static(claim));
        claimed.extend(lines.iter().map(|line| (name.clone(), (*line).clone())));
        if network.is_proxy(client) {
            // All hops were proxies or could not be read: then the claim may be next.
            let found = network.client(proxy, &claimed);
            assert!(found == client || claim.parse() == Ok(found), "{client} {found}");
        } else {
            assert_eq!(network.client(proxy, &claimed), client, "{headers:?}");
        }
    }
    let hops = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let stands = hops.filter_map(|hop| std::str::from_utf8(hop).ok()).any(|hop| {
        let bare =
            |text: &str| text.trim_matches(['[', ']']).parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let hop = hop.trim();
        bare(hop) == Some(client) || hop.rsplit_once(':').and_then(|(ip, _)| bare(ip)) == Some(client)
    });
    assert!(client == proxy || stands, "{client} is from nowhere: {headers:?}");
}
