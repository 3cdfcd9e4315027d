//! Who may use the gateway, as the command line says it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ovation_gateway::{AccessConfig, KeysFile, Network, OriginPattern};

use crate::failure::Failure;

/// Options of whatever serves the gateway.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// Keys that tokens are signed with: a JWKS document, PEM public keys, or a secret of 32 bytes or more. Read again when
    /// the file changes. Without it everybody may react and watch.
    #[arg(long, env = "OVATION_KEYS", value_name = "FILE", help_heading = "Who may")]
    pub(crate) keys: Option<PathBuf>,

    /// Let everybody react and watch, without tokens, on an address that other machines can reach.
    #[arg(long, env = "OVATION_OPEN", help_heading = "Who may")]
    pub(crate) open: bool,

    /// Origins of pages that may use the gateway, besides its own, separated by commas: https://a.example,
    /// https://*.example.com, http://localhost:*, or * for all.
    #[arg(long, env = "OVATION_ORIGINS", value_name = "LIST", help_heading = "Who may")]
    pub(crate) origins: Vec<String>,

    /// Networks of proxies whose X-Forwarded-For is believed, separated by commas, e.g. 10.0.0.0/8,192.0.2.7.
    #[arg(long, env = "OVATION_TRUSTED_PROXIES", value_name = "LIST", help_heading = "Who may")]
    pub(crate) trusted_proxies: Vec<String>,

    /// What a token's `iss` has to be.
    #[arg(long, env = "OVATION_TOKEN_ISSUER", value_name = "NAME", help_heading = "Who may")]
    pub(crate) token_issuer: Option<String>,

    /// What a token's `aud` has to name.
    #[arg(long, env = "OVATION_TOKEN_AUDIENCE", value_name = "NAME", help_heading = "Who may")]
    pub(crate) token_audience: Option<String>,
}

/// Who may, as the gateway takes it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) access: AccessConfig,
    pub(crate) network: Network,
}

impl AccessArgs {
    /// What was asked for, for a gateway at `address`. Reads the keys.
    ///
    /// A gateway that other machines can reach is open on purpose or not at all, so this comes before anything is started.
    pub(crate) fn entry(&self, address: SocketAddr) -> Result<Entry, Failure> {
        let loopback = address.ip().to_canonical().is_loopback();
        let keys = match (&self.keys, self.open) {
            (Some(_), true) => {
                let text = "--keys lets those in who have a token, and --open everybody: give one of them";
                return Err(Failure::Invalid(text.to_owned()));
            }
            (None, false) if !loopback => return Err(Failure::Invalid(unguarded(address))),
            (Some(file), false) => {
                let keys = KeysFile::read(file).map_err(|error| Failure::Invalid(error.to_string()))?;
                Some(keys)
            }
            (None, _) => None,
        };
        let access = AccessConfig {
            keys,
            open: self.open,
            loopback,
            origins: each("--origins", &self.origins, str::parse::<OriginPattern>)?,
            issuer: self.token_issuer.clone(),
            audience: self.token_audience.clone(),
            ..AccessConfig::default()
        };
        let trusted_proxies = each("--trusted-proxies", &self.trusted_proxies, Network::parse)?;
        let network = Network { trusted_proxies, ..Network::default() };
        Ok(Entry { access, network })
    }
}

fn unguarded(address: SocketAddr) -> String {
    format!(
        "failed to start the gateway: other machines can reach {address}, and nothing says who may react and watch there\n\
         - with tokens: --keys FILE (`ovation token --new-keys FILE` makes keys, `ovation token --keys FILE` tokens)\n\
         - everybody: --open"
    )
}

/// Reads each of some lists with commas.
fn each<T, E: std::fmt::Display>(
    option: &str,
    lists: &[String],
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Failure> {
    lists
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| read(item).map_err(|error| Failure::Invalid(format!("{option}: {error}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn entry(address: &str, args: &[&str]) -> Result<Entry, String> {
        let line = Line::try_parse_from(["ovation"].iter().chain(args)).map_err(|error| error.to_string())?;
        line.access.entry(address.parse().expect("an address")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_address_that_others_reach_needs_keys_or_to_be_open() {
        for address in ["127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert!(entry(address, &[]).expect("starts").access.loopback, "{address}");
        }
        for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080"] {
            let text = entry(address, &[]).expect_err(address);
            assert!(text.contains("--keys FILE") && text.contains("--open"), "{text}");
            assert!(!entry(address, &["--open"]).expect("starts").access.loopback, "{address}");
        }
        assert!(
            entry("0.0.0.0:8080", &["--open", "--keys", "x"]).expect_err("both").contains("give one of them")
        );
    }

    #[test]
    fn keys_are_read_before_anything_starts() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("text");
        std::fs::write(file.path(), "short").expect("writes");
        assert!(entry("0.0.0.0:8080", &["--keys", path]).expect_err("refused").contains("5 bytes"));
        std::fs::write(file.path(), "a-secret-that-is-long-enough-to-be-one").expect("writes");
        assert!(entry("0.0.0.0:8080", &["--keys", path]).expect("starts").access.keys.is_some());
    }

    #[test]
    fn lists_come_with_commas_or_one_by_one() {
        let args = ["--origins", "https://a.example, https://*.b.example", "--origins", "http://localhost:*"];
        assert_eq!(entry("127.0.0.1:1", &args).expect("reads").access.origins.len(), 3);
        let args = ["--trusted-proxies", "10.0.0.0/8,192.0.2.7,::1"];
        let network = entry("127.0.0.1:1", &args).expect("reads").network;
        assert!(network.is_proxy([10, 1, 2, 3].into()) && network.is_proxy([192, 0, 2, 7].into()));
        assert!(!network.is_proxy([192, 0, 2, 8].into()));
        for (option, value) in [("--origins", "a.example"), ("--trusted-proxies", "10.0.0.0/99")] {
            let text = entry("127.0.0.1:1", &[option, value]).expect_err("refused");
            assert!(text.starts_with(option) && text.contains(value), "{text}");
        }
    }
}
