use std::future::Future;

use ovation_client::Record;

/// Why nothing can be said: a broker that is away, records that are gone, a module that is not known. A sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unchecked(pub String);

impl From<ovation_client::Error> for Unchecked {
    fn from(error: ovation_client::Error) -> Self {
        Self(error.to_string())
    }
}

/// Stored records of one partition, in the order of their offsets.
pub trait Feed {
    /// The next records; none at the end of what was stored when the feed was opened or last found [`more`](Feed::more).
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Record>>, Unchecked>>;

    /// Waits for records beyond that end, up to a deadline; whether there are some.
    fn more(&mut self) -> impl Future<Output = Result<bool, Unchecked>>;
}
