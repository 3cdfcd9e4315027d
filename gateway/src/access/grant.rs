//! What somebody may do: actions, rooms, and as whom.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::denied::Denied;
use super::pattern::RoomPattern;

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send reactions.
    React,
    /// Follow a room: its feed, its snapshot, its place in the list of rooms.
    Watch,
    /// Change how the gateway works.
    Admin,
}

impl Action {
    /// All of them, in the order in which they are named.
    const ALL: [Self; 3] = [Self::React, Self::Watch, Self::Admin];

    /// Its name in a token's `allow`.
    pub fn name(self) -> &'static str {
        match self {
            Self::React => "react",
            Self::Watch => "watch",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::React => 1,
            Self::Watch => 2,
            Self::Admin => 4,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|action| action.name() == text);
        named.ok_or_else(|| format!("there is no action {text:?}; the actions are react, watch, admin"))
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Actions(u8);

impl Actions {
    fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | action.bit()))
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> =
            Action::ALL.into_iter().filter(|action| self.contains(*action)).map(Action::name).collect();
        if named.is_empty() { f.write_str("nothing") } else { f.write_str(&named.join(", ")) }
    }
}

/// What the bearer of a token may do, or everybody where no token is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The user that reactions are from. None: whatever a reaction says.
    pub(super) user: Option<Arc<str>>,
    pub(super) rooms: Box<[RoomPattern]>,
    pub(super) actions: Actions,
    /// Until when it holds, in milliseconds since 1970, leeway included. None: for ever.
    pub(super) expires: Option<i64>,
}

impl Grant {
    /// React and watch, everywhere, as anybody.
    pub(crate) fn everyone() -> Self {
        Self {
            user: None,
            rooms: Box::new([RoomPattern::any()]),
            actions: [Action::React, Action::Watch].into_iter().collect(),
            expires: None,
        }
    }

    /// Whether `action` is allowed in `room`.
    pub(crate) fn may(&self, action: Action, room: &str) -> Result<(), Denied> {
        self.allows(action)?;
        if self.covers(room) {
            return Ok(());
        }
        let covered: Vec<&str> = self.rooms.iter().map(RoomPattern::as_str).collect();
        Err(Denied::Room { room: room.to_owned(), covered: covered.join(", ") })
    }

    /// Whether `action` is allowed at all: for what is about no room, or about all of them.
    pub(crate) fn allows(&self, action: Action) -> Result<(), Denied> {
        match self.actions.contains(action) {
            true => Ok(()),
            false => Err(Denied::Action { action, allowed: self.actions.to_string() }),
        }
    }

    /// Whether `room` is one of its rooms.
    pub(crate) fn covers(&self, room: &str) -> bool {
        self.rooms.iter().any(|pattern| pattern.matches(room))
    }

    /// The user of a reaction that names `given`: the grant's own, or, where it has none, the one that was given.
    pub(crate) fn user_of<'a>(&'a self, given: Option<&'a str>) -> Result<Option<&'a str>, Denied> {
        match (self.user.as_deref(), given) {
            (Some(user), Some(given)) if user != given => Err(Denied::OtherUser),
            (Some(user), _) => Ok(Some(user)),
            (None, given) => Ok(given),
        }
    }

    /// The user that it is for.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Until when it holds, in milliseconds since 1970, leeway included.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// Whether it holds no more.
    pub(crate) fn is_over(&self, now_ms: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now_ms)
    }

    /// What it takes in memory beside its own size, about.
    pub(super) fn bytes(&self) -> usize {
        let rooms: usize = self.rooms.iter().map(|room| room.as_str().len() + size_of::<RoomPattern>()).sum();
        rooms + self.user.as_ref().map_or(0, |user| user.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(user: Option<&str>, rooms: &[&str], actions: &[Action]) -> Grant {
        Grant {
            user: user.map(Into::into),
            rooms: rooms.iter().map(|room| RoomPattern::new(room).expect("a pattern")).collect(),
            actions: actions.iter().copied().collect(),
            expires: None,
        }
    }

    #[test]
    fn everyone_may_react_and_watch_everywhere_and_no_more() {
        let everyone = Grant::everyone();
        assert_eq!(everyone.may(Action::React, "a"), Ok(()));
        assert_eq!(everyone.may(Action::Watch, "b"), Ok(()));
        assert!(matches!(everyone.may(Action::Admin, "a"), Err(Denied::Action { .. })));
        assert_eq!(everyone.user_of(Some("u1")), Ok(Some("u1")));
        assert_eq!(everyone.user_of(None), Ok(None));
    }

    #[test]
    fn a_grant_is_for_its_rooms_and_actions() {
        let grant = grant(None, &["final-*", "lobby"], &[Action::Watch]);
        assert_eq!(grant.may(Action::Watch, "final-1"), Ok(()));
        assert_eq!(grant.may(Action::Watch, "lobby"), Ok(()));
        let other = Denied::Room { room: "backstage".into(), covered: "final-*, lobby".into() };
        assert_eq!(grant.may(Action::Watch, "backstage"), Err(other));
        let action = Denied::Action { action: Action::React, allowed: "watch".into() };
        assert_eq!(grant.may(Action::React, "lobby"), Err(action));
    }

    #[test]
    fn a_grants_user_is_the_only_one() {
        let grant = grant(Some("u1"), &["*"], &[Action::React]);
        assert_eq!(grant.user_of(None), Ok(Some("u1")));
        assert_eq!(grant.user_of(Some("u1")), Ok(Some("u1")));
        assert_eq!(grant.user_of(Some("u2")), Err(Denied::OtherUser));
    }

    #[test]
    fn actions_are_read_as_they_are_written() {
        for action in Action::ALL {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        assert!("raect".parse::<Action>().is_err());
        assert_eq!(Actions::default().to_string(), "nothing");
    }
}
