//! Who may: keys, tokens and what they allow; and which pages browsers may come from.
//!
//! Without keys everybody may react and watch, in every room. With keys nobody may without a token, a JWT that names the
//! rooms and the actions. A key says itself which algorithm it is for; a token's header only chooses among the keys.

mod bearer;
mod browser;
mod caller;
mod claims;
mod denied;
pub(crate) mod fuzzing;
mod grant;
mod keys;
mod mint;
mod origin;
mod pattern;
mod signature;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub(crate) use self::bearer::{PROTOCOL, token_in, token_in_upgrade};
pub(crate) use self::browser::cors_layer;
pub(crate) use self::caller::{Address, Caller};
use self::claims::Expected;
pub(crate) use self::denied::Denied;
pub use self::grant::Action;
pub(crate) use self::grant::Grant;
use self::keys::{Keys, Stamp};
pub use self::keys::{KeysError, KeysFile};
pub use self::mint::{MintError, SigningKey, TokenClaims, new_keys};
pub use self::origin::{OriginError, OriginPattern};
use crate::ingest::now_ms;

/// Largest token, in bytes: a header line of that size is what proxies let through.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verified tokens in memory, as far as they fit into [`CACHE_BYTES_MAX`].
const CACHED_TOKENS_MAX: usize = 10_000;

/// What verified tokens may take, in bytes: a usual one has 300, and its grant as many.
const CACHE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What a cached token costs besides its text and its room patterns, in bytes.
const CACHED_TOKEN_OVERHEAD_BYTES: usize = 256;

/// How often the keys' file is looked at.
const KEYS_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Who may use the gateway.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// Keys that tokens are signed with. None: everybody may react and watch, nobody may administer.
    pub keys: Option<KeysFile>,
    /// Without keys: whether that was asked for. It lets a gateway on a loopback address answer to any host name.
    pub open: bool,
    /// Whether the gateway listens on a loopback address only.
    pub loopback: bool,
    /// Pages that browsers may come from, besides the gateway's own. On a loopback address none means those of this
    /// machine.
    pub origins: Vec<OriginPattern>,
    /// What a token's `iss` has to be; not looked at if none.
    pub issuer: Option<String>,
    /// What a token's `aud` has to name; not looked at if none.
    pub audience: Option<String>,
    /// Time for a feed client without a token to send one: a second or two for a phone that fetches it first.
    pub auth_timeout: Duration,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            keys: None,
            open: false,
            loopback: false,
            origins: Vec::new(),
            issuer: None,
            audience: None,
            auth_timeout: Duration::from_secs(10),
        }
    }
}

/// Tells who may what.
pub(crate) struct Access {
    /// None: everybody may react and watch.
    keyring: Option<Keyring>,
    everyone: Arc<Grant>,
    expected: Expected,
    origins: Vec<OriginPattern>,
    loopback: bool,
    /// Whether only names of this machine are answered to.
    own_names_only: bool,
}

/// The keys, and where they come from.
struct Keyring {
    path: PathBuf,
    /// The file when it was last looked at.
    seen: Mutex<Option<Stamp>>,
    set: RwLock<Arc<KeySet>>,
}

/// Keys with the tokens that were verified with them: other keys begin with no token at all.
struct KeySet {
    keys: Arc<Keys>,
    verified: Cache<Box<str>, Arc<Grant>, Bytes>,
}

impl KeySet {
    fn new(keys: Arc<Keys>) -> Arc<Self> {
        Arc::new(Self { keys, verified: Cache::with_weighter(CACHED_TOKENS_MAX, CACHE_BYTES_MAX, Bytes) })
    }
}

/// Weighs cached tokens by the memory they take.
#[derive(Clone)]
struct Bytes;

impl Weighter<Box<str>, Arc<Grant>> for Bytes {
    fn weight(&self, token: &Box<str>, grant: &Arc<Grant>) -> u64 {
        (token.len() + grant.bytes() + CACHED_TOKEN_OVERHEAD_BYTES) as u64
    }
}

impl Access {
    /// Access as configured.
    pub(crate) fn new(config: &AccessConfig) -> Arc<Self> {
        let keyring = config.keys.as_ref().map(|file| Keyring {
            path: file.path().to_owned(),
            seen: Mutex::new(Some(file.stamp())),
            set: RwLock::new(KeySet::new(file.keys())),
        });
        Arc::new(Self {
            own_names_only: config.loopback && keyring.is_none() && !config.open,
            keyring,
            everyone: Arc::new(Grant::everyone()),
            expected: Expected { issuer: config.issuer.clone(), audience: config.audience.clone() },
            origins: config.origins.clone(),
            loopback: config.loopback,
        })
    }

    /// Whether a token is needed.
    pub(crate) fn needs_token(&self) -> bool {
        self.keyring.is_some()
    }

    /// What the bearer of `token` may do.
    pub(crate) fn grant_of(&self, token: Option<&str>) -> Result<Arc<Grant>, Denied> {
        let Some(keyring) = &self.keyring else { return Ok(Arc::clone(&self.everyone)) };
        let token = token.ok_or(Denied::NoToken)?;
        let now = now_ms();
        let set = keyring.set();
        if let Some(grant) = set.verified.get(token) {
            if !grant.is_over(now) {
                return Ok(grant);
            }
            set.verified.remove(token);
            return Err(Denied::Expired);
        }
        let payload = signature::payload_of(token, &set.keys)?;
        let grant = Arc::new(claims::grant_in(&payload, &self.expected, now)?);
        set.verified.insert(token.into(), Arc::clone(&grant));
        Ok(grant)
    }

    /// Looks at the keys' file every few seconds and takes new keys over, until `shutdown`.
    pub(crate) async fn follow_keys(self: Arc<Self>, shutdown: CancellationToken) {
        if self.keyring.is_none() {
            return;
        }
        let mut look = tokio::time::interval(KEYS_LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(look.tick()).await.is_some() {
            let access = Arc::clone(&self);
            // A file may lie on a disk that takes its time.
            if let Err(error) = tokio::task::spawn_blocking(move || access.look_at_keys()).await {
                tracing::error!(%error, "failed to look at the keys");
            }
        }
    }

    /// Takes the keys over if their file has changed. A mistake in it is said once, and keeps the keys that there are.
    fn look_at_keys(&self) {
        let Some(keyring) = &self.keyring else { return };
        let stamp = Stamp::of(&keyring.path).ok();
        {
            let mut seen = keyring.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == stamp {
                return;
            }
            *seen = stamp;
        }
        match KeysFile::read(&keyring.path) {
            Ok(file) => {
                let keys = file.keys();
                tracing::info!(file = %keyring.path.display(), keys = keys.len(), "keys read again: the file has changed");
                *keyring.set.write().unwrap_or_else(PoisonError::into_inner) = KeySet::new(keys);
            }
            Err(error) => tracing::error!(%error, "keys not read again; those from before stay"),
        }
    }
}

impl Keyring {
    fn set(&self) -> Arc<KeySet> {
        // The set is replaced whole, so a panic elsewhere is no reason to stop.
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod router_tests;
#[cfg(test)]
mod tests;
