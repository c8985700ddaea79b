//! Connections to peers: the host is resolved, the address is checked, and the socket connects to exactly that address.

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
        let address = origin.address(origin.grant(&self.grants)?).await?;
        let peer = origin.to_string();
        let unreachable = |error: std::io::Error| EgressError::Unreachable {
            peer: peer.clone(),
            reason: error.to_string(),
        };
        let socket = tokio::time::timeout(CONNECT, TcpStream::connect(address))
            .await
            .map_err(|_| EgressError::Timeout(peer.clone()))?
            .map_err(unreachable)?;
        let _ = socket.set_nodelay(true);
        if !origin.secure {
            return Ok(TokioIo::new(Socket::Plain(socket)));
        }
        let name = server_name(&origin.host).map_err(unreachable)?;
        let tls = self.tls().map_err(unreachable)?;
        let socket = tokio::time::timeout(CONNECT, tls.connect(name, socket))
            .await
            .map_err(|_| EgressError::Timeout(peer.clone()))?
            .map_err(unreachable)?;
        Ok(TokioIo::new(Socket::Secure(Box::new(socket))))
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

/// A connection, with or without TLS.
pub(super) enum Socket {
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
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Secure(socket) => Pin::new(socket.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Secure(socket) => Pin::new(socket.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Secure(socket) => Pin::new(socket.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Secure(socket) => Pin::new(socket.as_mut()).poll_shutdown(context),
        }
    }
}
