//! What has to hold for what a feed client sends.

use std::borrow::Cow;

use axum::http::Request;

use ovation_reaction::Draft;

use super::choice::{Asked as Wishes, AskedRooms, Choice, ROOMS_PER_FEED_MAX, Rooms, query};
use super::frames::{Frames, Said};
use super::message::{Asked, Heard, REF_BYTES_MAX, first_token, hear};
use crate::fuzzing::{APP, RUNTIME, is_told};
use crate::ingest;

/// A message of a feed client.
pub fn message(bytes: &[u8]) -> bool {
    // tungstenite has checked that it is text.
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let first = first_token(text);
    let Heard { reference, asked } = match hear(&APP.config, text) {
        Ok(heard) => heard,
        Err(answer) => {
            let answer: serde_json::Value =
                serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
            let status = answer["problem"]["status"].as_u64();
            assert!(answer["type"] == "error" && status.is_some_and(|status| status < 500), "{answer}");
            return false;
        }
    };
    assert!(reference.is_none_or(|reference| reference.len() <= REF_BYTES_MAX));
    match asked {
        Asked::Renewal(token) => {
            assert_eq!(token, first, "a token is read the same, first and later");
            token.is_some()
        }
        Asked::Reaction(draft) => {
            assert_eq!(first, None, "a reaction is no token");
            assert!(text.len() <= APP.config.message_limit);
            let posted: Result<Draft<'_>, _> = ingest::read_json(bytes, APP.config.ingest.json_depth_max);
            let posted = posted.unwrap_or_else(|problem| panic!("{text} is a message, but: {problem:?}"));
            assert_eq!(
                format!("{draft:?}"),
                format!("{posted:?}"),
                "a reaction says the same, sent or posted"
            );
            let draft = Draft { room: Some(Cow::Borrowed("lobby")), ..*draft };
            ingest::fuzzing::is_judged(draft, None)
        }
    }
}

/// What a feed client asks to see, as the query of its address.
pub fn choice(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(request) = Request::get(format!("/v1/feed?{text}")).body(()) else { return false };
    let (mut parts, ()) = request.into_parts();
    let rooms: Result<AskedRooms, _> = RUNTIME.block_on(query(&mut parts));
    let wishes: Result<Wishes, _> = RUNTIME.block_on(query(&mut parts));
    let choice = rooms.and_then(|rooms| wishes.and_then(|wishes| Choice::of_rooms(&rooms, wishes)));
    match choice {
        Ok(Choice { rooms: Rooms::Named(rooms), .. }) => {
            assert!((1..=ROOMS_PER_FEED_MAX).contains(&rooms.len()));
            assert!(rooms.iter().all(|room| ovation_reaction::room_is_valid(room)));
            true
        }
        Ok(_) => true,
        Err(problem) => {
            is_told(&problem);
            false
        }
    }
}

/// What the socket of a feed client brings. The first byte says how it is cut.
pub fn frames(bytes: &[u8]) -> bool {
    const BYTES_MAX: usize = 200;
    let Some((cut, bytes)) = bytes.split_first() else { return false };
    let is_packed = cut % 2 == 1;
    let heard = |size: usize| {
        let mut frames = Frames::new(BYTES_MAX, is_packed, Vec::new());
        let mut said = Vec::new();
        for piece in bytes.chunks(size.max(1)) {
            frames.push(piece);
            loop {
                match frames.next() {
                    Ok(Some(next)) => said.push(next),
                    Ok(None) => break,
                    Err(broken) => return (said, Some(broken)),
                }
            }
        }
        (said, None)
    };
    let (said, broken) = heard(usize::from(*cut));
    assert_eq!((&said, broken), (&heard(bytes.len()).0, heard(bytes.len()).1), "however it is cut");
    for said in &said {
        let length = match said {
            Said::Text(text) => text.len(),
            Said::Binary(bytes) => bytes.len(),
            Said::Ping(bytes) => bytes.len().saturating_add(75),
            Said::Pong | Said::Close(_) => 0,
        };
        assert!(length <= BYTES_MAX);
    }
    !said.is_empty()
}
