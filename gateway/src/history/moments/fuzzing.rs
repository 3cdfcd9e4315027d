//! What has to hold for a record of the moment topic.

use axum::http::HeaderMap;
use ovation_client::Record;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::found::Found;
use super::query::{Params, Query};
use super::write;
use crate::history::History;
use crate::history::query::Format;
use crate::hub::moment::Moment;

/// An answer; of its moments only that they are JSON, however deep.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    moments: Vec<&'a RawValue>,
}

/// The value of a record in the moment topic: anybody who may write there may write anything.
pub fn moment(bytes: &[u8]) -> bool {
    let moment = match Moment::read(5, bytes) {
        Ok(moment) => moment,
        Err(reason) => {
            assert!(!reason.is_empty());
            return false;
        }
    };
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    assert_eq!(moment.record(), text, "it goes out as it came in");
    assert!(ovation_reaction::room_is_valid(&moment.room) && !moment.id.is_empty());
    assert!(!moment.supersedes(&moment));
    let Ok(query) = Query::read(Params::default(), &HeaderMap::new(), 1, &History::default()) else {
        panic!("the last hour is a range")
    };
    // Of all times, and so that there may be more.
    let query = Query { range: i64::MIN..i64::MAX, limit: 1, ..query };
    let mut found = Found::new(&query);
    let value = bytes.to_vec().into();
    found.take(&moment.room, &Record { partition: 5, offset: 0, timestamp: -1, key: None, value });
    let (moments, last) = found.into_answer(query.limit);
    assert!(last.is_none(), "there is one at most");
    for (format, json) in [(Format::Json, true), (Format::Csv, false)] {
        let answer = write::answer("a", &Query { format, ..query.clone() }, &moments, None);
        match json {
            true => assert!(
                serde_json::from_slice::<Answer<'_>>(&answer).is_ok_and(|answer| answer.moments.len() <= 1)
            ),
            false => assert!(csv::Reader::from_reader(&*answer).records().all(|row| row.is_ok())),
        }
    }
    true
}
