//! Results for the tests of the modules.

use ovation_client::Record;

use super::result::Found;

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
