//! How many may come at a time, and how long they may take, from the command line.

use std::time::Duration;

use clap::Args;
use ovation_gateway::Connections;

use crate::args::duration;

#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    /// Open connections, feeds apart; when all are taken, idle ones make room.
    #[arg(
        long,
        env = "OVATION_CONNECTIONS_MAX",
        value_name = "NUMBER",
        default_value = "20000",
        help_heading = "Connections"
    )]
    connections_max: usize,

    /// Open connections of one address, feeds included; more are closed at once. Proxies and exempt networks have no such
    /// limit.
    #[arg(
        long,
        env = "OVATION_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value = "1024",
        help_heading = "Connections"
    )]
    connections_per_address: usize,

    /// Clients of feeds at a time; more are answered 503.
    #[arg(
        long,
        env = "OVATION_FEED_CLIENTS_MAX",
        value_name = "NUMBER",
        default_value = "15000",
        help_heading = "Connections"
    )]
    pub(crate) feed_clients_max: usize,

    /// Time for a request's head to arrive.
    #[arg(long, env = "OVATION_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Connections")]
    header_timeout: Duration,

    /// Longest time between two requests of a connection.
    #[arg(long, env = "OVATION_IDLE_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Connections")]
    idle_timeout: Duration,

    /// How long an answer may wait for a client that does not read.
    #[arg(long, env = "OVATION_WRITE_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Connections")]
    write_timeout: Duration,
}

/// Files that are open beside those of clients: segments, and connections between the parts.
const OTHER_FILES: u64 = 5_000;

impl ConnectionArgs {
    /// Files that may be open when everybody is there.
    pub(crate) fn files(&self) -> u64 {
        self.connections_max as u64 + self.feed_clients_max as u64 + OTHER_FILES
    }

    /// With the rest as it usually is.
    pub(crate) fn connections(&self) -> Connections {
        Connections {
            max: self.connections_max,
            per_address_max: self.connections_per_address,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            write_timeout: self.write_timeout,
            ..Connections::default()
        }
    }
}
