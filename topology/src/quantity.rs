//! Durations and sizes as they are written in a topology.

use std::time::Duration;

/// What a duration looks like, for error messages.
pub(crate) const DURATION: &str = "a duration such as 100ms, 10s, 5m, 2h or 7d";
/// What a size looks like, for error messages.
pub(crate) const SIZE: &str = "a size such as 64KiB, 512MiB or 10GiB";

/// `10s`, `100ms`, `7d`: a whole number and a unit. `None` for anything else, and for more than 64 bits of milliseconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// A duration in the largest unit that it is a whole number of.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

/// A size in the largest unit that it is a whole number of.
pub(crate) fn show_size(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// `512MiB`, `10GB`: a whole number and a unit, in bytes. `None` for anything else.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(bytes)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_size, show_duration, show_size};
    use std::time::Duration;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        assert_eq!(parse_duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(parse_duration("10 s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        for bad in
            ["", "10", "s", "1.5s", "-1s", "10 years", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_have_a_whole_number_and_a_unit() {
        assert_eq!(parse_size("512MiB"), Some(536_870_912));
        assert_eq!(parse_size("10GB"), Some(10_000_000_000));
        for bad in ["", "512", "MiB", "1.5GiB", "10 mib", "99999999999TiB"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["0ms", "1ms", "1500ms", "90s", "36h", "7d"] {
            assert_eq!(show_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["1B", "1500B", "64KiB", "1025MiB", "3TiB"] {
            assert_eq!(show_size(parse_size(text).expect(text)), text);
        }
    }
}
