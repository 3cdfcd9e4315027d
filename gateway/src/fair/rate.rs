//! How fast a bucket fills, and how much it holds.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;

/// Most reactions a second or a minute, and most at once: far beyond any gateway, and far below where times in nanoseconds
/// would overflow.
const AMOUNT_MAX: u32 = 1_000_000;

/// So many reactions in a second or a minute, and a burst at once. Written `20/s:100`; without `:100` the burst is what one
/// second, or minute, brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: NonZeroU32,
    unit: Unit,
    burst: NonZeroU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
}

impl Unit {
    fn nanos(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
        }
    }
}

/// Why something is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a rate such as 20/s, 20/s:100 (a burst of 100) or 600/m, with numbers from 1 to {AMOUNT_MAX}, or off; not {0:?}"
)]
pub struct RateError(String);

impl Rate {
    /// `amount` reactions a second, `burst` at once.
    ///
    /// # Errors
    /// A number is 0, or above a million.
    pub fn per_second(amount: u32, burst: u32) -> Result<Self, RateError> {
        Self::of(amount, Unit::Second, burst)
    }

    /// `amount` reactions a minute, `burst` at once.
    ///
    /// # Errors
    /// A number is 0, or above a million.
    pub fn per_minute(amount: u32, burst: u32) -> Result<Self, RateError> {
        Self::of(amount, Unit::Minute, burst)
    }

    fn of(amount: u32, unit: Unit, burst: u32) -> Result<Self, RateError> {
        let bounded = |number: u32| NonZeroU32::new(number).filter(|number| number.get() <= AMOUNT_MAX);
        match (bounded(amount), bounded(burst)) {
            (Some(amount), Some(burst)) => Ok(Self { amount, unit, burst }),
            _ => {
                let unit = if unit == Unit::Second { 's' } else { 'm' };
                Err(RateError(format!("{amount}/{unit}:{burst}")))
            }
        }
    }

    /// Reads a rate, or `off`, which is none.
    ///
    /// # Errors
    /// The text is neither.
    pub fn read(text: &str) -> Result<Option<Self>, RateError> {
        if text == "off" { Ok(None) } else { text.parse().map(Some) }
    }

    /// What the bucket holds.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// Time in which one token comes: at least a microsecond.
    fn interval_nanos(&self) -> u64 {
        self.unit.nanos() / u64::from(self.amount.get())
    }

    /// Time in which so many tokens come.
    pub(super) fn time_of(&self, tokens: u32) -> Duration {
        Duration::from_nanos(self.interval_nanos() * u64::from(tokens))
    }

    /// Tokens that have come by then, the one that is on its way counted.
    pub(super) fn tokens_in(&self, time: Duration) -> u32 {
        let tokens = time.as_nanos().div_ceil(u128::from(self.interval_nanos()));
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    pub(super) fn quota(&self) -> Quota {
        let interval = Duration::from_nanos(self.interval_nanos());
        Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(self.amount)).allow_burst(self.burst)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let number = |digits: &str| {
            // `parse` takes a plus sign.
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
        };
        let read = || {
            let (amount, rest) = text.split_once('/')?;
            let (unit, burst) = rest.split_once(':').map_or((rest, amount), |(unit, burst)| (unit, burst));
            let unit = match unit {
                "s" => Unit::Second,
                "m" => Unit::Minute,
                _ => return None,
            };
            Self::of(number(amount)?, unit, number(burst)?).ok()
        };
        read().ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit == Unit::Second { 's' } else { 'm' };
        write!(formatter, "{}/{unit}:{}", self.amount, self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, shown) in [
            ("20/s:100", "20/s:100"),
            ("20/s", "20/s:20"),
            ("600/m:10", "600/m:10"),
            ("1/m", "1/m:1"),
            ("1000000/s:1000000", "1000000/s:1000000"),
        ] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(shown.to_owned()));
        }
        assert_eq!(Rate::read("off"), Ok(None));
        assert_eq!(Rate::read("20/s"), Ok(Rate::per_second(20, 20).ok()));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "20",
            "20/",
            "/s",
            "20/h",
            "20/s:",
            "0/s",
            "20/s:0",
            "+20/s",
            "20/s:+1",
            "-1/s",
            " 20/s",
            "1000001/s",
            "20/s:1000001",
            "99999999999/s",
            "20/s:1:2",
            "OFF",
        ] {
            let error = Rate::read(text).expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("20/s:100"), "{error}");
        }
        assert_eq!(Rate::per_second(0, 5).map_err(|error| error.0), Err("0/s:5".to_owned()));
    }

    #[test]
    fn times_and_tokens_belong_together() {
        let rate = Rate::per_minute(7, 3).expect("a rate");
        for tokens in 0..10 {
            assert_eq!(rate.tokens_in(rate.time_of(tokens)), tokens);
            assert_eq!(rate.tokens_in(rate.time_of(tokens) + Duration::from_nanos(1)), tokens + 1);
        }
        assert_eq!(Rate::per_second(20, 100).expect("a rate").time_of(100), Duration::from_secs(5));
    }
}
