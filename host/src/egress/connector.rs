//! Connections to peers: the host is resolved, its addresses are checked, and the socket connects to one of
//! exactly these.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::{CONNECT, EgressError, EgressGrant, Origin};

/// How many bytes a connection reads before it lets other tasks work. The client's library passes over interim answers for
/// as long as there are some, and what would stop it waits on the same thread.
const READ_AT_ONCE: usize = 256 << 10;

/// Connects to the first address that answers. Each has its part of [`CONNECT`]: one that is silent leaves time for the
/// others. Fails with the last address's error.
async fn connect_to_one(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let part = CONNECT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match tokio::time::timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

/// Connects to granted peers only.
#[derive(Clone)]
pub(super) struct Connector {
    grants: Arc<[EgressGrant]>,
    /// Made for the first peer with https, because it reads the platform's certificates.
    tls: Arc<OnceLock<TlsConnector>>,
}

impl Connector {
    /// Connects to these peers and no others.
    pub(super) fn new(grants: Arc<[EgressGrant]>) -> Self {
        Self {
            grants,
            tls: Arc::default(),
        }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Socket>, EgressError> {
        let origin = origin_of(&uri)?;
        let addresses = origin.addresses(origin.grant(&self.grants)?).await?;
        let peer = origin.to_string();
        let unreachable = |error: std::io::Error| EgressError::Unreachable {
            peer: peer.clone(),
            reason: error.to_string(),
        };
        let socket = connect_to_one(&addresses)
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::TimedOut => EgressError::Timeout(peer.clone()),
                _ => unreachable(error),
            })?;
        let _ = socket.set_nodelay(true);
        if !origin.secure {
            return Ok(TokioIo::new(Socket::new(Stream::Plain(socket))));
        }
        let name = server_name(&origin.host).map_err(unreachable)?;
        let tls = self.tls().map_err(unreachable)?;
        let socket = tokio::time::timeout(CONNECT, tls.connect(name, socket))
            .await
            .map_err(|_| EgressError::Timeout(peer.clone()))?
            .map_err(unreachable)?;
        let stream = Stream::Secure(Box::new(socket));
        Ok(TokioIo::new(Socket::new(stream)))
    }

    fn tls(&self) -> std::io::Result<TlsConnector> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(std::io::Error::other)?
            .with_no_client_auth();
        Ok(self
            .tls
            .get_or_init(|| TlsConnector::from(Arc::new(config)))
            .clone())
    }
}

/// The origin of a request, without its path and query.
fn origin_of(uri: &Uri) -> Result<Origin, EgressError> {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri
        .authority()
        .map_or("", hyper::http::uri::Authority::as_str);
    Ok(Origin::parse(&format!("{scheme}://{authority}"))?.0)
}

fn server_name(host: &Host) -> std::io::Result<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(std::io::Error::other),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::V4(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::V6(*address))),
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = EgressError;
    type Future = BoxFuture<'static, Result<Self::Response, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection.
pub(super) struct Socket {
    stream: Stream,
    /// Read since other tasks could work.
    read: usize,
}

impl Socket {
    fn new(stream: Stream) -> Self {
        Self { stream, read: 0 }
    }
}

/// With or without TLS.
enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.read >= READ_AT_ONCE {
            this.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Secure(socket) => Pin::new(socket.as_mut()).poll_read(context, buffer),
        };
        match read {
            Poll::Ready(_) => this.read += buffer.filled().len().saturating_sub(before),
            Poll::Pending => this.read = 0,
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Secure(socket) => Pin::new(socket.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Secure(socket) => Pin::new(socket.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Secure(socket) => Pin::new(socket.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn anywhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    async fn closed() -> SocketAddr {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn each_address_of_a_name_is_tried() {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let open = listener.local_addr().unwrap();
        let addresses = [closed().await, closed().await, open];
        let socket = connect_to_one(&addresses).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open);
        let refused = connect_to_one(&addresses[..2]).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(connect_to_one(&[]).await.is_err());
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_silent_address_leaves_time_for_the_next_one() {
        // Nobody accepts, and the queue is full: what connects now gets no answer.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(anywhere()).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(socket) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(silent)).await
        {
            waiting.push(socket);
            assert!(waiting.len() < 1_000);
        }
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let open = listener.local_addr().unwrap();
        let addresses = [silent, open];
        let connecting = tokio::time::timeout(CONNECT, connect_to_one(&addresses));
        let socket = connecting.await.unwrap().unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open);
        let error = connect_to_one(&[silent]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
