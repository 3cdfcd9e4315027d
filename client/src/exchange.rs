use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use fluvio_protocol::Encoder as _;
use fluvio_protocol::api::{Request, RequestMessage, ResponseMessage};
use fluvio_protocol::link::versions::ApiVersionsRequest;
use fluvio_socket::Versions;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, silent, unreachable};
use crate::connector::{acknowledge_at_once, prepare};
use crate::error::Error;

/// Largest answer that is read, in bytes. Those to produce requests, and the list of versions, take a few hundred.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the length that begins each frame.
const LENGTH_BYTES: usize = size_of::<i32>();
/// What servers are told: the release of Fluvio whose published types are used here.
const FLUVIO_VERSION: &str = "0.50.1";

/// One connection to one server for one request after the other, run by the task that asks.
///
/// A [`Link`](crate::link::Link) takes requests from many tasks at once, for which Fluvio's socket has a task and a reactor on
/// threads of their own: four wake-ups across threads for each answer. What has one request on its way at a time needs none.
pub(crate) struct Exchange {
    stream: TcpStream,
    /// The request that goes out, and then the answer.
    buffer: BytesMut,
    /// None until they are asked for, which is the first request.
    versions: Option<Versions>,
    /// Of the last request.
    correlation: i32,
    client_id: Arc<str>,
    endpoint: Arc<str>,
}

impl Exchange {
    /// Connects to `endpoint` and learns which versions of the protocol it speaks.
    pub(crate) async fn open(cluster: &Cluster, endpoint: &str) -> Result<Self, Error> {
        let deadline = cluster.deadline_to_connect();
        let opening = async {
            let stream = TcpStream::connect(endpoint).await?;
            prepare(&stream)?;
            let mut exchange = Self {
                stream,
                buffer: BytesMut::new(),
                versions: None,
                correlation: 0,
                client_id: Arc::from(cluster.id()),
                endpoint: Arc::from(endpoint),
            };
            let hello = ApiVersionsRequest {
                client_version: FLUVIO_VERSION.into(),
                client_os: std::env::consts::OS.into(),
                client_arch: std::env::consts::ARCH.into(),
            };
            exchange.versions = Some(Versions::new(exchange.turn(hello).await?));
            Ok::<_, io::Error>(exchange)
        };
        match tokio::time::timeout(deadline, opening).await {
            Ok(Ok(exchange)) => Ok(exchange),
            Ok(Err(error)) => Err(unreachable(endpoint, &error.into())),
            Err(_) => Err(silent(endpoint, deadline)),
        }
    }

    /// Returns when the other side has gone, or speaks without being asked, which is of no more use. Safe to be dropped.
    pub(crate) async fn over(&self) {
        loop {
            let mut byte = [0];
            match self.stream.readable().await {
                Ok(()) => match self.stream.try_read(&mut byte) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return,
                },
                Err(_) => return,
            }
        }
    }

    /// Whether the other side has gone, as far as is known.
    pub(crate) fn is_over(&self) -> bool {
        self.over().now_or_never().is_some()
    }

    /// Sends a request and waits for its answer. After an error the connection is of no more use: a request that was given up
    /// may have been half written.
    pub(crate) async fn ask<R: Request>(
        &mut self,
        what: &str,
        deadline: Duration,
        request: R,
    ) -> Result<R::Response, Error> {
        match tokio::time::timeout(deadline, self.turn(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreachable(&self.endpoint, &error.into())),
            Err(_) => {
                Err(Error::Deadline { what: what.to_owned(), endpoint: self.endpoint.to_string(), deadline })
            }
        }
    }

    async fn turn<R: Request>(&mut self, request: R) -> io::Result<R::Response> {
        self.correlation = self.correlation.wrapping_add(1);
        let mut message = RequestMessage::new_request(request);
        let header = message.get_mut_header();
        header.set_client_id(&*self.client_id).set_correlation_id(self.correlation);
        if let Some(version) = self.versions.as_ref().and_then(Versions::lookup_version::<R>) {
            header.set_api_version(version);
        }
        self.buffer.clear();
        self.buffer.put_i32(0);
        // The header has one version; the request's own is in it.
        message.encode(&mut self.buffer, 0)?;
        let length = i32::try_from(self.buffer.len() - LENGTH_BYTES).map_err(io::Error::other)?;
        self.buffer[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        let correlation = self.correlation;
        let mut frame = self.read().await?;
        let answer: ResponseMessage<R::Response> =
            message.decode_response(&mut frame, message.header.api_version())?;
        if answer.correlation_id != correlation {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is another request's"));
        }
        Ok(answer.response)
    }

    /// Reads one frame: its length, then so many bytes.
    async fn read(&mut self) -> io::Result<&[u8]> {
        let mut end = LENGTH_BYTES;
        loop {
            if let Some(length) = self.buffer.first_chunk() {
                let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                if length > ANSWER_BYTES_MAX {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer has a bad length"));
                }
                end = LENGTH_BYTES + length;
                if self.buffer.len() >= end {
                    return Ok(&self.buffer[LENGTH_BYTES..end]);
                }
                // The rest may wait for the acknowledgement of what came (docs/fluvio.md 6).
                acknowledge_at_once(&self.stream);
            }
            self.buffer.reserve(end.saturating_sub(self.buffer.len()));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
