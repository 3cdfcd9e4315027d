//! A cursor: the place in the aggregate topic to which a client has read.
//!
//! Opaque to clients: base64url (no padding) of `{"PARTITION":[EPOCH,SEQ],…}`. It names places in the
//! topic and nothing of this process, so any gateway on the same topic understands it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// Longest cursor that is looked at, in bytes: several hundred partitions, far below a header line.
const CURSOR_BYTES_MAX: usize = 8 * 1024;

/// A result's place among the results of its partition. Ordered: a newer epoch is later, whatever its `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Counts resets of the stage.
    pub(crate) epoch: u64,
    /// 1, 2, 3, … within the epoch; 0 stands before the first.
    pub(crate) seq: u64,
}

impl Place {
    pub(crate) fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The place just before this one in its epoch.
    pub(crate) fn before(self) -> Self {
        Self::new(self.epoch, self.seq.saturating_sub(1))
    }

    /// The place just after this one in its epoch.
    pub(crate) fn after(self) -> Self {
        Self::new(self.epoch, self.seq.saturating_add(1))
    }
}

/// The last place read, for each partition that the reader has heard of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor(BTreeMap<u32, Place>);

impl Cursor {
    /// A cursor that knows one partition.
    pub(crate) fn at(partition: u32, place: Place) -> Self {
        Self(BTreeMap::from([(partition, place)]))
    }

    /// The place in `partition`, if the cursor knows one.
    pub(crate) fn place(&self, partition: u32) -> Option<Place> {
        self.0.get(&partition).copied()
    }

    /// All partitions and places.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, Place)> + '_ {
        self.0.iter().map(|(partition, place)| (*partition, *place))
    }

    /// Moves `partition` to `place`, never backwards. False if it was there or beyond already.
    pub(crate) fn advance(&mut self, partition: u32, place: Place) -> bool {
        match self.0.get_mut(&partition) {
            Some(known) if *known >= place => false,
            Some(known) => {
                *known = place;
                true
            }
            None => {
                self.0.insert(partition, place);
                true
            }
        }
    }

    /// Forgets `partition`.
    pub(crate) fn remove(&mut self, partition: u32) {
        self.0.remove(&partition);
    }

    /// The opaque text.
    pub(crate) fn encode(&self) -> String {
        use std::fmt::Write as _;

        let mut json = String::with_capacity(2 + self.0.len() * 16);
        json.push('{');
        for (index, (partition, place)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String does not fail.
            let _ = write!(json, "{comma}\"{partition}\":[{},{}]", place.epoch, place.seq);
        }
        json.push('}');
        BASE64URL.encode(json)
    }

    /// Reads the opaque text. `None` for anything that [`Cursor::encode`] does not write: such a client gets a
    /// snapshot, as one without a cursor does.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        if text.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let json = BASE64URL.decode(text).ok()?;
        let places: BTreeMap<u32, (u64, u64)> = serde_json::from_slice(&json).ok()?;
        let places = places.into_iter().map(|(partition, (epoch, seq))| (partition, Place::new(epoch, seq)));
        // JSON has many forms of the same thing, and a cursor has one.
        Some(Self(places.collect())).filter(|cursor| cursor.encode() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_comes_back_as_it_was() {
        let mut cursor = Cursor::at(3, Place::new(1, 77));
        assert!(cursor.advance(0, Place::new(2, 1)));
        let text = cursor.encode();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(Cursor::decode(&text), Some(cursor));
        assert_eq!(Cursor::decode(&Cursor::default().encode()), Some(Cursor::default()));
    }

    #[test]
    fn cursor_of_a_stranger_is_no_cursor() {
        let [spaced, twice] =
            [r#"{ "0":[1,77]}"#, r#"{"0":[1,77],"0":[1,78]}"#].map(|json| BASE64URL.encode(json));
        for text in ["", "*", "AAAA", "eyJ4IjpbMSwyXX0", &spaced, &twice, &"A".repeat(CURSOR_BYTES_MAX + 1)] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn cursor_never_moves_back_and_a_new_epoch_is_later() {
        let mut cursor = Cursor::at(0, Place::new(1, 900));
        assert!(!cursor.advance(0, Place::new(1, 900)));
        assert!(!cursor.advance(0, Place::new(1, 3)));
        assert!(cursor.advance(0, Place::new(2, 1)));
        assert_eq!(cursor.place(0), Some(Place::new(2, 1)));
    }
}
