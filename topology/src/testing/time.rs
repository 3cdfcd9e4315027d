//! Times in tests: `@10s` is ten seconds after the epoch of the tests.

use std::time::Duration;

use serde_json::Value;

use crate::quantity::{parse_duration, show_duration};

/// Where the time of every test begins: 2025-01-01T00:00:00Z in ms since 1970. A day begins there, so windows of every
/// usual size do.
pub const TEST_EPOCH_MS: i64 = 1_735_689_600_000;
/// Numbers from the epoch up to this long after it are shown as times: a year and a day.
const SHOWN_MS: i64 = 366 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// The value with the number that every text `@10s` stands for.
pub(crate) fn resolve(value: &Value) -> Value {
    match value {
        Value::String(text) => parse(text).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(resolve).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), resolve(field)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn parse(text: &str) -> Option<i64> {
    let after = parse_duration(text.strip_prefix('@')?)?;
    TEST_EPOCH_MS.checked_add(i64::try_from(after.as_millis()).ok()?)
}

/// A number as the time that it is, if it is one.
pub(crate) fn shown(number: i64) -> Option<String> {
    let after = number.checked_sub(TEST_EPOCH_MS).filter(|after| (0..SHOWN_MS).contains(after))?;
    if after == 0 {
        return Some("@0s".to_owned());
    }
    Some(format!("@{}", show_duration(Duration::from_millis(u64::try_from(after).ok()?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn texts_become_times_wherever_they_stand_and_nothing_else_does() {
        let value =
            json!({"at": "@10s", "all": ["@0ms", "@", "@soon", "a@1s"], "in": {"end": "@1m"}, "n": 3});
        let resolved = resolve(&value);
        assert_eq!(resolved["at"], json!(TEST_EPOCH_MS + 10_000));
        assert_eq!(resolved["all"], json!([TEST_EPOCH_MS, "@", "@soon", "a@1s"]));
        assert_eq!((&resolved["in"]["end"], &resolved["n"]), (&json!(TEST_EPOCH_MS + 60_000), &json!(3)));
    }

    #[test]
    fn times_are_shown_in_the_largest_unit_that_fits() {
        let after = |ms| shown(TEST_EPOCH_MS + ms);
        for (ms, text) in
            [(0, "@0s"), (1_500, "@1500ms"), (10_000, "@10s"), (90_000, "@90s"), (7_200_000, "@2h")]
        {
            assert_eq!(after(ms).as_deref(), Some(text));
        }
        assert_eq!((after(-1), after(SHOWN_MS), shown(i64::MIN)), (None, None, None));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(ms in 0..SHOWN_MS) {
            let text = shown(TEST_EPOCH_MS + ms).expect("within the year");
            prop_assert_eq!(parse(&text), Some(TEST_EPOCH_MS + ms));
        }
    }
}
