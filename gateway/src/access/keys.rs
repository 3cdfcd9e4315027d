//! The keys that tokens are signed with, and the file that holds them.

mod jwks;
mod pem;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(super) use self::jwks::{jwks_in, secret_in};
pub(super) use self::pem::blocks;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

/// Largest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Most keys in a file: enough to change them one after the other, and few enough to try for a token without `kid`.
const KEYS_MAX: usize = 16;

/// Longest `kid`, in bytes.
const KID_BYTES_MAX: usize = 256;

/// Shortest secret, in bytes: as long as the hash of HS256 (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Bytes of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

/// RSA moduli that are taken, in bits: shorter ones are broken, longer ones take too long to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// A file with the keys that tokens are signed with: a JWKS document, PEM public keys, or a plain secret.
#[derive(Clone)]
pub struct KeysFile {
    path: PathBuf,
    stamp: Stamp,
    keys: Arc<Keys>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the keys in {}: {fault}", path.display())]
pub struct KeysError {
    path: PathBuf,
    fault: Fault,
}

impl KeysError {
    pub(super) fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

/// What is wrong with the content of a file of keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the file has more than {FILE_BYTES_MAX} bytes; a file of keys is small")]
    TooLarge,
    #[error("the file is no text; give a JWKS document, a PEM public key or a secret as text")]
    NoText,
    #[error("the file is empty; `ovation token --new-keys FILE` makes a new one")]
    Empty,
    #[error(
        "the secret has {0} bytes, and less than {SECRET_BYTES_MIN} can be guessed; `ovation token --new-keys FILE` makes a good one"
    )]
    ShortSecret(usize),
    #[error("the file is no JWKS document and no PEM key, and a secret is one line without spaces")]
    NoSecret,
    #[error(
        "this is a public key without its frame, which must not be used as a secret; write it as PEM, with the lines -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY-----"
    )]
    BareKey,
    #[error(
        "this is an SSH key; write it as PEM: ssh-keygen -e -m PKCS8 -f FILE for RSA, or make one with openssl genpkey -algorithm ed25519"
    )]
    SshKey,
    #[error(
        "this is a private key, and the gateway only needs the public one: openssl pkey -in FILE -pubout"
    )]
    PrivateKey,
    #[error("this is a certificate; take its key: openssl x509 -in FILE -pubkey -noout")]
    Certificate,
    #[error("{0:?} is no kind of PEM key that is known here; give PUBLIC KEY, of RSA or Ed25519")]
    UnknownPem(String),
    #[error("the PEM key {0} cannot be read as RSA or Ed25519; elliptic curve keys (ES256) are not taken")]
    UnreadablePem(usize),
    #[error("the JSON cannot be read: {0}")]
    Json(String),
    #[error("the JSON is no JWKS document: it has no list `keys`")]
    NoKeyList,
    #[error(
        "the JWK {0} is a private key, and the gateway only needs the public one: leave out `d` and what follows from it"
    )]
    PrivateJwk(String),
    #[error("there are {0} keys; at most {KEYS_MAX} are taken")]
    TooMany(usize),
    #[error("no key can be used: {0}")]
    NoneUsable(String),
    #[error("the RSA key has {0} bits; from 2,048 to 4,096 are taken")]
    RsaBits(usize),
    #[error("the RSA key's exponent cannot be used")]
    RsaExponent,
    #[error(
        "the file holds no key that signs; give a secret, a JWKS document with a key of type oct, or a PEM private key of RSA or Ed25519"
    )]
    NothingSigns,
}

impl KeysFile {
    /// Reads the keys of a file.
    ///
    /// # Errors
    ///
    /// [`KeysError`] says what is wrong with the file, and the way out.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        let read = || {
            // Before the content: a change while it is read is found at the next look.
            let stamp = Stamp::of(path)?;
            let keys = Keys::parse(&text_of(path)?)?;
            Ok(Self { path: path.to_owned(), stamp, keys: Arc::new(keys) })
        };
        read().map_err(|fault| KeysError::new(path, fault))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys)
    }
}

impl fmt::Debug for KeysFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysFile").field("path", &self.path).field("keys", &self.keys).finish()
    }
}

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    /// The file as it is now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path)
            .map(|file: Metadata| Self { modified: file.modified().ok(), bytes: file.len() })
    }
}

/// The text of a file of keys.
pub(super) fn text_of(path: &Path) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Fault::NoText)
}

/// What a file of keys holds, told by its content.
pub(super) enum Content<'a> {
    /// A JSON document.
    Json(&'a str),
    /// PEM blocks.
    Pem(&'a str),
    /// A secret.
    Secret(&'a [u8]),
}

impl<'a> Content<'a> {
    /// Tells what `text` is. What is public must never pass as a secret: whoever has it could sign.
    pub(super) fn of(text: &'a str) -> Result<Self, Fault> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        if text.starts_with(['{', '[']) {
            return Ok(Self::Json(text));
        }
        if text.contains(pem::BEGIN) {
            return Ok(Self::Pem(text));
        }
        if ["ssh-", "ecdsa-sha2-", "sk-ssh-"].iter().any(|start| text.starts_with(start)) {
            return Err(Fault::SshKey);
        }
        // The first bytes of each public key (RFC 5280) of RSA, from 1,024 to 8,192 bits, and of Ed25519.
        if ["MIGfMA0GCSqGSIb3DQEB", "MIIB", "MIIC", "MIID", "MIIE", "MCowBQYDK2Vw"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            return Err(Fault::BareKey);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Fault::NoSecret);
        }
        if text.len() < SECRET_BYTES_MIN {
            return Err(Fault::ShortSecret(text.len()));
        }
        Ok(Self::Secret(text.as_bytes()))
    }
}

/// Keys that tokens are checked with. At least one.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Reads keys in any of the forms.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let keys = match Content::of(text)? {
            Content::Json(json) => jwks::keys_in(json)?,
            Content::Pem(text) => pem::keys_in(text)?,
            Content::Secret(secret) => vec![Key::secret(None, secret)],
        };
        match keys.len() {
            0 => Err(Fault::NoneUsable("there is none".to_owned())),
            count if count > KEYS_MAX => Err(Fault::TooMany(count)),
            _ => Ok(Self(keys)),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token: of this algorithm, and of this name. A token without a name may be from any
    /// of them, and a name that no key has leaves those without one.
    pub(super) fn chosen_by(&self, alg: &str, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let known = kid.is_some() && self.0.iter().any(|key| key.kid.as_deref() == kid);
        self.0.iter().filter(move |key| {
            let named = match (known, kid) {
                (true, kid) => key.kid.as_deref() == kid,
                (false, Some(_)) => key.kid.is_none(),
                (false, None) => true,
            };
            named && name_of(key.algorithm) == alg
        })
    }
}

/// A key for one algorithm.
pub(super) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// A secret for HS256.
    fn secret(kid: Option<String>, secret: &[u8]) -> Self {
        Self { kid, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// An Ed25519 public key for EdDSA.
    fn ed25519(kid: Option<String>, key: [u8; ED25519_BYTES]) -> Self {
        Self { kid, algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(&key) }
    }

    /// An RSA public key for RS256.
    fn rsa(kid: Option<String>, modulus: &[u8], exponent: &[u8]) -> Result<Self, Fault> {
        let bits = bits_in(modulus);
        if !RSA_BITS.contains(&bits) {
            return Err(Fault::RsaBits(bits));
        }
        // What the check takes: odd, and of 2 to 33 bits.
        if !(2..=33).contains(&bits_in(exponent)) || exponent.last().is_none_or(|last| last % 2 == 0) {
            return Err(Fault::RsaExponent);
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Self { kid, algorithm: Algorithm::RS256, key })
    }

    /// Whether `signature`, in base64url, is this key's under `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        // A signature that cannot be read is one that is not this key's.
        crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The name of an algorithm in a token's header.
fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::EdDSA => "EdDSA",
        // No key is for another one.
        _ => "",
    }
}

/// Bits of a number, the highest byte first.
fn bits_in(number: &[u8]) -> usize {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let Some(first) = number.get(leading) else { return 0 };
    (number.len() - leading) * 8 - first.leading_zeros() as usize
}

/// Reads base64url; its padding may be there or not.
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests;
