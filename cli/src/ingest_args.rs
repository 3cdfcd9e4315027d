//! How reactions are taken in, from the command line and from the topology.

use std::time::Duration;

use clap::Args;
use ovation_gateway::{Ingest, Rules};
use ovation_topology::{ModuleSource, Stage, Topology};

use crate::args::duration;
use crate::failure::Failure;

/// The modules whose parameters say what the broker will make of a reaction.
const JUDGE: &str = "ovation-validate";
const COUNTER: &str = "ovation-window";

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Largest body with one reaction, before and after decompression.
    #[arg(long, env = "OVATION_BODY_MAX", value_name = "SIZE", default_value = "16KiB", value_parser = size, help_heading = "Taking reactions in")]
    pub(crate) body_max: usize,

    /// Largest body with many reactions, as it is sent.
    #[arg(long, env = "OVATION_BATCH_MAX", value_name = "SIZE", default_value = "256KiB", value_parser = size, help_heading = "Taking reactions in")]
    pub(crate) batch_max: usize,

    /// Largest body with many reactions after decompression.
    #[arg(long, env = "OVATION_BATCH_INFLATED_MAX", value_name = "SIZE", default_value = "1MiB", value_parser = size, help_heading = "Taking reactions in")]
    pub(crate) batch_inflated_max: usize,

    /// Most reactions in one request.
    #[arg(
        long,
        env = "OVATION_BATCH_ITEMS_MAX",
        value_name = "NUMBER",
        default_value = "1000",
        help_heading = "Taking reactions in"
    )]
    pub(crate) batch_items_max: usize,

    /// Most arrays and objects within each other in what a client sends.
    #[arg(
        long,
        env = "OVATION_JSON_DEPTH_MAX",
        value_name = "NUMBER",
        default_value = "8",
        help_heading = "Taking reactions in"
    )]
    pub(crate) json_depth_max: usize,

    /// Time for a request's body to arrive.
    #[arg(long, env = "OVATION_BODY_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Taking reactions in")]
    pub(crate) body_timeout: Duration,

    /// How far a client's `ts` may be from this machine's clock.
    #[arg(long, env = "OVATION_INGEST_SKEW", value_name = "DURATION", default_value = "5s", value_parser = duration, help_heading = "Taking reactions in")]
    pub(crate) ingest_skew: Duration,

    /// Time for the broker to acknowledge a reaction; after it the answer is 503.
    #[arg(long, env = "OVATION_PRODUCE_DEADLINE", value_name = "DURATION", default_value = "5s", value_parser = duration, help_heading = "Taking reactions in")]
    pub(crate) produce_deadline: Duration,

    /// Reactions on their way to the broker at a time; more are answered 503 at once.
    #[arg(
        long,
        env = "OVATION_IN_FLIGHT_MAX",
        value_name = "NUMBER",
        default_value = "20000",
        help_heading = "Taking reactions in"
    )]
    pub(crate) in_flight_max: usize,

    /// Ids of clients that are known again, about 200 bytes each.
    #[arg(
        long,
        env = "OVATION_RECENT_IDS_MAX",
        value_name = "NUMBER",
        default_value = "100000",
        help_heading = "Taking reactions in"
    )]
    pub(crate) recent_ids_max: usize,

    /// Merge taps on the same emoji in a room that come within this time, e.g. 5ms; only those that have no id, user or
    /// time of their own. Off by default.
    #[arg(long, env = "OVATION_INGEST_COMBINE", value_name = "DURATION", value_parser = duration, help_heading = "Taking reactions in")]
    pub(crate) ingest_combine: Option<Duration>,
}

impl IngestArgs {
    /// With what the stage that counts the reactions says of them.
    pub(crate) fn ingest(&self, topology: &Topology, stage: &Stage) -> Result<Ingest, Failure> {
        let parameter = |module: &str, name: &str| {
            stage.transforms.iter().find_map(|transform| {
                let source = &topology.smartmodule(&transform.uses)?.source;
                let is_it = matches!(source, ModuleSource::Builtin(builtin) if builtin == module);
                is_it.then(|| transform.with.get(name).map(String::as_str))?
            })
        };
        let usual = Ingest::default();
        let horizon = parameter(COUNTER, "dedup.horizon-ms").and_then(|text| text.parse().ok());
        Ok(Ingest {
            body_bytes_max: self.body_max,
            batch_bytes_max: self.batch_max,
            batch_inflated_bytes_max: self.batch_inflated_max,
            batch_items_max: self.batch_items_max,
            json_depth_max: self.json_depth_max,
            body_timeout: self.body_timeout,
            skew: self.ingest_skew,
            rules: Rules::read(|name| parameter(JUDGE, name)).map_err(Failure::Invalid)?,
            in_flight_max: self.in_flight_max,
            produce_deadline: self.produce_deadline,
            dedup_horizon: horizon.map_or(usual.dedup_horizon, Duration::from_millis),
            recent_ids_max: self.recent_ids_max,
            combine: self.ingest_combine,
            ..usual
        })
    }
}

/// `65536`, `64KiB`, `1MiB`.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err("expected bytes, KiB or MiB, as in 64KiB".to_owned()),
    };
    let number: Option<usize> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "expected a size, such as 64KiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("65536"), Ok(65_536));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("2MiB"), Ok(2 << 20));
        for wrong in ["", "KiB", "1GB", "-1", "99999999999999999999", "18446744073709551615MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
