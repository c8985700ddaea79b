//! The HTTP server: accepts connections and answers the requests of peers.

mod address;
mod answers;
mod bodies;
mod budget;
mod connections;
mod guesses;
mod log_pace;
mod peers;
mod rows;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;

use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};
use crate::host::Host;
use connections::{Connection, ConnectionLimits, Connections};
pub use guesses::WrongCodes;
use log_pace::LogPace;
use peers::Peers;
use socket::PeerSocket;

/// Connections that the system accepts before this process does.
const BACKLOG: u32 = 4_096;

/// How long a client may take to send the head of a request, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// How long a connection without a valid token may last. A peer that has claimed its code has one.
const STRANGER_TIME: Duration = Duration::from_secs(60);

/// How long connections have to finish when the server stops, or when they have lasted too long.
const GRACE: Duration = Duration::from_secs(3);

/// How long accepting pauses when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running server. Dropped, it stops.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    connections: Arc<Connections>,
    peers: Arc<Peers>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Server");
        shown
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Serves the tenants of a host on an address. With `search`, a port that is taken is followed by the next free one.
    pub async fn bind(host: Arc<Host>, address: SocketAddr, search: bool) -> io::Result<Self> {
        let listener = listen(address, search)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(ConnectionLimits::of_system());
        let peers = Arc::new(Peers::new(host));
        let accepting = Accepting {
            connections: Arc::clone(&connections),
            peers: Arc::clone(&peers),
            long_heads: Arc::new(Semaphore::new(socket::MAX_LONG_HEADS)),
            stopped,
        };
        tokio::spawn(accepting.all(listener));
        Ok(Self {
            address,
            stop,
            connections,
            peers,
        })
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the wrong codes that peers sent since the last call; none if there are none.
    #[must_use]
    pub fn wrong_codes(&self) -> Option<WrongCodes> {
        self.peers.guesses().report()
    }

    /// Whether peers sent wrong codes since the last call of [`Self::wrong_codes`].
    #[must_use]
    pub fn has_wrong_codes(&self) -> bool {
        self.peers.guesses().has_report()
    }

    /// Accepts no more requests and waits up to 3 s for those under way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(GRACE, self.connections.all_closed()).await;
    }
}

fn listen(mut address: SocketAddr, search: bool) -> io::Result<TcpListener> {
    loop {
        match listen_on(address) {
            Err(error) if search && error.kind() == io::ErrorKind::AddrInUse => {
                match address.port().checked_add(1) {
                    Some(next) => address.set_port(next),
                    None => return Err(error),
                }
            }
            result => return result,
        }
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Elsewhere it would let two processes listen on one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What accepts connections.
struct Accepting {
    connections: Arc<Connections>,
    peers: Arc<Peers>,
    long_heads: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Accepting {
    async fn all(mut self, listener: TcpListener) {
        let log = LogPace::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = told(&mut self.stopped) => return,
            };
            match accepted {
                Ok((socket, from)) => match self.connections.admit(from.ip().into()) {
                    Some(connection) => self.serve(socket, connection),
                    None => refuse(&socket),
                },
                Err(error) => {
                    // Out of file descriptors, mostly.
                    if let Some(left_out) = log.due() {
                        tracing::warn!(%error, left_out, "a connection could not be accepted");
                    }
                    self.connections.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, socket: TcpStream, connection: Arc<Connection>) {
        let _ = socket.set_nodelay(true);
        let socket = PeerSocket::new(
            socket,
            Arc::clone(&connection),
            Arc::clone(&self.long_heads),
        );
        let (peers, served) = (Arc::clone(&self.peers), Arc::clone(&connection));
        let service = service_fn(move |request| {
            let (here, gone) = oneshot::channel();
            // In a task, which runs to its end also if the client disconnects: a change of the state is published.
            let answering = Arc::clone(&peers).answer(Arc::clone(&served), request, gone);
            let answer = tokio::spawn(answering);
            async move {
                let _here = here;
                answer.await
            }
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(MAX_HEADERS)
            .max_header_size(socket::MAX_HEAD)
            .max_buf_size(socket::MAX_HEAD)
            .serve_connection(TokioIo::new(socket), service);
        let mut stopped = self.stopped.clone();
        tokio::spawn(async move {
            let mut http = std::pin::pin!(http);
            let mut ends = std::pin::pin!(tokio::time::sleep(STRANGER_TIME));
            let mut ending = false;
            loop {
                tokio::select! {
                    _ = http.as_mut() => return,
                    () = connection.evicted() => return,
                    () = told(&mut stopped), if !ending => {}
                    () = ends.as_mut() => {
                        if ending {
                            return;
                        }
                        if !connection.is_stranger() {
                            ends.as_mut().reset(Instant::now() + STRANGER_TIME);
                            continue;
                        }
                    }
                }
                ending = true;
                http.as_mut().graceful_shutdown();
                ends.as_mut().reset(Instant::now() + GRACE);
            }
        });
    }
}

/// Says that there is no place, as far as the new socket takes it.
fn refuse(socket: &TcpStream) {
    let full: Failure = failure(
        ErrorCode::Limit,
        "too many connections of this address are open",
        "try again when some of them are closed",
    );
    let body = answers::document(&full);
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let _ = socket.try_write(&[head.as_bytes(), &body].concat());
}

/// Waits until the server is stopped or dropped.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
