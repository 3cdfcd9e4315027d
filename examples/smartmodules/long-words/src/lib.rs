//! Keeps lines with a word of at least `min-length` letters, under the first letter of the first such word.

use ovation_processor::{Answer, Params, SourceRecord, Stateless, reason};

/// The module. It has settings, and no state: each record is judged by itself.
#[derive(Debug)]
pub struct LongWords {
    min_length: usize,
}

impl Stateless for LongWords {
    fn open(params: &Params) -> Result<Self, String> {
        let min_length =
            params.parse("min-length", 8, "a number of letters").map_err(|error| error.to_string())?;
        Ok(Self { min_length })
    }

    fn record<'a>(&'a mut self, record: &SourceRecord<'a>) -> Answer<'a> {
        let Ok(line) = std::str::from_utf8(record.value) else {
            return Answer::reject(reason::MALFORMED, "the line is not UTF-8");
        };
        let mut words = line.split(|letter: char| !letter.is_alphabetic());
        match words.find(|word| word.chars().count() >= self.min_length).and_then(|word| word.chars().next())
        {
            Some(first) => Answer::key(first.to_lowercase().to_string().into_bytes()),
            None => Answer::Drop,
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::Map;
    use ovation_processor::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Map<super::LongWords>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(min_length: &str, value: &[u8]) -> Answer<'static> {
        let mut module = LongWords::open(&Params::from_iter([("min-length", min_length)])).expect("opens");
        let record = SourceRecord { offset: 0, timestamp: None, key: None, value };
        match module.record(&record) {
            Answer::Key(key) => Answer::key(key.into_owned()),
            Answer::Drop => Answer::Drop,
            Answer::Reject { reason, .. } => Answer::reject(reason.into_owned(), ""),
            other => panic!("it never answers {other:?}"),
        }
    }

    #[test]
    fn a_line_with_a_long_word_goes_under_its_first_letter() {
        assert_eq!(judge("8", b"the Elephant sleeps"), Answer::key(&b"e"[..]));
        assert_eq!(judge("6", "\u{e9}l\u{e9}phant!".as_bytes()), Answer::key("\u{e9}".as_bytes()));
    }

    #[test]
    fn a_line_without_one_is_dropped() {
        assert_eq!(judge("9", b"the Elephant sleeps"), Answer::Drop);
        assert_eq!(judge("4", b"1234567 a-b-c-d"), Answer::Drop);
    }

    #[test]
    fn bytes_that_are_no_text_are_rejected_and_parameters_are_checked() {
        assert_eq!(judge("8", &[0xff]), Answer::reject("malformed", ""));
        let error = LongWords::open(&Params::from_iter([("min-length", "long")])).expect_err("refused");
        assert!(error.contains("a number of letters"), "{error}");
    }
}
