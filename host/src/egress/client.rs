use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, BodyStream, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use super::{CONNECT, Egress, EgressError, Origin};

/// The longest wait for the head of an answer.
const HEAD: Duration = Duration::from_secs(30);

/// How a request is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes something.
    Post,
}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    peer: String,
    body: Incoming,
}

impl Answer {
    /// The whole body, if it is not larger than `limit` bytes.
    pub async fn collect(self, limit: usize) -> Result<Bytes, EgressError> {
        match Limited::new(self.body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(EgressError::TooLarge(self.peer))
            }
            Err(error) => Err(EgressError::Unreachable {
                peer: self.peer,
                reason: error.to_string(),
            }),
        }
    }

    /// The body piece by piece.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, hyper::Error>> + Send + Unpin {
        BodyStream::new(self.body).filter_map(|frame| {
            std::future::ready(match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(error)),
            })
        })
    }
}

impl Egress {
    /// Sends one request to a granted peer, on a connection of its own.
    pub async fn send(
        &self,
        base_url: &str,
        bearer: Option<&str>,
        method: Method,
        path: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Answer, EgressError> {
        let (origin, address, prefix) = self.admit(base_url).await?;
        let peer = origin.to_string();
        let unreachable = |reason: String| EgressError::Unreachable {
            peer: peer.clone(),
            reason,
        };
        let mut request = Request::builder()
            .method(match method {
                Method::Get => "GET",
                Method::Post => "POST",
            })
            .uri(format!("{prefix}{path}"))
            .header(HOST, format!("{}:{}", origin.host, origin.port))
            .header(USER_AGENT, concat!("tombolo/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreachable(error.to_string()))?;

        let socket = tokio::time::timeout(CONNECT, TcpStream::connect(address))
            .await
            .map_err(|_| EgressError::Timeout(peer.clone()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let _ = socket.set_nodelay(true);
        let response = if origin.secure {
            let socket = tokio::time::timeout(CONNECT, secure(&origin, socket))
                .await
                .map_err(|_| EgressError::Timeout(peer.clone()))?
                .map_err(|error| unreachable(error.to_string()))?;
            exchange(socket, request).await
        } else {
            exchange(socket, request).await
        };
        let response = response
            .map_err(|_| EgressError::Timeout(peer.clone()))?
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Answer {
            status: response.status().as_u16(),
            peer,
            body: response.into_body(),
        })
    }
}

async fn exchange<S>(
    socket: S,
    request: Request<Full<Bytes>>,
) -> Result<hyper::Result<Response<Incoming>>, tokio::time::error::Elapsed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::time::timeout(HEAD, async move {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        // Ends with the body: nothing else holds the connection.
        tokio::spawn(connection);
        sender.send_request(request).await
    })
    .await
}

async fn secure(
    origin: &Origin,
    socket: TcpStream,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = match &origin.host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(std::io::Error::other)?,
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
    };
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}
