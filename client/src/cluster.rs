use std::sync::Arc;
use std::time::Duration;

use fluvio::{Fluvio, FluvioClusterConfig};

use crate::connector::PromptConnector;
use crate::directory;
use crate::error::Error;

/// Where a broker is and how long to wait for it. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Cluster {
    endpoint: Arc<str>,
    client_id: Arc<str>,
    connect_deadline: Duration,
    request_deadline: Duration,
}

impl Cluster {
    /// A cluster whose control port is at `endpoint` (HOST:PORT), with deadlines of 5 s to connect and 10 s for an
    /// answer.
    pub fn new(endpoint: impl AsRef<str>) -> Self {
        Self {
            endpoint: Arc::from(endpoint.as_ref()),
            client_id: Arc::from("ovation"),
            connect_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(10),
        }
    }

    /// The name that the broker sees for this client's connections.
    #[must_use]
    pub fn client_id(mut self, id: &str) -> Self {
        self.client_id = Arc::from(id);
        self
    }

    /// Deadline for a connection to be made, the first exchange included.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// Deadline for the answer to a single request.
    #[must_use]
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// HOST:PORT of the control port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A Fluvio client of its own connection, within the deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`].
    pub async fn connect(&self) -> Result<Fluvio, Error> {
        let mut config = FluvioClusterConfig::new(self.endpoint());
        config.client_id = Some(self.client_id.to_string());
        let connecting = Fluvio::connect_with_connector(Box::new(PromptConnector), &config);
        match tokio::time::timeout(self.connect_deadline, connecting).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(unreachable(self.endpoint(), &error)),
            Err(_) => Err(silent(self.endpoint(), self.connect_deadline)),
        }
    }

    /// How many partitions a topic has, or `None` when there is no such topic.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        match directory::look_up(self, topic).await {
            Ok(entry) => Ok(Some(entry.partitions)),
            Err(Error::NoTopic(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn deadline_to_connect(&self) -> Duration {
        self.connect_deadline
    }

    pub(crate) fn deadline_to_answer(&self) -> Duration {
        self.request_deadline
    }
}

/// The sentence for a connection that failed, with the deepest cause: "connection refused" rather than a stack of
/// wrappers around it.
pub(crate) fn unreachable(endpoint: &str, error: &anyhow::Error) -> Error {
    let reason = match error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(io) => plain(io),
        None => error.root_cause().to_string(),
    };
    Error::Unreachable { endpoint: endpoint.to_owned(), reason }
}

pub(crate) fn silent(endpoint: &str, deadline: Duration) -> Error {
    Error::Unreachable { endpoint: endpoint.to_owned(), reason: format!("no answer within {deadline:?}") }
}

/// "connection refused" instead of "Connection refused (os error 111)"; what has no plain kind keeps its text.
fn plain(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        ConnectionRefused | ConnectionReset | ConnectionAborted | TimedOut => error.kind().to_string(),
        UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    }
}
