//! What has to hold for a record of the aggregate topic.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Update;
use crate::cursor::Cursor;
use crate::form::{Carrier, Codec, Fields, Form, Reach};

/// The feed message of an update.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    r#type: &'a str,
    cursor: &'a str,
    watching: u64,
    #[serde(borrow)]
    update: &'a RawValue,
}

/// A record's totals.
#[derive(Deserialize)]
struct Totals<'a> {
    #[serde(borrow)]
    room_totals: &'a RawValue,
}

/// The value of a record in the aggregate topic: anybody who may write there may write anything.
pub fn update(bytes: &[u8]) -> bool {
    let update = match Update::read(5, bytes) {
        Ok(update) => update,
        Err(reason) => {
            assert!(!reason.is_empty());
            return false;
        }
    };
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    let form = Form {
        reach: Reach::Partition,
        codec: Codec::Json,
        fields: Fields::ALL,
        carrier: Carrier::WebSocket,
        packed: false,
    };
    let frame = update.bytes(form);
    // Behind the head, which is longer for a longer message.
    let head = match frame[1] {
        0..126 => 2,
        126 => 4,
        _ => 10,
    };
    let sent = std::str::from_utf8(&frame[head..]).unwrap_or_default();
    let message: Message<'_> =
        serde_json::from_str(sent).unwrap_or_else(|error| panic!("no message: {error}: {sent}"));
    assert_eq!((message.r#type, message.watching), ("update", 0));
    assert_eq!(message.update.get(), text, "the record goes out as it came in");
    assert_eq!(update.record(), text);
    assert_eq!(Cursor::decode(message.cursor), Some(Cursor::at(5, update.place)));
    let totals: Option<Totals<'_>> = serde_json::from_str(text).ok();
    assert_eq!(totals.map(|totals| totals.room_totals.get()), Some(update.room_totals()));
    assert!(ovation_reaction::room_is_valid(&update.room));
    assert!(update.supersedes(&update));
    true
}
