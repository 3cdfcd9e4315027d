//! Which requests a port takes, and in which versions of their encoding.

use fluvio_protocol::link::versions::{ApiVersionKey, VERSIONS_API_KEY};

use crate::frame::BadRequest;

/// The request's key, if its version is spoken.
pub(crate) fn check<K: Copy>(
    versions: &[(K, i16, i16)],
    number: impl Fn(K) -> u16,
    key: u16,
    version: i16,
) -> Result<K, BadRequest> {
    let known = versions.iter().find(|(known, ..)| number(*known) == key);
    let (known, oldest, newest) = known.ok_or(BadRequest::Key(key))?;
    if (*oldest..=*newest).contains(&version) {
        Ok(*known)
    } else {
        Err(BadRequest::Version { key, version })
    }
}

/// The table as clients ask for it; the question itself is left out, as Fluvio does.
pub(crate) fn offered<K: Copy>(versions: &[(K, i16, i16)], number: fn(K) -> u16) -> Vec<ApiVersionKey> {
    versions
        .iter()
        .filter(|(key, ..)| number(*key) != VERSIONS_API_KEY)
        .map(|(key, min_version, max_version)| ApiVersionKey {
            api_key: number(*key) as i16,
            min_version: *min_version,
            max_version: *max_version,
        })
        .collect()
}
