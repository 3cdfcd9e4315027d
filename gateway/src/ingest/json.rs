//! Reads a client's JSON within its bounds.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::problem::Problem;

/// Reads an object that is nested no deeper than `depth_max`.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8], depth_max: usize) -> Result<T, Problem> {
    if is_deeper(json, depth_max) {
        return Err(Problem::too_deep(depth_max));
    }
    // An array would be read as the fields in their order.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(match serde_json::from_slice::<IgnoredAny>(json) {
            Ok(_) => Problem::malformed("an object is expected"),
            Err(error) => Problem::malformed_json(error.to_string()),
        });
    }
    serde_json::from_slice(json).map_err(|error| match error.classify() {
        Category::Data => Problem::malformed(error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => Problem::malformed_json(error.to_string()),
    })
}

/// Whether more than `most` arrays and objects stand within each other. The parser does not recurse into what it skips, so
/// this costs a client nothing but its own time; a bound that is told is kinder than one that is found out.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_stands_within_each_other() {
        for (json, depth) in [
            ("7", 0),
            ("[]", 1),
            (r#"{"a":[1,{"b":2}],"c":[[]]}"#, 3),
            (r#"["[[[[", "\"[", "\\"]"#, 1),
            (r#"[[],[],[],[]]"#, 2),
            ("]]]][", 1),
            (r#"["open"#, 1),
        ] {
            assert!(!is_deeper(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || is_deeper(json.as_bytes(), depth - 1), "{json}");
        }
    }

    #[test]
    fn a_million_brackets_are_one_problem() {
        let deep = "[".repeat(1_000_000);
        let problem = read::<serde_json::Value>(deep.as_bytes(), 8).expect_err("refused");
        assert_eq!(problem.kind().name, "too-deep");
    }
}
