//! `ovation topology reset`: begins a new epoch, after it was seen what that means.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use ovation_client::Cluster;
use ovation_topology::{PartitionReset, ResetError, ResetFrom};

use crate::args::ResetArgs;
use crate::failure::Failure;
use crate::{parts, say};

pub(crate) async fn reset(args: ResetArgs) -> Result<(), Failure> {
    let topology = parts::topology(args.file.path())?;
    let cluster = Cluster::new(&args.cluster.cluster);
    parts::reachable(&cluster).await?;
    let resets = ovation_topology::plan_reset(&cluster, &topology, args.stage.as_deref(), args.from)
        .await
        .map_err(failure)?;
    for reset in &resets {
        for line in sentences(reset, args.from) {
            say::line(line);
        }
    }
    if args.dry_run || !args.yes {
        say::line("nothing was changed; do it with --yes");
        return Ok(());
    }
    ovation_topology::reset(&cluster, &resets).await.map_err(failure)?;
    say::line("done: engines that run go on with the new epoch within a few seconds");
    Ok(())
}

/// What becomes of the old epoch, of the source, and of the sink.
fn sentences(reset: &PartitionReset, from: ResetFrom) -> Vec<String> {
    let PartitionReset { stage, partition, epoch, seq, next_epoch, offset, .. } = reset;
    let checkpoint = match reset.checkpoint {
        Some(offset) => format!("checkpoint at offset {offset}"),
        None => "no checkpoint to go on from".to_owned(),
    };
    let count =
        |number: i64, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") };
    let mut work = format!("{} to process", count(reset.to_process(), "source record"));
    if reset.again() > 0 {
        work += &format!(", at least {} of them again", reset.again());
    }
    if reset.left_out() > 0 {
        work += &format!("; {} behind that checkpoint are left out", count(reset.left_out(), "record"));
    }
    vec![
        format!(
            "stage {stage}, partition {partition}: epoch {epoch} ({}, {checkpoint}) ends; epoch {next_epoch} begins at \
             offset {offset}{}",
            count(i64::try_from(*seq).unwrap_or(i64::MAX), "result"),
            why(reset, from)
        ),
        format!("  source: {work}"),
        format!(
            "  sink {}: {} there stay; those of epoch {next_epoch} come behind them, and readers take the newer epoch",
            reset.sink,
            count(reset.sink_records, "result")
        ),
    ]
}

/// How the offset comes from what was asked for, where that is not plain.
fn why(reset: &PartitionReset, from: ResetFrom) -> String {
    let PartitionReset { offset, source_start, high_watermark, .. } = reset;
    match from {
        ResetFrom::Offset(asked) if asked != *offset => {
            format!(", as near to {asked} as the source has it ({source_start} to {high_watermark})")
        }
        ResetFrom::Time(time) if offset == high_watermark => {
            format!(": nothing there is as new as {}", text_of(time))
        }
        ResetFrom::Time(time) => format!(", the first record from {} on", text_of(time)),
        _ => String::new(),
    }
}

fn text_of(time: i64) -> String {
    let time_or_none = DateTime::from_timestamp_millis(time);
    time_or_none
        .map_or_else(|| format!("{time} ms"), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// `beginning`, `now`, an offset, a time, or an age.
pub(crate) fn place(text: &str) -> Result<ResetFrom, String> {
    place_at(text, SystemTime::now())
}

fn place_at(text: &str, now: SystemTime) -> Result<ResetFrom, String> {
    const EXPECTED: &str =
        "expected beginning, now, an offset (1234), a time (2026-11-24T18:00:00Z) or an age (15m, 2h)";
    match text {
        "beginning" => return Ok(ResetFrom::Beginning),
        "now" => return Ok(ResetFrom::Now),
        _ => {}
    }
    if let Ok(offset) = text.parse::<i64>()
        && offset >= 0
    {
        return Ok(ResetFrom::Offset(offset));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(ResetFrom::Time(time.timestamp_millis()));
    }
    let age_ms = age_ms(text).ok_or(EXPECTED)?;
    let now_ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    Ok(ResetFrom::Time(now_ms.saturating_sub(age_ms).max(0)))
}

/// A whole number and one of the units s, m, h, d, in ms.
fn age_ms(text: &str) -> Option<i64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_ms)
}

fn failure(error: ResetError) -> Failure {
    match error {
        ResetError::NoStage(..) | ResetError::NoCheckpoints(_) => Failure::Invalid(error.to_string()),
        _ => Failure::Part(parts::error_text(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_a_word_an_offset_a_time_or_an_age() {
        let now = UNIX_EPOCH + Duration::from_secs(7_200);
        let place = |text| place_at(text, now);
        assert_eq!(place("beginning"), Ok(ResetFrom::Beginning));
        assert_eq!(place("now"), Ok(ResetFrom::Now));
        assert_eq!(place("1234"), Ok(ResetFrom::Offset(1234)));
        assert_eq!(place("1970-01-01T00:00:01.5Z"), Ok(ResetFrom::Time(1_500)));
        assert_eq!(place("1970-01-01T02:00:00+01:00"), Ok(ResetFrom::Time(3_600_000)));
        assert_eq!(place("15m"), Ok(ResetFrom::Time(6_300_000)));
        assert_eq!(place("2h"), Ok(ResetFrom::Time(0)));
        assert_eq!(place("9d"), Ok(ResetFrom::Time(0)), "before all records there are");
        for nonsense in
            ["", "-1", "m", "1.5h", "2026-11-24", "yesterday", "99999999999999999999", "9999999999999d"]
        {
            assert!(place(nonsense).is_err_and(|error| error.contains("expected")), "{nonsense}");
        }
    }
}
