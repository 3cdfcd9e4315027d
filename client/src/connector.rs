use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use fluvio_future::net::{
    BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector, TcpStream,
};
use futures_util::io::{AsyncRead, AsyncWrite};
use socket2::{SockRef, TcpKeepalive};

/// A peer that vanished without a word (power, cable) is noticed after about this long without traffic.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Opens TCP connections that do not wait: Nagle's algorithm against delayed acknowledgements costs 41 ms a round
/// trip with Fluvio's own connector (docs/fluvio.md 6), because neither side sets TCP_NODELAY.
#[derive(Clone, Default)]
pub(crate) struct PromptConnector;

#[async_trait]
impl TcpDomainConnector for PromptConnector {
    async fn connect(
        &self,
        address: &str,
    ) -> Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd), io::Error> {
        let stream = TcpStream::connect(address).await?;
        prepare(&stream)?;
        acknowledge_at_once(&stream);
        let id = stream.as_raw_fd();
        Ok((Box::new(Writer(stream.clone())), Box::new(Reader(stream)), id))
    }

    fn new_domain(&self, _domain: String) -> DomainConnector {
        Box::new(self.clone())
    }

    fn domain(&self) -> &str {
        "localhost"
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}

/// What every connection to a server has.
pub(crate) fn prepare(stream: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)
}

/// Linux forgets TCP_QUICKACK as it likes, so it is set again after each read. It is an optimisation: a kernel
/// that refuses it still works.
pub(crate) fn acknowledge_at_once(stream: &impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

struct Reader(TcpStream);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        if let Poll::Ready(Ok(1..)) = read {
            acknowledge_at_once(&self.0);
        }
        read
    }
}

/// The half that Fluvio's sockets drop when nobody uses them any more.
struct Writer(TcpStream);

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

impl Drop for Writer {
    /// Closes both directions: Fluvio's reading tasks can miss their signal to end, and would keep the connection
    /// open, and themselves alive, until the broker goes away (docs/fluvio.md 27).
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
