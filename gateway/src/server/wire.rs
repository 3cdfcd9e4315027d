//! The socket of a connection, watched.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::addresses::AddressPlace;

/// Bytes that are read to see what a connection speaks, before it costs a buffer.
pub(crate) const FIRST_BYTES: usize = 24;

/// A socket that notes what passes it. It carries its address's place wherever it goes: into a feed, too.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Bytes that were read and are to be read again.
    unread: Bytes,
    activity: Arc<Activity>,
    _place: Option<AddressPlace>,
}

impl Wire {
    /// A new connection's socket.
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>, place: Option<AddressPlace>) -> Self {
        Self { stream, unread: Bytes::new(), activity, _place: place }
    }

    /// The socket, for one who writes and reads it without being watched.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Takes the bytes that are to be read again.
    pub(crate) fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.unread)
    }

    /// Lets the socket be reset at its end.
    pub(crate) fn reset(&self) {
        self.activity.reset();
    }

    /// Bytes that are to be read again.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Puts `bytes` in front of what is to be read. They are copied, as they may be a small part of a large buffer.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.unread = [bytes, &self.unread[..]].concat().into();
    }

    /// Waits for some more bytes, and keeps them to be read again; the end of the stream is none.
    pub(crate) async fn peek(&mut self) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            let mut bytes = [0; FIRST_BYTES];
            match self.stream.try_read(&mut bytes) {
                Ok(count) => {
                    self.unread = [&self.unread[..], &bytes[..count]].concat().into();
                    if count > 0 {
                        self.activity.read();
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn note_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(count)) => self.activity.wrote(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            self.unread.advance(count);
            if self.unread.is_empty() {
                self.unread = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > filled {
            self.activity.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.activity.is_reset() {
            // An error here leaves the rest to the system's own timeouts.
            let _ = self.stream.set_zero_linger();
        }
    }
}
