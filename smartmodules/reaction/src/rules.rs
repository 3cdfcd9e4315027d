//! How events are judged, as a topology says it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::limits::{
    COUNT_CEILING, EVENT_BYTES_MAX, FUTURE_MS_DEFAULT, ID_BYTES_MAX, ROOM_BYTES_MAX, TIME_MS_MAX,
    USER_BYTES_MAX,
};
use crate::{Limits, SkinTones};

/// Shortest `id-bytes-max`: gateways give UUIDs.
const ID_BYTES_LEAST: usize = 36;
/// Smallest `event-bytes-max`: an event with every field at its default limit.
const EVENT_BYTES_LEAST: usize = 512;

/// How events are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of skin tones.
    pub skin_tones: SkinTones,
    /// How far an event's time may lie after its record's, ms.
    pub future_ms: i64,
    /// Bounds of an event.
    pub limits: Limits,
}

impl Default for Rules {
    fn default() -> Self {
        Self { skin_tones: SkinTones::Keep, future_ms: FUTURE_MS_DEFAULT, limits: Limits::default() }
    }
}

impl Rules {
    /// Reads the parameters of `ovation-validate`: `skin-tones`, `future-ms`, `count-max`, `room-bytes-max`, `id-bytes-max`,
    /// `user-bytes-max`, `event-bytes-max`. `parameter` gives one by its name, where there is one.
    ///
    /// # Errors
    /// A sentence that names the parameter, what it is and what it may be.
    pub fn read<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let skin_tones = match parameter("skin-tones") {
            None => SkinTones::default(),
            Some(text) => text.parse().map_err(|_| wrong("skin-tones", text, "keep or fold"))?,
        };
        let most = Limits::default();
        let limits = Limits {
            count_max: number(&parameter, "count-max", most.count_max, 1..=COUNT_CEILING)?,
            room_bytes_max: number(&parameter, "room-bytes-max", most.room_bytes_max, 1..=ROOM_BYTES_MAX)?,
            id_bytes_max: number(
                &parameter,
                "id-bytes-max",
                most.id_bytes_max,
                ID_BYTES_LEAST..=ID_BYTES_MAX,
            )?,
            user_bytes_max: number(&parameter, "user-bytes-max", most.user_bytes_max, 1..=USER_BYTES_MAX)?,
            event_bytes_max: number(
                &parameter,
                "event-bytes-max",
                most.event_bytes_max,
                EVENT_BYTES_LEAST..=EVENT_BYTES_MAX,
            )?,
        };
        let future_ms = number(&parameter, "future-ms", FUTURE_MS_DEFAULT, 0..=TIME_MS_MAX)?;
        Ok(Self { skin_tones, future_ms, limits })
    }
}

fn number<'a, T: FromStr + PartialOrd + Display>(
    parameter: impl Fn(&str) -> Option<&'a str>,
    name: &str,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    let Some(text) = parameter(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        wrong(name, text, &format!("a whole number from {} to {}", range.start(), range.end()))
    })
}

fn wrong(name: &str, text: &str, expected: &str) -> String {
    format!("parameter {name:?} has the value {text:?}; expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[(&str, &'static str)]) -> Result<Rules, String> {
        Rules::read(|name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(read(&[]), Ok(Rules::default()));
        let rules =
            read(&[("count-max", "10000"), ("skin-tones", "fold"), ("user-bytes-max", "8")]).expect("reads");
        assert_eq!((rules.limits.count_max, rules.limits.user_bytes_max), (10_000, 8));
        assert_eq!(rules.skin_tones, SkinTones::Fold);
    }

    #[test]
    fn each_parameter_has_its_range() {
        for (name, value) in [
            ("count-max", "0"),
            ("count-max", "10001"),
            ("count-max", "many"),
            ("room-bytes-max", "65"),
            ("id-bytes-max", "35"),
            ("user-bytes-max", "0"),
            ("event-bytes-max", "511"),
            ("future-ms", "-1"),
            ("skin-tones", "purple"),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
