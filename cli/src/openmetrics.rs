//! Reads the text of `/metrics` that another process has written. No I/O.

/// `name{label="value"} number`, as OpenMetrics writes it.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl<'a> Sample<'a> {
    /// None where the line is something else.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        // A timestamp may follow the value.
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        (!name.is_empty()).then_some(Self { name, labels, value })
    }
}

/// Labels up to their closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.push((name.to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// A text up to its closing quote, without its escapes, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_escapes_and_nonsense_is_named() {
        let sample = Sample::parse(r#"up{a="x\"y\\z\n}",b="c,d"} 1.5 1700"#).expect("a sample");
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(sample.labels, [label("a", "x\"y\\z\n}"), label("b", "c,d")]);
        assert_eq!((sample.name, sample.value), ("up", 1.5));
        assert_eq!(Sample::parse("up 2").map(|sample| sample.value), Some(2.0));
        for nonsense in ["up", "up{", "up{a=\"b\"", "up{a=\"b} 1", "up{} x", "{} 1"] {
            assert_eq!(Sample::parse(nonsense), None, "{nonsense}");
        }
    }
}
