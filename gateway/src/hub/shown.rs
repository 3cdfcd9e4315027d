//! What a snapshot shows of a room.

use std::fmt::Write as _;

use super::room::Room;
use super::update::NO_TOTALS;
use crate::form::Fields;

/// What a snapshot shows.
pub(super) struct Shown {
    /// Windows that have changed after this time are left out.
    pub(super) until: u64,
    pub(super) fields: Fields,
    pub(super) finals_only: bool,
}

impl Shown {
    /// `{"type":"snapshot",…}`. Windows and moments are the records as they stand in their topics; `takes` is what the settings
    /// say of the room.
    pub(super) fn snapshot(
        &self,
        name: &str,
        room: Option<&Room>,
        cursor: &str,
        takes: &str,
        resumed: Option<bool>,
    ) -> String {
        let totals =
            room.and_then(|room| room.last_until(self.until)).map_or(NO_TOTALS, |last| last.room_totals());
        let watching = room.map_or(0, Room::watching);
        let mut json = format!(
            r#"{{"type":"snapshot","cursor":"{cursor}","room":{},"room_totals":{totals},"watching":{watching},{takes},"#,
            quoted(name),
        );
        if let Some(resumed) = resumed {
            let _ = write!(json, r#""resumed":{resumed},"#);
        }
        json.push_str(r#""windows":["#);
        let windows = room.into_iter().flat_map(Room::windows);
        let shown =
            windows.filter(|update| update.tick <= self.until && (!self.finals_only || update.is_final));
        for (index, update) in shown.enumerate() {
            if index > 0 {
                json.push(',');
            }
            match self.fields == Fields::ALL {
                true => json.push_str(update.record()),
                false => json.push_str(&self.fields.of(update.record())),
            }
        }
        json.push_str(r#"],"moments":["#);
        for (index, moment) in room.into_iter().flat_map(|room| room.moments_until(self.until)).enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(moment.record());
        }
        json.push_str("]}");
        json
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
