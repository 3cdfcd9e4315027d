//! What has to hold for a message of a feed client.

use std::borrow::Cow;

use ovation_reaction::Draft;

use super::message::{Asked, Heard, REF_BYTES_MAX, first_token, hear};
use crate::fuzzing::APP;
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
