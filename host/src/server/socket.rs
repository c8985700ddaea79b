//! The socket of a connection: a peer that reads nothing, or sends long heads, is given up.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::connections::Connection;

/// The largest head of a request, in bytes: `after=` holds a whole key.
pub const MAX_HEAD: usize = 64 << 10;

/// A head is long from here on, in bytes.
const LONG_HEAD: usize = 8 << 10;

/// The most connections at once that send a long head.
pub const MAX_LONG_HEADS: usize = 128;

/// How often it is tried whether a stalled peer takes more.
const PROBE: Duration = Duration::from_secs(1);

/// A socket whose writes fail when they make no progress, and whose reads fail when too many heads are long.
pub struct PeerSocket {
    socket: TcpStream,
    connection: Arc<Connection>,
    stalled: Option<Stalled>,
    head: Head,
    long_heads: Arc<Semaphore>,
}

/// A write that makes no progress.
struct Stalled {
    since: Instant,
    probe: Pin<Box<Sleep>>,
}

/// What was read of the head under way.
#[derive(Default)]
struct Head {
    /// The number of requests before it.
    request: u64,
    bytes: usize,
    long: Option<OwnedSemaphorePermit>,
}

impl PeerSocket {
    /// Wraps the socket of a connection.
    pub fn new(socket: TcpStream, connection: Arc<Connection>, long_heads: Arc<Semaphore>) -> Self {
        Self {
            socket,
            connection,
            stalled: None,
            head: Head::default(),
            long_heads,
        }
    }

    /// Counts what was read of a head. Fails if it is long, and so are too many others.
    fn count(&mut self, bytes: usize) -> io::Result<()> {
        let (request, answering) = self.connection.requests();
        if answering || request != self.head.request {
            self.head = Head {
                request,
                ..Head::default()
            };
        }
        if answering {
            return Ok(());
        }
        self.head.bytes = self.head.bytes.saturating_add(bytes);
        if self.head.bytes > LONG_HEAD && self.head.long.is_none() {
            let permit = Arc::clone(&self.long_heads).try_acquire_owned();
            let permit = permit.map_err(|_| io::Error::other("too many long heads"))?;
            self.head.long = Some(permit);
        }
        Ok(())
    }

    /// Decides about a write that cannot go on now.
    fn poll_stalled(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let limit = self.connection.stall_limit();
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            since: Instant::now(),
            probe: Box::pin(sleep(PROBE)),
        });
        loop {
            ready!(stalled.probe.as_mut().poll(context));
            match try_send(&self.socket, bytes) {
                Ok(sent @ 1..) => {
                    self.stalled = None;
                    return Poll::Ready(Ok(sent));
                }
                Ok(0) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if stalled.since.elapsed() >= limit {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            stalled.probe.as_mut().reset(Instant::now() + PROBE);
        }
    }
}

/// Sends without asking whether the socket is ready: systems call it so when a third of its buffer is free, which takes a
/// slow peer minutes, and any byte is progress.
#[cfg(unix)]
fn try_send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(
        socket,
        bytes,
        rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
    )?)
}

#[cfg(not(unix))]
fn try_send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    socket.try_write(bytes)
}

impl AsyncRead for PeerSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        Poll::Ready(this.count(read))
    }
}

impl AsyncWrite for PeerSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write(context, bytes) {
            Poll::Pending => this.poll_stalled(context, bytes),
            written => {
                this.stalled = None;
                written
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write_vectored(context, slices) {
            Poll::Pending => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                this.poll_stalled(context, first.map_or(&[], |slice| slice))
            }
            written => {
                this.stalled = None;
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}
