//! `ovation token`: tokens and keys for tests, and for back ends without a library for them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ovation_gateway::{Action, SigningKey, TokenClaims};

use crate::args::duration;
use crate::failure::Failure;
use crate::say;

/// Options of `ovation token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The key that signs: a secret, a JWKS document with a key of type oct, or a PEM private key of Ed25519 or RSA.
    #[arg(long, env = "OVATION_KEYS", value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// Write a new secret to this file, as a JWKS document, instead of making a token.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_keys: Option<PathBuf>,

    /// A room that the token is for, with * for any part, such as 'final-*'. May be given more than once.
    #[arg(long = "room", value_name = "PATTERN", required_unless_present = "new_keys")]
    pub(crate) rooms: Vec<String>,

    /// What it allows, separated by commas: react, watch, admin.
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',', default_value = "react,watch")]
    pub(crate) allow: Vec<Action>,

    /// The user that it is for. Without one a reaction may name any.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// How long it is good, e.g. 2h.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) time: Duration,

    /// Its `iss`, for gateways with that option.
    #[arg(long, env = "OVATION_TOKEN_ISSUER", value_name = "NAME")]
    pub(crate) token_issuer: Option<String>,

    /// Its `aud`, for gateways with that option.
    #[arg(long, env = "OVATION_TOKEN_AUDIENCE", value_name = "NAME")]
    pub(crate) token_audience: Option<String>,
}

/// Runs it.
pub(crate) fn token(args: TokenArgs) -> Result<(), Failure> {
    if let Some(file) = &args.new_keys {
        return write_keys(file);
    }
    let file =
        args.keys.ok_or_else(|| Failure::Invalid("name the key that signs with --keys FILE".to_owned()))?;
    let key = SigningKey::read(&file).map_err(|error| Failure::Invalid(error.to_string()))?;
    let claims = TokenClaims {
        user: args.user,
        rooms: args.rooms,
        allow: args.allow,
        issuer: args.token_issuer,
        audience: args.token_audience,
    };
    let token = key.mint(&claims, args.time).map_err(|error| Failure::Invalid(error.to_string()))?;
    say::line(token);
    Ok(())
}

/// Writes new keys, for their owner's eyes only. A file that is there stays: tokens in use are signed with it.
fn write_keys(file: &Path) -> Result<(), Failure> {
    let failure = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "; it stays as it is, name another one",
            _ => "",
        };
        Failure::Invalid(format!("failed to write the keys to {}: {error}{hint}", file.display()))
    };
    let keys = ovation_gateway::new_keys().map_err(failure)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).and_then(|mut file| file.write_all(keys.as_bytes())).map_err(failure)?;
    say::line(format_args!("keys      {}", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_the_owners_own_and_replace_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.json");
        write_keys(&file).expect("writes");
        let keys = std::fs::read_to_string(&file).expect("reads");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        }
        assert!(ovation_gateway::KeysFile::read(&file).is_ok() && SigningKey::read(&file).is_ok());
        assert!(write_keys(&file).expect_err("refused").to_string().contains("stays as it is"));
        assert_eq!(std::fs::read_to_string(&file).expect("reads"), keys);
    }
}
