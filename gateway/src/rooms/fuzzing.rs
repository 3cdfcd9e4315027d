//! What has to hold for rules and settings of rooms.

use ovation_reaction::{SkinTones, canonical, room_is_valid};

use super::RoomRules;
use super::emoji::Emoji;
use super::record::{Choice, Own, Wish};
use crate::fuzzing::is_told;
use crate::ingest;

/// Arrays and objects within each other in what an admin sends.
const DEPTH_MAX: usize = 2;

/// A file of room rules.
pub fn rules(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let rules = match RoomRules::parse(text) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let mut found = false;
    for room in ["lobby", "final-2026", "a", "A.b_c~d-e", "fire-1"] {
        let rule = rules.find(room);
        assert_eq!(
            rule.map(|rule| rule.pattern.as_str()),
            rules.find(room).map(|rule| rule.pattern.as_str()),
            "what is remembered is what was found"
        );
        let Some(rule) = rule else { continue };
        found = true;
        assert!(is_matched(rule.pattern.as_str().as_bytes(), room.as_bytes()), "{rule:?} {room}");
        rule.emoji.iter().for_each(is_canonical);
    }
    found
}

/// What a pattern means, with every place that each `*` may end at.
fn is_matched(pattern: &[u8], room: &[u8]) -> bool {
    // Places of the room that the pattern so far may have come to.
    let mut places = vec![true];
    places.resize(room.len() + 1, false);
    for byte in pattern {
        let mut next = vec![false; room.len() + 1];
        for place in 0..=room.len() {
            match byte {
                b'*' => next[place] = places[place] || (place > 0 && next[place - 1]),
                byte => next[place] = place > 0 && places[place - 1] && room[place - 1] == *byte,
            }
        }
        places = next;
    }
    places[room.len()]
}

fn is_canonical(emoji: &Emoji) {
    for listed in emoji.listed() {
        assert_eq!(canonical(listed, SkinTones::Keep), Some(*listed));
        assert!(emoji.takes(listed));
    }
}

/// What an admin wishes for a room, and the value of a record with a room's settings.
pub fn settings(bytes: &[u8]) -> bool {
    let wish = ingest::read_json::<Wish>(bytes, DEPTH_MAX);
    let wished = match wish.map(|wish| wish.own(&String::from_utf8_lossy(bytes))) {
        Ok(Ok(own)) => {
            assert!(!own.is_none(), "a wish is for something");
            holds(&own);
            true
        }
        Ok(Err(_)) => false,
        Err(problem) => {
            is_told(&problem);
            false
        }
    };
    let read = match Own::read(bytes) {
        Ok(own) => {
            holds(&own);
            true
        }
        Err(reason) => {
            assert!(!reason.is_empty());
            assert!(!wished, "what may be wished for can be read: {reason}");
            false
        }
    };
    // Names of rooms are keys of those records, and stand in paths.
    let name = std::str::from_utf8(bytes).unwrap_or_default();
    assert!(!room_is_valid(name) || name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
    wished || read
}

fn holds(own: &Own) {
    if let Some(Choice::Only(emoji)) = &own.emoji {
        is_canonical(emoji);
        assert!(emoji.listed().len() <= 256);
    }
    assert!(own.by.len() <= 128);
    assert_eq!(Own::read(&own.to_value()).as_ref(), Ok(own), "it comes back as it was");
}
