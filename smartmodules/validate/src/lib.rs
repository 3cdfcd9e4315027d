//! `ovation-validate`: each event becomes a canonical reaction, a tick, or a tagged reject. Nothing is dropped, so
//! offsets stay contiguous for the module behind it.
//!
//! Parameters: those of [`Rules::read`].

use ovation_reaction::{Event, Form, Origin, Parsed, Reason, Reject, Rules, TaggedReject, parse_with_form};
use ovation_shell::{
    Batch, Failure, Output, Params, REJECT_KEY, RecordRef, SourceRecord, TICK_KEY, Transform, reason,
};

/// The module.
#[derive(Debug, Default)]
pub struct Validate {
    rules: Rules,
    partition: u32,
}

impl Transform for Validate {
    fn open(params: &Params) -> Result<Self, String> {
        let failed = |error: String| format!("failed to open validate: {error}");
        let rules = Rules::read(|name| params.get(name)).map_err(failed)?;
        let partition =
            params.parse("ovation.partition", 0, "a partition").map_err(|error| failed(error.to_string()))?;
        Ok(Self { rules, partition })
    }

    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure> {
        let mut canonical = Vec::new();
        for record in batch.records() {
            let record = record.map_err(|error| Failure(error.to_string()))?;
            self.judge(batch, &record, &mut canonical, out);
        }
        Ok(())
    }
}

impl Validate {
    /// `canonical` is a buffer that lives as long as the batch.
    fn judge(&self, batch: &Batch<'_>, record: &RecordRef<'_>, canonical: &mut Vec<u8>, out: &mut Output) {
        let source = SourceRecord::of(batch, record);
        let SourceRecord { key, timestamp, offset, .. } = source;
        let origin = Origin { key, timestamp, partition: self.partition, offset };
        let parsed = if source.is_reserved() {
            // A client that uses one could pass off its own text as a reject.
            Err(Reject::new(Reason::KeyMismatch, reason::RESERVED_KEY))
        } else {
            parse_with_form(record.value, &origin, &self.rules)
        };
        match parsed {
            Ok(Parsed { form: Form::Canonical, .. }) => out.pass(record),
            Ok(Parsed { event: Event::Reaction(reaction), form }) => {
                canonical.clear();
                match form {
                    Form::Countless(at) => {
                        let (before, behind) = record.value.split_at(at);
                        canonical.extend_from_slice(before);
                        canonical.extend_from_slice(br#","count":1"#);
                        canonical.extend_from_slice(behind);
                    }
                    _ => reaction.write(canonical),
                }
                out.replace(record, record.key, canonical);
            }
            Ok(Parsed { event: Event::Tick(time), .. }) => {
                let tick = format!(r#"{{"tick":{time}}}"#);
                out.replace(record, Some(TICK_KEY.as_bytes()), tick.as_bytes());
            }
            Err(reject) => {
                let tagged = TaggedReject::new(
                    reject.reason.code(),
                    &reject.detail,
                    reject.room.as_deref(),
                    record.value,
                );
                let value = serde_json::to_vec(&tagged).unwrap_or_default();
                out.replace(record, Some(REJECT_KEY.as_bytes()), &value);
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_shell::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<super::Validate> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
