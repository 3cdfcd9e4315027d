//! One look at a process's `/metrics`, and what has changed between two. No I/O.

use std::collections::BTreeMap;

use crate::openmetrics::Sample;

/// A series' labels, in their order.
pub(super) type Labels = [(String, String)];

/// All samples of one look.
#[derive(Debug, Clone, Default)]
pub(super) struct Scrape(BTreeMap<String, Vec<(Box<Labels>, f64)>>);

impl Scrape {
    /// Reads an exposition; the error names the line.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut samples = BTreeMap::<String, Vec<(Box<Labels>, f64)>>::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let sample =
                Sample::parse(line).ok_or_else(|| format!("line {} is no sample: {line}", number + 1))?;
            samples.entry(sample.name.to_owned()).or_default().push((sample.labels.into(), sample.value));
        }
        Ok(Self(samples))
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All series of a name.
    pub(super) fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.0.get(name).into_iter().flatten().map(|(labels, value)| (&**labels, *value))
    }

    /// The sum of the series that have these labels; none if there are none.
    pub(super) fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.series(name).filter(|(labels, _)| matches(labels, wanted)).peekable();
        found.peek()?;
        Some(found.map(|(_, value)| value).sum())
    }

    /// The values that a label has among the series of a name, in their order.
    pub(super) fn values_of(&self, name: &str, label: &str) -> Vec<String> {
        let mut values: Vec<_> =
            self.series(name).filter_map(|(labels, _)| value(labels, label).map(str::to_owned)).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// A label's value.
pub(super) fn value<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
}

fn matches(labels: &Labels, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(name, expected)| value(labels, name) == Some(*expected))
}

/// Two looks at the same process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks<'a> {
    pub(super) before: &'a Scrape,
    pub(super) now: &'a Scrape,
    /// Between the two.
    pub(super) seconds: f64,
}

impl Looks<'_> {
    /// By how much the counters of a name have grown. One that has fallen began anew; one that was not there began at 0.
    fn growth(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let grown =
            self.now.series(name).filter(|(labels, _)| matches(labels, wanted)).map(|(labels, now)| {
                let before = self.before.series(name).find(|(known, _)| *known == labels);
                match before {
                    Some((_, before)) if before <= now => now - before,
                    _ => now,
                }
            });
        grown.sum()
    }

    /// The same a second.
    pub(super) fn rate(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        if self.seconds > 0.0 { self.growth(name, wanted) / self.seconds } else { 0.0 }
    }

    /// What a histogram has taken between the looks.
    pub(super) fn spread(&self, name: &str, wanted: &[(&str, &str)]) -> Spread {
        let name = format!("{name}_bucket");
        let mut spread = Spread::default();
        for bound in self.now.values_of(&name, "le") {
            let Ok(upper) = bound.replace("+Inf", "inf").parse::<f64>() else { continue };
            let wanted: Vec<_> = wanted.iter().copied().chain([("le", bound.as_str())]).collect();
            spread.0.push((upper, self.growth(&name, &wanted)));
        }
        spread.0.sort_by(|one, two| one.0.total_cmp(&two.0));
        spread
    }
}

/// How many observations were at most so large, by upper bounds that rise.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spread(Vec<(f64, f64)>);

impl Spread {
    /// Takes what another process has taken, too.
    pub(super) fn add(&mut self, other: &Self) {
        for (upper, count) in &other.0 {
            match self.0.iter_mut().find(|(known, _)| known == upper) {
                Some((_, known)) => *known += count,
                None => self.0.push((*upper, *count)),
            }
        }
        self.0.sort_by(|one, two| one.0.total_cmp(&two.0));
    }

    /// The quantile, as Prometheus estimates it: evenly within its bucket. None if nothing was observed.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let all = self.0.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = quantile * all;
        let place = self.0.iter().position(|(_, count)| *count >= rank)?;
        let (lower, below) = match place.checked_sub(1).and_then(|before| self.0.get(before)) {
            Some((upper, count)) => (*upper, *count),
            None => (0.0, 0.0),
        };
        let (upper, count) = self.0[place];
        // Beyond the last bound nothing is known.
        if upper.is_infinite() || count <= below {
            return Some(lower);
        }
        Some(lower + (upper - lower) * (rank - below) / (count - below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Scrape {
        Scrape::read(text).expect("an exposition")
    }

    #[test]
    fn counters_grow_begin_anew_and_appear() {
        let before = read("a_total{x=\"1\"} 10\na_total{x=\"2\"} 50\n");
        let now = read("# HELP a b\na_total{x=\"1\"} 14\na_total{x=\"2\"} 6\na_total{x=\"3\"} 2\n");
        let looks = Looks { before: &before, now: &now, seconds: 2.0 };
        assert_eq!(looks.rate("a_total", &[]), 6.0, "4, 6 since it began anew, and 2");
        assert_eq!(looks.rate("a_total", &[("x", "1")]), 2.0);
        assert_eq!((looks.rate("b_total", &[]), now.sum("b_total", &[])), (0.0, None));
        assert_eq!(now.values_of("a_total", "x"), ["1", "2", "3"]);
        assert!(Scrape::read("<html>").is_err_and(|error| error.contains("line 1")));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let text = |one: u32, two: u32, all: u32| {
            read(&format!(
                "t_bucket{{le=\"1.0\"}} {one}\nt_bucket{{le=\"2.0\"}} {two}\nt_bucket{{le=\"+Inf\"}} {all}\n"
            ))
        };
        let (before, now) = (text(10, 10, 10), text(20, 20, 20));
        let looks = Looks { before: &before, now: &now, seconds: 1.0 };
        let mut spread = looks.spread("t", &[]);
        assert_eq!(spread.quantile(0.5), Some(0.5));
        let later = text(20, 30, 31);
        spread.add(&Looks { before: &now, now: &later, seconds: 1.0 }.spread("t", &[]));
        assert_eq!(spread.quantile(0.5), Some(1.05), "the eleventh of 21 less a half");
        assert_eq!(spread.quantile(1.0), Some(2.0), "beyond the last bound");
        assert_eq!(Looks { before: &now, now: &now, seconds: 1.0 }.spread("t", &[]).quantile(0.5), None);
    }
}
