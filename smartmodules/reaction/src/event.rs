//! Events on the source topic.

use std::borrow::Cow;
use std::str::{Utf8Error, from_utf8};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

use crate::canon::Memo;
use crate::limits::{ROOM_BYTES_MAX, TIME_MS_MAX};
use crate::{Form, Plain, Reason, Reject, Rules, canonical};

/// Where an event was found: gives what the event leaves out, and what it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's timestamp, ms.
    pub timestamp: Option<i64>,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Somebody reacted.
    Reaction(Reaction<'a>),
    /// Time has moved to this, ms.
    Tick(i64),
}

/// A valid reaction, with everything filled in. Serialises as the canonical event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reaction<'a> {
    /// Names this reaction for retries.
    pub id: Cow<'a, str>,
    /// The room.
    pub room: Cow<'a, str>,
    /// Fully-qualified emoji.
    pub emoji: &'static str,
    /// Taps, from 1 on.
    pub count: u64,
    /// Who reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// When, ms since 1970.
    pub ts: i64,
}

/// An event as it may come: every field optional, so that each missing one can be told apart.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Draft<'a> {
    /// Moves time, and is no reaction.
    pub tick: Option<Number>,
    /// Names this reaction for retries.
    #[serde(borrow, default, deserialize_with = "text")]
    pub id: Option<Cow<'a, str>>,
    /// The room.
    #[serde(borrow, default, deserialize_with = "text")]
    pub room: Option<Cow<'a, str>>,
    /// Any form of an emoji.
    #[serde(borrow, default, deserialize_with = "text")]
    pub emoji: Option<Cow<'a, str>>,
    /// Taps; 1 if it is missing.
    pub count: Option<Number>,
    /// Who reacted.
    #[serde(borrow, default, deserialize_with = "text")]
    pub user: Option<Cow<'a, str>>,
    /// When, ms since 1970.
    pub ts: Option<Number>,
}

/// Reads a text, or null, without a copy where it has no escapes. (serde borrows a `Cow`, but not one in an `Option`.)
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    Ok(Option::<Text<'a>>::deserialize(deserializer)?.map(|Text(text)| text))
}

impl<'a> TryFrom<Plain<'a>> for Draft<'a> {
    type Error = Utf8Error;

    fn try_from(plain: Plain<'a>) -> Result<Self, Utf8Error> {
        let text =
            |bytes: Option<&'a [u8]>| bytes.map(|bytes| from_utf8(bytes).map(Cow::Borrowed)).transpose();
        Ok(Self {
            tick: None,
            id: text(plain.id)?,
            room: text(plain.room)?,
            emoji: text(plain.emoji)?,
            count: plain.count.map(Number::from),
            user: text(plain.user)?,
            ts: plain.ts.map(Number::from),
        })
    }
}

/// A valid reaction as most of them are: names of printable ASCII, and nothing left out but count and user. So it is told without a look at
/// each name's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief<'a> {
    /// Names this reaction for retries.
    pub id: &'a [u8],
    /// The room.
    pub room: &'a [u8],
    /// Fully-qualified emoji.
    pub emoji: &'static str,
    /// Taps, from 1 on.
    pub count: u64,
    /// Who reacted.
    pub user: Option<&'a [u8]>,
    /// When, ms since 1970.
    pub ts: i64,
}

impl<'a> TryFrom<Brief<'a>> for Reaction<'a> {
    type Error = Utf8Error;

    fn try_from(brief: Brief<'a>) -> Result<Self, Utf8Error> {
        let Brief { id, room, emoji, count, user, ts } = brief;
        let user = user.map(from_utf8).transpose()?.map(Cow::Borrowed);
        Ok(Self { id: from_utf8(id)?.into(), room: from_utf8(room)?.into(), emoji, count, user, ts })
    }
}

/// An event, and how far its bytes are from the canonical ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// What it says.
    pub event: Event<'a>,
    /// How it says it.
    pub form: Form,
}

impl Reaction<'_> {
    /// The canonical event.
    #[must_use]
    pub fn to_event(&self) -> Vec<u8> {
        // Room for the names of the fields and for two numbers.
        const REST_BYTES: usize = 96;
        let user = self.user.as_deref();
        let capacity =
            self.id.len() + self.room.len() + self.emoji.len() + user.map_or(0, str::len) + REST_BYTES;
        let mut event = Vec::with_capacity(capacity);
        self.write(&mut event);
        event
    }

    /// Writes the canonical event, as serialising does.
    pub fn write(&self, out: &mut Vec<u8>) {
        let user = self.user.as_deref();
        if needs_escapes(&self.id) || user.is_some_and(needs_escapes) {
            // Text, numbers and a map of known keys always serialise.
            let _ = serde_json::to_writer(out, self);
            return;
        }
        // Rooms and emoji never need escapes.
        let mut field = |name: &str, text: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        field(r#"{"id":""#, &self.id);
        field(r#"","room":""#, &self.room);
        field(r#"","emoji":""#, self.emoji);
        field(r#"","count":"#, itoa::Buffer::new().format(self.count));
        if let Some(user) = user {
            field(r#","user":""#, user);
            field("\"", "");
        }
        field(r#","ts":"#, itoa::Buffer::new().format(self.ts));
        out.push(b'}');
    }

    /// Whether this text is the canonical event of this reaction, byte for byte.
    #[must_use]
    pub fn is_written(&self, text: &[u8]) -> bool {
        Plain::read(text).is_some_and(|plain| {
            plain.form == Form::Canonical
                && plain.emoji == Some(self.emoji.as_bytes())
                && plain.id == Some(self.id.as_bytes())
                && plain.room == Some(self.room.as_bytes())
                && plain.count == Some(self.count)
                && plain.user == self.user.as_deref().map(str::as_bytes)
                && plain.ts.and_then(|ts| i64::try_from(ts).ok()) == Some(self.ts)
        })
    }
}

/// Whether JSON writes this text in another way than it stands.
fn needs_escapes(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
}

/// Whether `room` can name a room: 1 to [`ROOM_BYTES_MAX`] ASCII letters, digits, `-`, `_`, `.` or `~`, the first a letter or
/// a digit. Such a name needs no escaping in an URL, a key or JSON.
#[must_use]
pub fn room_is_valid(room: &str) -> bool {
    names_a_room(room.as_bytes())
}

fn names_a_room(room: &[u8]) -> bool {
    room.len() <= ROOM_BYTES_MAX
        && room.first().is_some_and(u8::is_ascii_alphanumeric)
        && room.iter().all(|byte| IN_ROOMS[usize::from(*byte)])
}

/// Whether a key is the room, and the room a name: in one loop, without a call for the comparison.
fn are_both_this_room(key: &[u8], room: &[u8]) -> bool {
    key.len() == room.len()
        && room.len() <= ROOM_BYTES_MAX
        && room.first().is_some_and(u8::is_ascii_alphanumeric)
        && room.iter().zip(key).all(|(byte, other)| byte == other && IN_ROOMS[usize::from(*byte)])
}

/// Whether a byte can be part of a room's name.
static IN_ROOMS: [bool; 256] = {
    let (mut all, mut byte) = ([false; 256], 0);
    while byte < all.len() {
        let is_sign = matches!(byte as u8, b'-' | b'_' | b'.' | b'~');
        all[byte] = (byte as u8).is_ascii_alphanumeric() || is_sign;
        byte += 1;
    }
    all
};

/// Judges an event.
///
/// # Errors
/// Why it is refused.
pub fn parse<'a>(value: &'a [u8], origin: &Origin<'_>, rules: &Rules) -> Result<Event<'a>, Reject> {
    read(value, origin, rules, |text| unremembered(text, rules)).map(|(event, _)| event)
}

fn unremembered(text: &[u8], rules: &Rules) -> Option<&'static str> {
    canonical(from_utf8(text).ok()?, rules.skin_tones)
}

/// As [`parse`], for many events of one crowd: it knows the emoji that it has looked up lately.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    emoji: Memo,
}

impl Judge {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, emoji: Memo::new(rules.skin_tones) }
    }

    /// The short way of [`Judge::parse`]: a reaction where it would answer one that can be told in brief, else nothing.
    #[must_use]
    pub fn brief<'a>(&self, value: &'a [u8], origin: &Origin<'_>) -> Option<Brief<'a>> {
        if value.len() > self.rules.limits.event_bytes_max {
            return None;
        }
        brief(&Plain::read(value)?, origin, &self.rules, |text| self.emoji.canonical(text))
    }

    /// Judges an event.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse<'a>(&self, value: &'a [u8], origin: &Origin<'_>) -> Result<Event<'a>, Reject> {
        read(value, origin, &self.rules, |text| self.emoji.canonical(text)).map(|(event, _)| event)
    }
}

/// Judges an event, and says how far its bytes are from the canonical ones.
///
/// # Errors
/// Why it is refused.
pub fn parse_with_form<'a>(
    value: &'a [u8],
    origin: &Origin<'_>,
    rules: &Rules,
) -> Result<Parsed<'a>, Reject> {
    let (event, plain) = read(value, origin, rules, |text| unremembered(text, rules))?;
    let form = match (&event, plain) {
        // Of what a plain event says, only the emoji may be said in another way.
        (Event::Reaction(reaction), Some(plain)) if plain.emoji == Some(reaction.emoji.as_bytes()) => {
            plain.form
        }
        _ => Form::Free,
    };
    Ok(Parsed { event, form })
}

/// Judges an event; with it comes what it says where it is plain. `emoji` answers as [`canonical`].
fn read<'a>(
    value: &'a [u8],
    origin: &Origin<'_>,
    rules: &Rules,
    emoji: impl FnOnce(&[u8]) -> Option<&'static str>,
) -> Result<(Event<'a>, Option<Plain<'a>>), Reject> {
    let bytes_max = rules.limits.event_bytes_max;
    if value.len() > bytes_max {
        let detail = format!("the event has {} bytes; at most {bytes_max} are taken", value.len());
        return Err(Reject::new(Reason::TooLarge, detail));
    }
    let plain = Plain::read(value);
    if let Some(plain) = &plain
        && let Some(brief) = brief(plain, origin, rules, emoji)
        && let Ok(reaction) = brief.try_into()
    {
        return Ok((Event::Reaction(reaction), Some(*plain)));
    }
    let draft: Draft<'a> = match plain.map(Draft::try_from) {
        Some(Ok(draft)) => draft,
        // The parser says what is wrong with text that is none.
        Some(Err(_)) | None => draft(value)?,
    };
    if let Some(tick) = &draft.tick {
        let time = time_of(tick, "tick")?;
        not_in_future(time, origin, rules)?;
        return Ok((Event::Tick(time), None));
    }
    let room = draft.room.clone();
    let reaction = judge(draft, origin, rules).map_err(|mut reject| {
        reject.room = room.filter(|room| room_is_valid(room)).map(Cow::into_owned);
        reject
    })?;
    Ok((Event::Reaction(reaction), plain))
}

/// Reads an event by the JSON parser.
fn draft(value: &[u8]) -> Result<Draft<'_>, Reject> {
    let text = from_utf8(value)
        .map_err(|error| Reject::new(Reason::Malformed, format!("the event is not UTF-8: {error}")))?;
    // An array would be read as the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Reject::new(Reason::Malformed, "the event is no JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        Reject::new(Reason::Malformed, format!("the event is not the JSON expected: {error}"))
    })
}

/// The short way of [`judge`] for what most events are: it answers the same, or nothing where something is missing, wrong or unusual.
#[inline(always)]
fn brief<'a>(
    plain: &Plain<'a>,
    origin: &Origin<'_>,
    rules: &Rules,
    emoji: impl FnOnce(&[u8]) -> Option<&'static str>,
) -> Option<Brief<'a>> {
    let limits = &rules.limits;
    let (room, id) = (plain.room?, plain.id?);
    let user_bytes = plain.user.map_or(1, <[u8]>::len);
    let count = plain.count.unwrap_or(1);
    let ts = plain.ts.and_then(|ts| i64::try_from(ts).ok()).filter(|ts| *ts <= TIME_MS_MAX)?;
    let is_fine = plain.has_printable_names()
        && room.len() <= limits.room_bytes_max
        && origin.key.is_some_and(|key| are_both_this_room(key, room))
        && (1..=limits.id_bytes_max).contains(&id.len())
        && (1..=limits.count_max).contains(&count)
        && (1..=limits.user_bytes_max).contains(&user_bytes)
        && !is_in_future(ts, origin, rules);
    if !is_fine {
        return None;
    }
    let emoji = emoji(plain.emoji?)?;
    Some(Brief { id, room, emoji, count, user: plain.user, ts })
}

/// Judges what is read already, and fills in what it leaves out.
///
/// # Errors
/// Why it is refused.
pub fn judge<'a>(draft: Draft<'a>, origin: &Origin<'_>, rules: &Rules) -> Result<Reaction<'a>, Reject> {
    let limits = &rules.limits;
    if draft.tick.is_some() {
        return Err(Reject::new(Reason::Malformed, "a tick is no reaction"));
    }
    let room = draft.room.ok_or_else(|| missing("room"))?;
    if !room_is_valid(&room) || room.len() > limits.room_bytes_max {
        let detail = format!(
            "a room is named by 1 to {} letters, digits, '-', '_', '.' or '~', beginning with a letter or digit",
            limits.room_bytes_max
        );
        return Err(Reject::new(Reason::BadRoom, detail));
    }
    if origin.key != Some(room.as_bytes()) {
        let detail = "the record's key must be the room, so that a room stays in one partition";
        return Err(Reject::new(Reason::KeyMismatch, detail));
    }
    let emoji = draft.emoji.ok_or_else(|| missing("emoji"))?;
    let emoji = canonical(&emoji, rules.skin_tones).ok_or_else(|| {
        Reject::new(Reason::UnknownEmoji, "the emoji is not one of Unicode's list (RGI, any presentation)")
    })?;
    let count = match &draft.count {
        None => 1,
        Some(count) => {
            count.as_u64().filter(|count| (1..=limits.count_max).contains(count)).ok_or_else(|| {
                let detail = format!("count is a whole number from 1 to {}", limits.count_max);
                Reject::new(Reason::BadCount, detail)
            })?
        }
    };
    let id = match draft.id {
        None => Cow::Owned(format!("{}:{}", origin.partition, origin.offset)),
        Some(id) => name(id, limits.id_bytes_max, "id", Reason::BadId)?,
    };
    let user =
        draft.user.map(|user| name(user, limits.user_bytes_max, "user", Reason::BadUser)).transpose()?;
    let ts = match &draft.ts {
        Some(ts) => time_of(ts, "ts")?,
        None => origin
            .timestamp
            .ok_or_else(|| Reject::new(Reason::NoTime, "there is no ts, and the record has no timestamp"))?,
    };
    not_in_future(ts, origin, rules)?;
    Ok(Reaction { id, room, emoji, count, user, ts })
}

fn missing(field: &str) -> Reject {
    Reject::new(Reason::Malformed, format!("the event has no {field:?}"))
}

fn name<'a>(
    text: Cow<'a, str>,
    bytes_max: usize,
    field: &str,
    reason: Reason,
) -> Result<Cow<'a, str>, Reject> {
    if text.is_empty() || text.len() > bytes_max || has_control(&text) {
        return Err(Reject::new(
            reason,
            format!("{field} is 1 to {bytes_max} bytes without control characters"),
        ));
    }
    Ok(text)
}

fn has_control(text: &str) -> bool {
    // Most names are ASCII, which needs no decoding.
    text.bytes().any(|byte| byte.is_ascii_control())
        || (!text.is_ascii() && text.chars().any(char::is_control))
}

fn time_of(number: &Number, field: &str) -> Result<i64, Reject> {
    number.as_i64().filter(|time| (0..=TIME_MS_MAX).contains(time)).ok_or_else(|| {
        Reject::new(
            Reason::BadTime,
            format!("{field} is a whole number of milliseconds since 1970, up to the year 9999"),
        )
    })
}

fn not_in_future(time: i64, origin: &Origin<'_>, rules: &Rules) -> Result<(), Reject> {
    if is_in_future(time, origin, rules) {
        let detail = format!("the time lies more than {} ms after the record's own", rules.future_ms);
        return Err(Reject::new(Reason::Future, detail));
    }
    Ok(())
}

/// The record's timestamp is the judge: without it any time is taken, and the windows' own late rule remains.
fn is_in_future(time: i64, origin: &Origin<'_>, rules: &Rules) -> bool {
    origin.timestamp.is_some_and(|timestamp| time > timestamp.saturating_add(rules.future_ms))
}
