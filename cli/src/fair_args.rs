//! What of fair use and rooms is said on the command line.

use std::path::PathBuf;

use clap::Args;
use ovation_gateway::{Config, Fair, Network, Rate, RoomRules, Rooms};
use ovation_topology::Topology;

use crate::failure::Failure;

/// A heading of each option, since one for the group would hold for all that come after it too.
const HEADING: &str = "Fair use";

#[derive(Debug, Args)]
pub(crate) struct FairArgs {
    /// Reactions of one user: RATE/s or RATE/m, with :BURST for how many at once; or off.
    #[arg(long, help_heading = HEADING, env = "OVATION_LIMIT_USER", value_name = "RATE", default_value = "20/s:100", value_parser = limit)]
    limit_user: Limit,

    /// Reactions from one address, or from one /64 of IPv6; or off.
    #[arg(long, help_heading = HEADING, env = "OVATION_LIMIT_ADDRESS", value_name = "RATE", default_value = "2000/s:10000", value_parser = limit)]
    limit_address: Limit,

    /// Reactions in one room, on this gateway; or off.
    #[arg(long, help_heading = HEADING, env = "OVATION_LIMIT_ROOM", value_name = "RATE", default_value = "20000/s:40000", value_parser = limit)]
    limit_room: Limit,

    /// Networks without a limit by address, e.g. 10.0.0.0/8,2001:db8::/32, or none; this machine if left out.
    #[arg(long, help_heading = HEADING, env = "OVATION_EXEMPT", value_name = "NETWORKS")]
    exempt: Option<String>,

    /// TOML file with what rooms take: a list of rules with match = "final-*", and open = false or a list of emoji. The
    /// first rule that matches a room holds.
    #[arg(long, help_heading = HEADING, env = "OVATION_ROOMS", value_name = "FILE")]
    rooms: Option<PathBuf>,

    /// Topic with the settings that admins give to rooms; if left out, the topology's topic that is named like the first
    /// stage's source with `-rooms` for `-events`.
    #[arg(long, help_heading = HEADING, env = "OVATION_ROOMS_TOPIC", value_name = "NAME")]
    rooms_topic: Option<String>,
}

/// A limit, or none. (clap takes an `Option` for an option that may be missing.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<Rate>);

fn limit(text: &str) -> Result<Limit, String> {
    Rate::read(text).map(Limit).map_err(|error| error.to_string())
}

/// Fair use and rooms, as the gateway takes them.
#[derive(Debug, Clone)]
pub(crate) struct FairUse {
    fair: Fair,
    rooms: Rooms,
    /// The default with the exempt networks that were named, if any were.
    network: Option<Network>,
}

impl FairUse {
    /// Puts it into the gateway's configuration.
    pub(crate) fn configure(self, config: &mut Config) {
        config.fair = self.fair;
        config.rooms = self.rooms;
        if let Some(network) = self.network {
            config.network.exempt = network.exempt;
        }
    }
}

impl FairArgs {
    /// What was asked for, with the topic for rooms that `topology` has. Reads the rules, so it comes before anything is
    /// started.
    pub(crate) fn fair_use(&self, topology: &Topology) -> Result<FairUse, Failure> {
        let fair = Fair {
            per_user: self.limit_user.0,
            per_address: self.limit_address.0,
            per_room: self.limit_room.0,
            ..Fair::default()
        };
        let topic = self.rooms_topic.clone().or_else(|| topic_in(topology));
        let rooms = Rooms { rules: self.rules()?, topic, ..Rooms::default() };
        Ok(FairUse { fair, rooms, network: self.network()? })
    }

    fn network(&self) -> Result<Option<Network>, Failure> {
        let Some(list) = self.exempt.as_deref().map(str::trim) else { return Ok(None) };
        let exempt = if list == "none" {
            Vec::new()
        } else {
            let read = |item: &str| {
                Network::parse(item.trim()).map_err(|error| {
                    Failure::Invalid(format!("--exempt: {error}, several with commas, or none"))
                })
            };
            list.split(',').map(read).collect::<Result<_, _>>()?
        };
        Ok(Some(Network { exempt, ..Network::default() }))
    }

    fn rules(&self) -> Result<RoomRules, Failure> {
        let Some(file) = &self.rooms else { return Ok(RoomRules::default()) };
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::Invalid(format!(
                "failed to read the room rules {name}: {error}; name another with --rooms"
            ))
        })?;
        RoomRules::parse(&text)
            .map_err(|error| Failure::Invalid(format!("failed to read the room rules {name}: {error}")))
    }
}

/// The topic that goes with the first stage's source: `emoji-rooms` with `emoji-events`.
fn topic_in(topology: &Topology) -> Option<String> {
    let source = &topology.stages.first()?.source;
    let name = format!("{}-rooms", source.strip_suffix("-events")?);
    topology.topics.iter().any(|topic| topic.name == name).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        fair: FairArgs,
    }

    fn read(args: &[&str]) -> Result<FairUse, String> {
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../topology.yaml"));
        let topology = crate::parts::topology(shipped).map_err(|failure| failure.to_string())?;
        let line = Line::try_parse_from([&["ovation"], args].concat()).map_err(|error| error.to_string())?;
        line.fair.fair_use(&topology).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_defaults_are_the_gateways_own() {
        let fair = read(&[]).expect("reads");
        assert_eq!(fair.fair, Fair::default());
        assert_eq!(fair.network, None);
        assert_eq!(fair.rooms.topic.as_deref(), Some("emoji-rooms"));
    }

    #[test]
    fn each_option_arrives() {
        let args = ["--limit-user", "5/m:7", "--limit-address", "off", "--limit-room", "9/s"];
        let fair = read(&args).expect("reads").fair;
        assert_eq!((fair.per_user, fair.per_address), (Rate::per_minute(5, 7).ok(), None));
        assert_eq!(fair.per_room, Rate::per_second(9, 9).ok());
        let exempt = |list| read(&["--exempt", list]).expect("reads").network.expect("named").exempt;
        assert_eq!(exempt("10.0.0.0/8, 2001:db8::1").len(), 2);
        assert!(exempt("none").is_empty());
        assert_eq!(read(&["--rooms-topic", "mine"]).expect("reads").rooms.topic.as_deref(), Some("mine"));
    }

    #[test]
    fn mistakes_name_the_option_or_the_file() {
        let rate = read(&["--limit-user", "20"]).expect_err("refused");
        assert!(rate.contains("--limit-user") && rate.contains("20/s:100"), "{rate}");
        let network = read(&["--exempt", "10.0.0.0/99"]).expect_err("refused");
        assert!(network.contains("--exempt") && network.contains("10.0.0.0/8"), "{network}");
        let missing = read(&["--rooms", "no-such-file.toml"]).expect_err("refused");
        assert!(missing.contains("no-such-file.toml") && missing.contains("--rooms"), "{missing}");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[[room]]\nmatch = \"a\"\nemoji = [\"fire\"]\n").expect("writes");
        let name = file.path().to_str().expect("text");
        let rules = read(&["--rooms", name]).expect_err("refused");
        assert!(rules.contains(name) && rules.contains("rule 1") && rules.contains("fire"), "{rules}");
    }
}
