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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::connections::{ConnectionLimits, Connections};

    /// How long a write may make no progress in these tests.
    const LIMIT: Duration = Duration::from_secs(2);

    /// A socket of a server and that of its client.
    async fn pair() -> (PeerSocket, TcpStream) {
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let connections = Connections::new(ConnectionLimits {
            stall: LIMIT,
            ..ConnectionLimits::MOST
        });
        let connection = connections.admit(local.into()).unwrap();
        let long_heads = Arc::new(Semaphore::new(1));
        let socket = PeerSocket::new(accepted.unwrap().0, connection, long_heads);
        (socket, client.unwrap())
    }

    /// Writes more than any system buffers.
    async fn write_much(mut socket: PeerSocket) -> io::Result<()> {
        socket.write_all(&vec![0; 64 << 20]).await
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (socket, _client) = pair().await;
        let written = tokio::time::timeout(LIMIT * 3, write_much(socket)).await;
        let error = written.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_goes_on() {
        let (socket, mut client) = pair().await;
        let writing = tokio::spawn(write_much(socket));
        let began = Instant::now();
        let mut buffer = vec![0; 100 << 10];
        while began.elapsed() < LIMIT * 3 {
            client.read_exact(&mut buffer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert!(!writing.is_finished());
        drop(client);
        assert!(writing.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn few_heads_may_be_long() {
        let (mut one, mut client) = pair().await;
        let (mut two, mut other) = pair().await;
        two.long_heads = Arc::clone(&one.long_heads);
        for peer in [&mut client, &mut other] {
            peer.write_all(&vec![b'x'; LONG_HEAD + 1]).await.unwrap();
        }
        let mut head = vec![0; LONG_HEAD + 1];
        one.read_exact(&mut head).await.unwrap();
        assert!(two.read_exact(&mut head).await.is_err());
        // Once the request has begun, the next one may.
        drop(one.connection.begin_request());
        client.write_all(b"x").await.unwrap();
        one.read_exact(&mut [0]).await.unwrap();
        assert!(one.head.long.is_none());
    }
}
