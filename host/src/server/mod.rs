//! The HTTP server: accepts connections and answers the requests of peers.

mod peers;
mod rows;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::host::Host;

/// The most connections at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 2_048;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long connections have to finish when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// A running server. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
}

impl Server {
    /// Serves the tenants of a host on an address. With `search`, a port that is taken is followed by the next free one.
    pub async fn bind(host: Arc<Host>, address: SocketAddr, search: bool) -> std::io::Result<Self> {
        let listener = listen(address, search).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        tokio::spawn(accept(listener, host, Arc::clone(&connections), stopped));
        Ok(Self {
            address,
            stop,
            connections,
        })
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more requests and waits up to 3 s for those under way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(GRACE, self.connections.acquire_many(all)).await;
    }
}

async fn listen(mut address: SocketAddr, search: bool) -> std::io::Result<TcpListener> {
    loop {
        match TcpListener::bind(address).await {
            Err(error) if search && error.kind() == std::io::ErrorKind::AddrInUse => {
                match address.port().checked_add(1) {
                    Some(next) => address.set_port(next),
                    None => return Err(error),
                }
            }
            result => return result,
        }
    }
}

async fn accept(
    listener: TcpListener,
    host: Arc<Host>,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors, mostly: a short pause lets others finish.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = told(&mut stopped) => return,
        };
        let _ = socket.set_nodelay(true);
        let host = Arc::clone(&host);
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let permit = Arc::new(permit);
            let service = service_fn(move |request| {
                let (host, permit) = (Arc::clone(&host), Arc::clone(&permit));
                // In a task, which runs to its end also if the client disconnects: a change of the state is published.
                tokio::spawn(async move {
                    let _permit = permit;
                    peers::answer(host, request).await
                })
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(64 << 10)
                .serve_connection(TokioIo::new(socket), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = told(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}

/// Waits until the server is stopped or dropped.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
