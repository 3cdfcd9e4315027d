//! Results for the tests of the modules.

use ovation_client::Record;

use super::query::{Format, Query};
use super::result::{Final, Found};
use super::step::Steps;
use super::write::Writer;

/// A final as the stage writes it, of a window given as name, kind, start and end.
pub(super) fn final_of(room: &str, epoch: u64, seq: u64, window: (&str, &str, i64, i64)) -> String {
    let (name, kind, start, end) = window;
    format!(
        r#"{{"stage":"reactions","epoch":{epoch},"seq":{seq},"room":"{room}","window":{{"name":"{name}","kind":"{kind}","start":{start},"end":{end}}},"revision":2,"final":true,"total":1,"counts":{{"🔥":1}},"users":null,"sentiment":null,"room_totals":{{"reactions":1,"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":7}}}}"#
    )
}

/// The same, read for a room.
pub(super) fn found(value: &str, room: &str) -> Found {
    let value = value.as_bytes().to_vec().into();
    Found::read(&Record { partition: 0, offset: 0, timestamp: -1, key: None, value }, room).expect("a result")
}

/// An answer with one window, which says how to go on.
pub(crate) fn answer(step: Option<i64>) -> String {
    let value = final_of("a", 1, 1, ("10s", "tumbling", 0, 10_000));
    let window = Final::read(value.as_bytes()).expect("a final");
    let query = Query { from: 0, to: 10, window: None, step, limit: 1, after: None, format: Format::Json };
    let mut writer = Writer::begin("a", &query);
    match step.map(Steps::new) {
        None => writer.window(value.as_bytes(), &window),
        Some(mut steps) => {
            assert_eq!(steps.take(&window), None);
            steps.finish().into_iter().for_each(|step| writer.step(step));
        }
    }
    writer.end(Some("?after=x"));
    String::from_utf8(writer.take()).expect("UTF-8")
}
