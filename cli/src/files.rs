//! How many files may be open: each client is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sees to it that so many files may be open; as many as may be where they may not, which is the error.
pub(crate) fn allow(needed: u64) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit { current: Some(needed.min(most)), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).map_err(|_| limit.current.unwrap_or(most))?;
    }
    if needed <= most { Ok(()) } else { Err(most) }
}
