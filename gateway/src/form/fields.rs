//! What a client wants of a window.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Members of an aggregate record that a client may leave out. The others say which result it is.
const NAMES: [&str; 9] =
    ["stage", "total", "counts", "users", "sentiment", "top", "rate", "room_totals", "source"];

/// A choice of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields(u16);

/// A name that is no member's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownField(pub(crate) String);

impl UnknownField {
    /// What might have been meant.
    pub(crate) fn known() -> String {
        NAMES.map(|name| format!("`{name}`")).join(", ")
    }
}

impl Fields {
    /// The record as it stands in the topic.
    pub(crate) const ALL: Self = Self(u16::MAX);

    /// Reads `counts,total`.
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownField> {
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(Self(0), |fields, name| {
            let place = NAMES.iter().position(|known| *known == name);
            let place = place.ok_or_else(|| UnknownField(name.chars().take(40).collect()))?;
            Ok(Self(fields.0 | 1 << place))
        })
    }

    /// The record with the chosen members alone.
    pub(crate) fn of(self, record: &str) -> String {
        if self == Self::ALL {
            return record.to_owned();
        }
        let Ok(members) = serde_json::from_str::<Members<'_>>(record) else { return record.to_owned() };
        let mut json = String::with_capacity(record.len());
        json.push('{');
        for (name, value) in members.listed() {
            let is_chosen =
                NAMES.iter().position(|known| *known == name).is_none_or(|place| self.0 & 1 << place != 0);
            if let (true, Some(value)) = (is_chosen, value) {
                if json.len() > 1 {
                    json.push(',');
                }
                json.push('"');
                json.push_str(name);
                json.push_str("\":");
                json.push_str(value.get());
            }
        }
        json.push('}');
        json
    }
}

/// An aggregate record, its members as they stand.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "stated")]
    stage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    epoch: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    seq: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    room: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    window: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    revision: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    r#final: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    retracted: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    total: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    counts: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    users: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    sentiment: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    top: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    rate: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    room_totals: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stated")]
    source: Option<&'a RawValue>,
}

/// A member that is there, also if it is null.
fn stated<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

impl<'a> Members<'a> {
    fn listed(&self) -> [(&'static str, Option<&'a RawValue>); 16] {
        [
            ("stage", self.stage),
            ("epoch", self.epoch),
            ("seq", self.seq),
            ("room", self.room),
            ("window", self.window),
            ("revision", self.revision),
            ("final", self.r#final),
            ("retracted", self.retracted),
            ("total", self.total),
            ("counts", self.counts),
            ("users", self.users),
            ("sentiment", self.sentiment),
            ("top", self.top),
            ("rate", self.rate),
            ("room_totals", self.room_totals),
            ("source", self.source),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::record;

    #[test]
    fn a_choice_keeps_what_says_which_result_it_is() {
        let record = record("a", (1, 7), 0, 3, true);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(Fields::ALL.of(&record), record);
        let chosen = value(&Fields::parse("counts, total").expect("names").of(&record));
        let mut whole = value(&record);
        for name in ["stage", "users", "sentiment", "top", "rate", "room_totals", "source"] {
            whole.as_object_mut().expect("an object").remove(name);
        }
        assert_eq!(chosen, whole);
        let least = value(&Fields::parse("").expect("no names").of(&record));
        let names: Vec<_> = least.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(names, ["epoch", "final", "revision", "room", "seq", "window"]);
    }

    #[test]
    fn a_name_that_is_no_members_is_told() {
        assert_eq!(Fields::parse("counts,mood"), Err(UnknownField("mood".into())));
        assert_eq!(Fields::parse("room"), Err(UnknownField("room".into())));
    }
}
