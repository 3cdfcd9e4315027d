use ovation_client::{Error as ClientError, ProduceError};

use crate::router::Breach;
use crate::status::Cause;

/// Why a task ended.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// Starting again, from the checkpoint, is the way out.
    #[error("{1}")]
    Restart(Cause, String),
    /// Somebody has to decide.
    #[error("{0}")]
    Stop(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Restart(Cause::Broker, error.to_string())
    }
}

impl From<ProduceError> for Failure {
    fn from(error: ProduceError) -> Self {
        Failure::Restart(Cause::Broker, error.to_string())
    }
}

impl From<Breach> for Failure {
    fn from(breach: Breach) -> Self {
        Failure::Restart(Cause::Chain, format!("failed to use what the chain returned: {breach}"))
    }
}
