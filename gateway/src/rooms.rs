//! Rooms' settings: does a room take reactions, and which emoji?
//!
//! They come from two places. A file of rules ([`RoomRules`]) says it for rooms by pattern. An admin's call says it for one
//! room, and is a record in a topic that every gateway follows from the beginning: so it is the same on all of them and
//! after a restart, and the last record of a room holds. What a room's own settings leave open is as its rule says, and
//! without a rule it is open, for every emoji.

pub(crate) mod admin;
mod emoji;
pub(crate) mod follow;
pub(crate) mod fuzzing;
mod pattern;
mod record;
mod rules;
mod standing;

use std::collections::HashMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ovation_client::Producer;
use serde::Serialize;
use tokio::sync::watch;

use self::emoji::Emoji;
use self::record::{Choice, Own};
pub use self::rules::{RoomRules, RulesError};
use self::standing::{Phase, Standing};
use crate::health::Part;
use crate::problem::Problem;
use crate::room::Room;

/// Emoji that a refusal names at most: a keyboard's row or two.
const NAMED_MAX: usize = 20;

/// Time for a connection to the broker, before a change is given up.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Time for a stored record to come back; mostly it is a millisecond.
const APPLY_WAIT: Duration = Duration::from_secs(5);

/// What rooms take.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// What the file says. Nothing by default.
    pub rules: RoomRules,
    /// Topic with the rooms' own settings: one partition, no fence, a long retention. Without it, which is the default, the
    /// file alone counts.
    pub topic: Option<String>,
    /// Rooms with settings of their own; more are refused. At most 5 KB each (256 emoji), mostly 200 bytes.
    pub own_max: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { rules: RoomRules::default(), topic: None, own_max: 10_000 }
    }
}

/// Why a room does not take a reaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It takes none.
    Closed,
    /// It takes other emoji.
    NotAllowed {
        /// The first ones that it takes.
        named: Vec<&'static str>,
        /// How many it takes in all.
        all: usize,
    },
    /// This gateway does not know yet what the room takes.
    Unread,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("this room takes no reactions now"),
            Self::NotAllowed { named, all: 0 } => {
                write!(formatter, "this room takes no emoji that this gateway knows{}", named.concat())
            }
            Self::NotAllowed { named, all } => {
                write!(formatter, "this room takes {}", named.join(" "))?;
                match all.saturating_sub(named.len()) {
                    0 => Ok(()),
                    more => write!(formatter, " and {more} more"),
                }
            }
            Self::Unread => formatter.write_str("this gateway has not read the rooms' settings yet"),
        }
    }
}

/// What holds for a room, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Settings {
    room: String,
    /// Whether it takes reactions.
    pub(crate) open: bool,
    /// The emoji that it takes, in the order in which they were listed; all if there is no list.
    pub(crate) emoji: Option<Vec<&'static str>>,
    /// The file's rule for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Its own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<Own>,
}

impl fmt::Debug for RoomSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RoomSettings").finish_non_exhaustive()
    }
}

/// A room's own settings, with the offset of their record.
type Stored = (Own, i64);

/// The settings of all rooms. Every call but a change is short and never waits for I/O.
pub(crate) struct RoomSettings {
    rules: RoomRules,
    own_max: usize,
    own: RwLock<HashMap<Box<str>, Stored>>,
    standing: Standing,
    /// Offset after the last record that is in `own`.
    applied: watch::Sender<i64>,
    /// Writes to the topic, once it is found.
    producer: OnceLock<Producer>,
}

impl RoomSettings {
    /// Settings of which only the file's part is known yet.
    pub(crate) fn new(rooms: &Rooms) -> Self {
        Self {
            rules: rooms.rules.clone(),
            own_max: rooms.own_max,
            own: RwLock::default(),
            standing: Standing::new(rooms.topic.as_deref()),
            applied: watch::Sender::new(0),
            producer: OnceLock::new(),
        }
    }

    /// Each change leaves the table whole, so a panic elsewhere is no reason to stop.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Stored>> {
        self.own.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Stored>> {
        self.own.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// May this emoji, in its canonical form, be sent to this room?
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, room: &str, emoji: &str) -> Result<(), Refusal> {
        if !self.standing.is_known() {
            return Err(Refusal::Unread);
        }
        self.holding(room, |open, taken| match taken {
            _ if !open => Err(Refusal::Closed),
            Some(taken) if !taken.takes(emoji) => {
                let listed = taken.listed();
                let named = listed.iter().take(NAMED_MAX).copied().collect();
                Err(Refusal::NotAllowed { named, all: listed.len() })
            }
            _ => Ok(()),
        })
    }

    /// What holds for a room.
    pub(crate) fn settings_of(&self, room: &str) -> Settings {
        let (open, emoji) =
            self.holding(room, |open, taken| (open, taken.map(|taken| taken.listed().to_vec())));
        Settings {
            room: room.to_owned(),
            open,
            emoji,
            rule: self.rules.find(room).map(|rule| rule.pattern.as_str().to_owned()),
            own: self.read().get(room).map(|(own, _)| own.clone()),
        }
    }

    /// What a snapshot says of it: the members `open` and `emoji` of a JSON object.
    pub(crate) fn shown(&self, room: &str) -> String {
        self.holding(room, |open, taken| {
            // Texts always serialise.
            let emoji = serde_json::to_string(&taken.map(Emoji::listed)).unwrap_or_default();
            format!(r#""open":{open},"emoji":{emoji}"#)
        })
    }

    /// Calls `with` with whether the room is open, and with its list of emoji if there is one.
    fn holding<T>(&self, room: &str, with: impl FnOnce(bool, Option<&Emoji>) -> T) -> T {
        let rule = self.rules.find(room);
        let table = self.read();
        let own = table.get(room).map(|(own, _)| own);
        let open = own.and_then(|own| own.open).or(rule.map(|rule| rule.open)).unwrap_or(true);
        let emoji = match own.and_then(|own| own.emoji.as_ref()) {
            Some(Choice::All) => None,
            Some(Choice::Only(emoji)) => Some(emoji),
            None => rule.and_then(|rule| rule.emoji.as_ref()),
        };
        with(open, emoji)
    }

    /// Rooms with settings of their own, by name, from the one after `after` on, and `limit` of them at most.
    pub(crate) fn own_rooms(&self, after: &str, limit: usize) -> Vec<String> {
        let mut names: Vec<String> =
            self.read().keys().filter(|name| name.as_ref() > after).map(|name| name.to_string()).collect();
        names.sort_unstable();
        names.truncate(limit);
        names
    }

    /// The line in `/readyz`: ready once the topic has been read, or when there is none.
    pub(crate) fn part(&self) -> Part {
        self.standing.part(self.read().len())
    }

    /// Waits until what rooms take is known.
    pub(crate) async fn ready(&self) {
        self.standing.ready().await;
    }

    /// Gives a room settings of its own, or takes them away, for every gateway. Returns when they are stored and hold here.
    async fn change(&self, room: &Room, own: &Own) -> Result<Settings, Problem> {
        match self.standing.phase() {
            Phase::Fixed | Phase::Absent => return Err(Problem::rooms_fixed()),
            Phase::Looking | Phase::Reading => return Err(Problem::rooms_unread()),
            Phase::Read => {}
        }
        let producer = self.producer.get().ok_or_else(Problem::rooms_unread)?;
        if !own.is_none() && !self.has_place_for(room.as_str()) {
            return Err(Problem::rooms_full(self.own_max));
        }
        let key = room.as_str().as_bytes().to_vec();
        // The follower may be there before the producer; what goes wrong shows in the answer to the record.
        let _ = producer.ready(CONNECT_WAIT).await;
        let sent = producer.send(Some(key), own.to_value()).await;
        let stored = sent.map_err(|error| {
            tracing::warn!(%error, room = room.as_str(), "room settings not stored");
            Problem::rooms_unwritten("the broker did not acknowledge them; send them again")
        })?;
        let mut applied = self.applied.subscribe();
        let waited = tokio::time::timeout(APPLY_WAIT, applied.wait_for(|next| *next > stored.offset)).await;
        if !matches!(waited, Ok(Ok(_))) {
            let detail =
                "they are stored, but this gateway has not read them yet; send them again, or ask for them";
            return Err(Problem::rooms_unwritten(detail));
        }
        // Others may have taken the last places meanwhile; a later record of the same room holds as well.
        let holds = self.read().get(room.as_str()).is_some_and(|(_, offset)| *offset >= stored.offset);
        let counts = own.is_none() || holds || self.has_place_for(room.as_str());
        if counts { Ok(self.settings_of(room.as_str())) } else { Err(Problem::rooms_full(self.own_max)) }
    }

    fn has_place_for(&self, room: &str) -> bool {
        let table = self.read();
        table.len() < self.own_max || table.contains_key(room)
    }

    /// Takes in a record of the topic.
    fn apply(&self, room: &str, own: Own, offset: i64) {
        let mut table = self.write();
        if own.is_none() {
            table.remove(room);
        } else if table.len() < self.own_max || table.contains_key(room) {
            table.insert(room.into(), (own, offset));
        } else {
            tracing::error!(room, max = self.own_max, "too many rooms with settings of their own, left out");
        }
    }

    /// Says that records up to `next` are in the table, or were of no use.
    fn applied(&self, next: i64) {
        self.applied.send_replace(next);
    }

    /// Forgets what the topic said: it was made anew.
    fn forget(&self) {
        self.write().clear();
        self.applied(0);
    }
}

#[cfg(test)]
mod tests;
