use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Most partitions that can be named.
const PARTITION_MAX: u32 = 9_999;

/// Some of the partitions of a topic: `3`, `0-3`, `0,2,5-7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitions(Vec<RangeInclusive<u32>>);

/// A text that names no partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected partitions such as 3, 0-3 or 0,2,5-7, got {text:?}: {reason}")]
pub struct PartitionsError {
    text: String,
    reason: String,
}

impl Partitions {
    /// Whether this one is among them.
    pub fn contains(&self, partition: u32) -> bool {
        self.0.iter().any(|range| range.contains(&partition))
    }

    /// The first of them that is not below `count`.
    pub(crate) fn beyond(&self, count: u32) -> Option<u32> {
        self.0.iter().filter(|range| *range.end() >= count).map(|range| count.max(*range.start())).min()
    }
}

impl FromStr for Partitions {
    type Err = PartitionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("{first} is more than {last}"));
            }
            Ok(first..=last)
        };
        let ranges: Result<Vec<_>, String> = text.split(',').map(range).collect();
        ranges.map(Self).map_err(|reason| PartitionsError { text: text.to_owned(), reason })
    }
}

fn number(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().map_err(|_| format!("{:?} is not a number", text.trim()))?;
    if number > PARTITION_MAX { Err(format!("{number} is more than {PARTITION_MAX}")) } else { Ok(number) }
}

impl fmt::Display for Partitions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            match range.start() == range.end() {
                true => write!(formatter, "{comma}{}", range.start())?,
                false => write!(formatter, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Vec<u32> {
        let partitions: Partitions = text.parse().expect("partitions");
        (0..12).filter(|partition| partitions.contains(*partition)).collect()
    }

    #[test]
    fn numbers_and_ranges_are_read() {
        assert_eq!(chosen("3"), [3]);
        assert_eq!(chosen("0-3"), [0, 1, 2, 3]);
        assert_eq!(chosen("0, 2,5-7"), [0, 2, 5, 6, 7]);
        assert_eq!("0,2,5-7".parse::<Partitions>().expect("partitions").to_string(), "0,2,5-7");
    }

    #[test]
    fn nonsense_is_named() {
        let refused = |text: &str| text.parse::<Partitions>().expect_err("refused").to_string();
        assert!(refused("3-1").contains("3 is more than 1"));
        assert!(refused("").contains("\"\" is not a number"));
        assert!(refused("0-x").contains("\"x\" is not a number"));
        assert!(refused("4000000000").contains("more than"));
    }

    #[test]
    fn the_first_one_that_is_not_there_is_found() {
        let partitions: Partitions = "0-3,9".parse().expect("partitions");
        assert_eq!(partitions.beyond(10), None);
        assert_eq!(partitions.beyond(9), Some(9));
        assert_eq!(partitions.beyond(2), Some(2));
    }
}
