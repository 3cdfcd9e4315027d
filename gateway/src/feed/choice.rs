//! What a client asks to see.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::reading::After;
use crate::access::{Action, Denied, Grant};
use crate::cursor::Cursor;
use crate::form::{Carrier, Codec, Fields, Form, Reach, UnknownField};
use crate::hub::Taste;
use crate::problem::Problem;
use crate::room::Room;

/// Rooms that a client may name in one feed.
pub(crate) const ROOMS_PER_FEED_MAX: usize = 50;

/// Bounds of `every`: faster than a screen is no pace, and slower than a minute is no feed.
pub(crate) const EVERY_MIN: Duration = Duration::from_millis(50);
pub(crate) const EVERY_MAX: Duration = Duration::from_secs(60);

/// Longest list of rooms and fields that is looked at, in bytes.
const LIST_BYTES_MAX: usize = 4 * 1024;

/// What a feed shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Cursor to resume after; that of `Last-Event-ID` comes before it.
    #[param(nullable = false)]
    after: Option<String>,
    /// `final` for the last result of each window alone.
    #[param(nullable = false, schema_with = emit_schema)]
    emit: Option<String>,
    /// At most one message a window in this time, such as `500ms` or `2s`: from 50ms to 60s.
    #[param(nullable = false, example = "500ms", pattern = "^[1-9][0-9]{0,4}(ms|s)$")]
    every: Option<String>,
    /// Members of a window that are wanted: some of `stage`, `total`, `counts`, `users`, `sentiment`, `top`, `rate`,
    /// `room_totals` and `source`. What says which result it is is always there.
    #[param(nullable = false, example = "counts,total", max_length = 200)]
    fields: Option<String>,
}

/// Which rooms a feed of many shows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AskedRooms {
    /// At most 50 rooms, such as `lobby,stage`; or `*` for every room that the token covers.
    #[param(example = "lobby,stage", min_length = 1, max_length = 3250)]
    rooms: String,
}

fn emit_schema() -> utoipa::openapi::schema::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(["all", "final"]))
        .build()
}

/// Which rooms a client wants to follow.
#[derive(Debug, Clone)]
pub(super) enum Rooms {
    /// One.
    One(Box<str>),
    /// These.
    Named(Arc<[Box<str>]>),
    /// All that its token covers.
    Covered,
}

/// Which rooms a client follows, and by what right.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) rooms: Rooms,
    pub(super) grant: Arc<Grant>,
}

impl Scope {
    /// These rooms, if the grant allows to watch them.
    pub(super) fn new(rooms: Rooms, grant: Arc<Grant>) -> Result<Self, Denied> {
        match &rooms {
            Rooms::One(room) => grant.may(Action::Watch, room),
            Rooms::Named(rooms) => rooms.iter().try_for_each(|room| grant.may(Action::Watch, room)),
            Rooms::Covered => grant.allows(Action::Watch),
        }?;
        Ok(Self { rooms, grant })
    }

    /// Whether a room is one of them.
    pub(super) fn covers(&self, room: &str) -> bool {
        match &self.rooms {
            Rooms::One(own) => **own == *room,
            Rooms::Named(rooms) => rooms.iter().any(|own| **own == *room),
            Rooms::Covered => self.grant.covers(room),
        }
    }
}

/// What a client asks to see, read and found good.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(super) rooms: Rooms,
    /// Shortest time between two messages about a window.
    pub(super) every: Option<Duration>,
    finals_only: bool,
    fields: Fields,
    after: After,
}

impl Choice {
    /// Of one room.
    pub(super) fn of_room(room: &Room, asked: Asked) -> Result<Self, Problem> {
        Self::new(Rooms::One(room.as_str().into()), asked)
    }

    /// Of many rooms.
    pub(super) fn of_rooms(rooms: &AskedRooms, asked: Asked) -> Result<Self, Problem> {
        let rooms = match rooms.rooms.trim() {
            "*" => Rooms::Covered,
            list if list.len() > LIST_BYTES_MAX => {
                return Err(Problem::bad_request(format!("`rooms` takes at most {LIST_BYTES_MAX} bytes")));
            }
            list => {
                let named: Result<Vec<_>, Problem> =
                    list.split(',').map(|name| Room::named(name.trim())).collect();
                let mut named: Vec<Box<str>> = named?.iter().map(|room| room.as_str().into()).collect();
                named.sort_unstable();
                named.dedup();
                if named.len() > ROOMS_PER_FEED_MAX {
                    let detail = format!("`rooms` takes at most {ROOMS_PER_FEED_MAX} rooms, or `*` for all");
                    return Err(Problem::bad_request(detail));
                }
                Rooms::Named(named.into())
            }
        };
        Self::new(rooms, asked)
    }

    fn new(rooms: Rooms, asked: Asked) -> Result<Self, Problem> {
        let finals_only = match asked.emit.as_deref() {
            None | Some("all") => false,
            Some("final") => true,
            Some(_) => return Err(Problem::bad_request("`emit` is `all` or `final`")),
        };
        let every = asked.every.as_deref().map(pace).transpose()?;
        let fields = asked.fields.as_deref().filter(|text| text.len() <= LIST_BYTES_MAX).map(Fields::parse);
        let fields = fields.unwrap_or(Ok(Fields::ALL)).map_err(|UnknownField(name)| {
            let known = UnknownField::known();
            Problem::bad_request(format!("`fields` takes {known}, and not `{name}`"))
        })?;
        let after = asked.after.map(|text| Cursor::decode(&text).ok_or(()));
        Ok(Self { rooms, every, finals_only, fields, after })
    }

    /// Takes what the client resumes after; the header of an event stream, if it is there, is newer than its address.
    pub(super) fn take_after(&mut self, last_event_id: Option<&str>) -> After {
        let after = self.after.take();
        match last_event_id {
            Some(text) => Some(Cursor::decode(text).ok_or(())),
            None => after,
        }
    }

    /// What that comes to on this carrier.
    pub(super) fn taste(&self, carrier: Carrier, codec: Codec, packed: bool) -> Taste {
        let reach = match self.rooms {
            Rooms::One(_) => Reach::Partition,
            Rooms::Named(_) | Rooms::Covered => Reach::Topic,
        };
        let form = Form { reach, codec, fields: self.fields, carrier, packed };
        Taste { form, finals_only: self.finals_only }
    }
}

/// A time such as `500ms` or `2s`.
fn pace(text: &str) -> Result<Duration, Problem> {
    let number = |text: &str| text.parse::<u64>().ok();
    let pace = match text.strip_suffix("ms") {
        Some(millis) => number(millis).map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(number).map(Duration::from_secs),
    };
    pace.filter(|pace| (EVERY_MIN..=EVERY_MAX).contains(pace)).ok_or_else(|| {
        let (min, max) = (EVERY_MIN.as_millis(), EVERY_MAX.as_secs());
        Problem::bad_request(format!("`every` is a time from {min}ms to {max}s, such as `500ms` or `2s`"))
    })
}

/// The query, or what is wrong with it.
pub(super) async fn query<T: serde::de::DeserializeOwned>(parts: &mut Parts) -> Result<T, Problem> {
    let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, &()).await;
    read.map(|Query(asked)| asked).map_err(|error| Problem::bad_request(error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_bounds() {
        for (text, millis) in [("50ms", 50), ("500ms", 500), ("2s", 2_000), ("60s", 60_000)] {
            assert_eq!(pace(text).ok(), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "ms", "49ms", "61s", "1m", "-1s", "1.5s", "99999999999999999999s", "0s"] {
            assert!(pace(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rooms_are_named_once_and_not_too_many() {
        let of = |rooms: &str| Choice::of_rooms(&AskedRooms { rooms: rooms.into() }, Asked::default());
        let named = of("b, a,b").expect("rooms");
        assert!(matches!(&named.rooms, Rooms::Named(rooms) if **rooms == ["a".into(), "b".into()]));
        assert!(matches!(of("*").expect("all").rooms, Rooms::Covered));
        let many = |count: usize| (0..count).map(|room| format!("r{room}")).collect::<Vec<_>>().join(",");
        assert!(of(&many(ROOMS_PER_FEED_MAX)).is_ok());
        for bad in ["", "a,,b", "a/b", "*,a", &many(ROOMS_PER_FEED_MAX + 1), &"a".repeat(5_000)] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
