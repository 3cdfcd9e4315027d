//! Writes what came into the file, as what is expected from now on.

use super::case::Expectation;
use super::compare::ActualRecord;
use super::flow::{self, Shape};

/// The text with other lists of expected records: what came, one record a line, with the fields that the expectation at its
/// place names, and all of them where there was none. Everything else stays as it is; comments within a list go with it.
pub fn update(text: &str, lists: &[(&Expectation, Vec<ActualRecord>)]) -> String {
    let mut lists: Vec<&(&Expectation, Vec<ActualRecord>)> = lists.iter().collect();
    lists.sort_by_key(|(expectation, _)| expectation.span.start);
    let mut updated = String::with_capacity(text.len());
    let mut at = 0;
    for (expectation, actual) in lists {
        // A list whose place is not in this text is left alone, and so is one within another.
        let Some(old) = text.get(expectation.span.clone()) else { continue };
        let Some(before) = text.get(at..expectation.span.start) else { continue };
        updated.push_str(before);
        updated.push_str(&list(expectation, actual, old));
        at = expectation.span.start + old.trim_end().len();
    }
    updated.push_str(text.get(at..).unwrap_or_default());
    updated
}

/// The new list, in the style of the old one: a list in flow style may stand where one in block style may not.
fn list(expectation: &Expectation, actual: &[ActualRecord], old: &str) -> String {
    let records = actual.iter().enumerate().map(|(place, record)| {
        let shape = expectation.records.get(place).map_or(Shape::Whole, Shape::Named);
        flow::actual(record, shape)
    });
    let indent = " ".repeat(usize::try_from(expectation.column.saturating_sub(1)).unwrap_or_default());
    if actual.is_empty() {
        return "[]".to_owned();
    }
    if old.starts_with('-') {
        let records: Vec<String> = records.map(|record| format!("- {record}")).collect();
        return records.join(&format!("\n{indent}"));
    }
    let records: Vec<String> = records.collect();
    format!("[{}]", records.join(&format!(",\n{indent} ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ExpectedRecord, ExpectedValue, Outlet};
    use serde_json::{Value, json};

    /// An expectation whose list is what stands between these two places of the text.
    fn expectation(text: &str, from: &str, to: &str, records: Vec<ExpectedRecord>) -> Expectation {
        let start = text.find(from).expect("the list's first byte");
        let end = start + text[start..].find(to).expect("the list's last byte") + to.len();
        let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
        Expectation {
            stage: "counts".to_owned(),
            outlet: Outlet::Results,
            records,
            line: 1,
            span: start..end,
            column: text[line_start..start].chars().count() as u64 + 1,
        }
    }

    fn named(names: &[&str]) -> ExpectedRecord {
        let fields = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        ExpectedRecord { key: None, value: Some(ExpectedValue::Fields(fields)) }
    }

    fn actual(value: Value) -> ActualRecord {
        ActualRecord { key: Some("lobby".to_owned()), text: value.to_string(), json: Some(value) }
    }

    const BLOCK: &str = "\
tests:
  first: # é
    results:
      - key: lobby
        value: { total: 1 }
      - value:
          final: true
          total: 7 # the last
    no-output-from: [moments] # stays
";

    #[test]
    fn a_list_in_block_style_is_replaced_and_nothing_else() {
        let records = vec![
            ExpectedRecord { key: Some("lobby".to_owned()), ..named(&["total"]) },
            named(&["final", "total"]),
        ];
        let list = expectation(BLOCK, "- key", "total: 7", records);
        let came = vec![
            actual(json!({"total": 2, "final": false})),
            actual(json!({"total": 9, "final": true, "end": 1_735_689_610_000i64})),
            actual(json!({"total": 1, "end": 1_735_689_610_000i64})),
        ];
        assert_eq!(
            update(BLOCK, &[(&list, came)]),
            "\
tests:
  first: # é
    results:
      - { key: lobby, value: { total: 2 } }
      - { value: { final: true, total: 9 } }
      - { key: lobby, value: { end: \"@10s\", total: 1 } } # the last
    no-output-from: [moments] # stays
"
        );
        let none = update(BLOCK, &[(&list, vec![])]);
        assert!(none.contains("    results:\n      [] # the last\n    no-output"), "{none}");
    }

    #[test]
    fn lists_in_flow_style_stay_in_it_and_empty_ones_are_filled() {
        let text = "a: { results: [], dead-letters: [{ value: { reason: late } }] } # both\nb: 1\n";
        let empty = expectation(text, "[]", "]", vec![]);
        let letters = expectation(text, "[{", "]", vec![named(&["reason"])]);
        let letter = |reason: &str| ActualRecord { key: None, ..actual(json!({"reason": reason, "seq": 1})) };
        // In any order.
        let lists = [
            (&letters, vec![letter("malformed"), letter("late")]),
            (&empty, vec![actual(json!({"total": 1}))]),
        ];
        assert_eq!(
            update(text, &lists),
            "\
a: { results: [{ key: lobby, value: { total: 1 } }], dead-letters: [{ value: { reason: malformed } },
                                 { value: { reason: late, seq: 1 } }] } # both
b: 1
"
        );
    }

    #[test]
    fn a_place_that_is_not_in_the_text_is_left_alone() {
        let mut list = expectation(BLOCK, "- key", "total: 7", vec![]);
        list.span = 5..10_000;
        assert_eq!(update(BLOCK, &[(&list, vec![])]), BLOCK);
        // In the middle of a letter.
        let inside = BLOCK.find('é').expect("there is one") + 1;
        list.span = inside..inside + 9;
        assert_eq!(update(BLOCK, &[(&list, vec![])]), BLOCK);
    }

    #[test]
    fn texts_stay_texts() {
        let text = "results:\n- value: \"{}\"\n";
        let record = ExpectedRecord { key: None, value: Some(ExpectedValue::Text("{}".to_owned())) };
        let list = expectation(text, "-", "\"{}\"", vec![record]);
        assert_eq!(
            update(text, &[(&list, vec![actual(json!({"a": 1}))])]),
            "results:\n- { value: \"{\\\"a\\\":1}\" }\n"
        );
    }
}
