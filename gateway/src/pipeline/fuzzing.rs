//! What has to hold for a record of the dead-letter topic.

use std::collections::BTreeMap;

use ovation_client::Record;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rejects::{LETTER_BYTES_MAX, Rejects};
use crate::follow::Taker as _;

/// What operators are told; of the letters only that they are JSON, however deep.
#[derive(Deserialize)]
struct Told<'a> {
    total: u64,
    by_reason: BTreeMap<String, u64>,
    #[serde(borrow)]
    last: Vec<&'a RawValue>,
}

/// The value of a record in the dead-letter topic: anybody who may write there may write anything.
pub fn letter(bytes: &[u8]) -> bool {
    let value = bytes.to_vec().into();
    let record = Record { partition: 0, offset: 0, timestamp: -1, key: None, value };
    let rejects = Rejects::new(0);
    let letter = match rejects.read(&record) {
        Ok((_, letter)) => letter,
        Err(reason) => {
            assert!(!reason.is_empty());
            return false;
        }
    };
    rejects.caught_up(0);
    rejects.take(letter);
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    let json = rejects.json();
    let told: Told<'_> = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let [shown] = told.last[..] else { panic!("one letter: {json}") };
    assert_eq!((told.total, told.by_reason.into_values().collect::<Vec<_>>()), (1, vec![1]));
    match text.len() > LETTER_BYTES_MAX {
        true => {
            assert!(shown.get().contains(r#""cut":true"#) && shown.get().len() <= LETTER_BYTES_MAX, "{shown}")
        }
        false => assert_eq!(shown.get(), text, "as it stands"),
    }
    true
}
