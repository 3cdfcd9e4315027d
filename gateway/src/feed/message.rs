//! What a feed client says: reactions, and tokens.

use std::borrow::Cow;

use ovation_reaction::Draft;
use serde::Deserialize;

use super::error;
use crate::config::Config;
use crate::ingest;
use crate::problem::Problem;

/// Longest `ref` that comes back in an answer, in bytes.
pub(super) const REF_BYTES_MAX: usize = 128;

/// Arrays and maps within each other in a message in MessagePack; what the reader of the JSON takes is less.
const UNPACK_DEPTH_MAX: usize = 64;

/// A message from a client.
#[derive(Deserialize)]
pub(crate) struct Incoming<'a> {
    r#type: String,
    r#ref: Option<String>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, flatten)]
    reaction: Draft<'a>,
}

/// A message that can be answered.
pub(super) struct Heard<'a> {
    /// What the client calls it.
    pub(super) reference: Option<String>,
    /// What it asks for.
    pub(super) asked: Asked<'a>,
}

/// What a client asks for.
pub(super) enum Asked<'a> {
    /// That a reaction counts. Its room is not filled in.
    Reaction(Box<Draft<'a>>),
    /// To go on with another token.
    Renewal(Option<Cow<'a, str>>),
}

/// Reads a message of a client that was let in. The error is an answer, too.
pub(super) fn hear<'a>(config: &Config, text: &'a str) -> Result<Heard<'a>, String> {
    let incoming: Incoming<'_> = ingest::read_json(text.as_bytes(), config.ingest.json_depth_max)
        .map_err(|problem| error(None, &problem))?;
    let reference = incoming.r#ref;
    if reference.as_ref().is_some_and(|reference| reference.len() > REF_BYTES_MAX) {
        return Err(error(None, &Problem::ref_too_long(REF_BYTES_MAX)));
    }
    match incoming.r#type.as_str() {
        "auth" => Ok(Heard { reference, asked: Asked::Renewal(incoming.token) }),
        // Larger ones are read only because a token may be one.
        "react" if text.len() > config.message_limit => {
            Err(error(reference.as_deref(), &Problem::too_large(config.message_limit)))
        }
        "react" => Ok(Heard { reference, asked: Asked::Reaction(Box::new(incoming.reaction)) }),
        _ => {
            let known = "`react`, and `auth` with a token";
            Err(error(reference.as_deref(), &Problem::unknown_message(known)))
        }
    }
}

/// The JSON of a message in MessagePack.
pub(super) fn unpacked(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(UNPACK_DEPTH_MAX);
    let value = serde_json::Value::deserialize(&mut reader).ok()?;
    rest.is_empty().then(|| value.to_string())
}

/// The token of a client's first message; none if it is another one.
pub(super) fn first_token(text: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Auth<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        token: Option<Cow<'a, str>>,
    }

    let auth: Option<Auth<'_>> = serde_json::from_str(text).ok();
    auth.filter(|auth| auth.r#type == "auth").and_then(|auth| auth.token)
}
