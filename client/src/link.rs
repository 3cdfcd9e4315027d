use std::sync::Arc;
use std::time::Duration;

use fluvio_protocol::api::Request;
use fluvio_socket::{ClientConfig, MultiplexerSocket, VersionedSerialSocket};

use crate::cluster::{Cluster, silent, unreachable};
use crate::connector::PromptConnector;
use crate::error::Error;

/// One connection to one server, for requests that have one answer. Dropping it closes the connection.
pub(crate) struct Link {
    socket: VersionedSerialSocket,
    endpoint: Arc<str>,
}

impl Link {
    /// Connects to `endpoint` and learns which versions of the protocol it speaks.
    pub(crate) async fn open(cluster: &Cluster, endpoint: &str) -> Result<Self, Error> {
        let mut config = ClientConfig::new(endpoint, Box::new(PromptConnector), false);
        config.set_client_id(cluster.id());
        let deadline = cluster.deadline_to_connect();
        let connected = match tokio::time::timeout(deadline, config.connect()).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(unreachable(endpoint, &error.into())),
            Err(_) => return Err(silent(endpoint, deadline)),
        };
        let (socket, config, versions) = connected.split();
        Ok(Self {
            socket: VersionedSerialSocket::new(MultiplexerSocket::shared(socket), config, versions),
            endpoint: Arc::from(endpoint),
        })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn socket(&self) -> &VersionedSerialSocket {
        &self.socket
    }

    /// Whether the other side has gone, as far as is known.
    pub(crate) fn is_broken(&self) -> bool {
        self.socket.is_stale()
    }

    /// Sends a request and waits for its answer. After an error the link is of no more use: a request that was given
    /// up may have been half written.
    pub(crate) async fn ask<R>(
        &self,
        what: &str,
        deadline: Duration,
        request: R,
    ) -> Result<R::Response, Error>
    where
        R: Request + Send + Sync,
    {
        match tokio::time::timeout(deadline, self.socket.send_receive(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(&self.endpoint, &error.into())),
            Err(_) => {
                Err(Error::Deadline { what: what.to_owned(), endpoint: self.endpoint.to_string(), deadline })
            }
        }
    }
}
