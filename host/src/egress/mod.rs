//! The only way out: requests to peers that the operator granted.
//!
//! Whether a peer is granted is checked for every request, its address whenever a connection is made. Connections are
//! reused; redirects are never followed.

mod address;
mod client;
mod connector;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::{Host, Url};

pub use client::{Answer, Method};
use connector::Connector;

use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// The most addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

/// How long a connection waits for its next request: less than servers usually wait.
const IDLE: Duration = Duration::from_secs(5);

/// The most connections to one peer that wait for their next request.
const MAX_IDLE: usize = 16;

/// Why a request did not go out, or nothing came back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EgressError {
    /// The base address cannot be used.
    #[error("{url} is not a usable address: {reason}")]
    Address {
        /// What was given, without what may be a secret.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The operator did not grant this address.
    #[error("requests to {0} are not granted")]
    Denied(String),
    /// Unencrypted and not on this machine.
    #[error("{0} is on another machine, and plain http is not encrypted")]
    Plain(String),
    /// Nothing answers there.
    #[error("no connection to {peer}: {reason}")]
    Unreachable {
        /// The peer's origin.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The connection or the answer took too long.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The answer is larger than allowed.
    #[error("the answer of {0} is larger than allowed")]
    TooLarge(String),
}

impl From<EgressError> for Failure {
    fn from(error: EgressError) -> Self {
        let (code, hint) = match &error {
            EgressError::Address { .. } => (
                ErrorCode::BadRequest,
                "use the address that `tombolo share` printed",
            ),
            EgressError::Denied(_) => (ErrorCode::Denied, "the operator has to grant this peer"),
            EgressError::Plain(_) => (
                ErrorCode::Denied,
                "use https, a tunnel, or --allow-plain-http if the network is trusted",
            ),
            EgressError::Unreachable { .. } => (
                ErrorCode::Unreachable,
                "check that `tombolo share` is still running there and the address is right",
            ),
            EgressError::Timeout(_) => (ErrorCode::Timeout, "check the network and try again"),
            EgressError::TooLarge(_) => (
                ErrorCode::Limit,
                "the other site does not speak this protocol",
            ),
        };
        failure(code, error.to_string(), hint)
    }
}

/// One granted peer: exactly this scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressGrant {
    origin: Origin,
    /// Addresses of private networks and of this machine are fine.
    internal: bool,
    /// Unencrypted requests to other machines are fine.
    plain: bool,
}

impl EgressGrant {
    /// For an address that the user of the tenant typed: it may be anywhere.
    pub fn typed(base_url: &str, allow_plain_http: bool) -> Result<Self, EgressError> {
        Ok(Self {
            origin: Origin::parse(base_url)?.0,
            internal: true,
            plain: allow_plain_http,
        })
    }
}

/// What a tenant may reach, and the connections to it. Without grants: nothing.
#[derive(Clone)]
pub struct Egress {
    grants: Arc<[EgressGrant]>,
    client: legacy::Client<Connector, Full<Bytes>>,
}

impl Egress {
    /// Reaches these peers and no others.
    #[must_use]
    pub fn new(grants: Vec<EgressGrant>) -> Self {
        let grants: Arc<[EgressGrant]> = grants.into();
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(Connector::new(Arc::clone(&grants)));
        Self { grants, client }
    }

    /// Whether a base address names this machine itself, so that nothing travels over a network.
    #[must_use]
    pub fn stays_here(&self, base_url: &str) -> bool {
        Origin::parse(base_url).is_ok_and(|(origin, _)| match origin.host {
            Host::Ipv4(host) => host.is_loopback(),
            Host::Ipv6(host) => host.is_loopback(),
            Host::Domain(name) => name == "localhost",
        })
    }

    /// Returns the origin of a granted base address, and the path in front of every route.
    fn granted(&self, base_url: &str) -> Result<(Origin, String), EgressError> {
        let (origin, path) = Origin::parse(base_url)?;
        origin.grant(&self.grants)?;
        Ok((origin, path))
    }
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: Host,
    port: u16,
}

impl Origin {
    fn parse(base_url: &str) -> Result<(Self, String), EgressError> {
        let parsed = Url::parse(base_url);
        let refuse = |reason| EgressError::Address {
            url: shown(parsed.as_ref().ok()),
            reason,
        };
        let url = parsed
            .as_ref()
            .map_err(|_| refuse("it is no URL such as http://host:7432"))?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(refuse("only http and https are supported")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("a user name or password does not belong there"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a query or fragment does not belong there"));
        }
        let host = url
            .host()
            .ok_or_else(|| refuse("it has no host"))?
            .to_owned();
        let port = url
            .port_or_known_default()
            .filter(|port| *port != 0)
            .ok_or_else(|| refuse("it has no port"))?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok((Self { secure, host, port }, path))
    }

    /// Returns the grant for this origin. Fails with [`EgressError::Denied`] if there is none.
    fn grant<'a>(&self, grants: &'a [EgressGrant]) -> Result<&'a EgressGrant, EgressError> {
        let mut grants = grants.iter();
        grants
            .find(|grant| grant.origin == *self)
            .ok_or_else(|| EgressError::Denied(self.to_string()))
    }

    /// Resolves the host and returns the first addresses that the grant allows.
    async fn addresses(&self, grant: &EgressGrant) -> Result<Vec<SocketAddr>, EgressError> {
        let resolved = self.resolve().await?.into_iter();
        let addresses: Vec<SocketAddr> = resolved
            .filter(|address| grant.internal || address::is_public(address.ip()))
            .take(MAX_ADDRESSES)
            .collect();
        if addresses.is_empty() {
            return Err(EgressError::Denied(self.to_string()));
        }
        let stays_here = addresses
            .iter()
            .all(|address| address::is_loopback(address.ip()));
        if !self.secure && !grant.plain && !stays_here {
            return Err(EgressError::Plain(self.to_string()));
        }
        Ok(addresses)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, EgressError> {
        match &self.host {
            Host::Ipv4(address) => Ok(vec![(IpAddr::V4(*address), self.port).into()]),
            Host::Ipv6(address) => Ok(vec![(IpAddr::V6(*address), self.port).into()]),
            Host::Domain(name) => {
                let found = tokio::time::timeout(
                    CONNECT,
                    tokio::net::lookup_host((name.as_str(), self.port)),
                );
                match found.await {
                    Ok(Ok(addresses)) => Ok(addresses.collect()),
                    Ok(Err(error)) => Err(EgressError::Unreachable {
                        peer: self.to_string(),
                        reason: error.to_string(),
                    }),
                    Err(_) => Err(EgressError::Timeout(self.to_string())),
                }
            }
        }
    }
}

/// A base address for messages: its scheme, host and port, because all else may be a secret.
fn shown(url: Option<&Url>) -> String {
    let Some((url, host)) = url.and_then(|url| Some((url, url.host_str()?))) else {
        return "the URL of the other site".to_owned();
    };
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}", url.scheme())
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The addresses to which a request to `base_url` would connect.
    async fn admit(egress: &Egress, base_url: &str) -> Result<Vec<SocketAddr>, EgressError> {
        let (origin, _) = egress.granted(base_url)?;
        origin.addresses(origin.grant(&egress.grants)?).await
    }

    #[tokio::test]
    async fn only_the_granted_origin_is_reachable() {
        let egress = Egress::new(vec![
            EgressGrant::typed("http://127.0.0.1:7432", false).unwrap(),
        ]);
        assert!(
            admit(&egress, "http://127.0.0.1:7432/tenant/")
                .await
                .is_ok()
        );
        for other in [
            "http://127.0.0.1:7433",
            "https://127.0.0.1:7432",
            "http://127.0.0.2:7432",
        ] {
            assert!(
                matches!(admit(&egress, other).await, Err(EgressError::Denied(_))),
                "{other}"
            );
        }
        let spelled = admit(&egress, "http://0x7f.1:7432").await;
        assert!(
            spelled.is_ok(),
            "another spelling of the same address is the same address"
        );
    }

    #[tokio::test]
    async fn a_grant_for_the_internet_reaches_nothing_inside() {
        for url in [
            "https://127.0.0.1",
            "https://localhost",
            "https://[::ffff:10.0.0.1]",
            "https://[64:ff9b::a9fe:a9fe]",
            "https://0xa9.254.43518",
        ] {
            let inside = EgressGrant {
                internal: false,
                ..EgressGrant::typed(url, false).unwrap()
            };
            let egress = Egress::new(vec![inside]);
            let admitted = admit(&egress, url).await;
            assert!(
                matches!(admitted, Err(EgressError::Denied(_))),
                "{url}: {admitted:?}"
            );
        }
    }

    #[tokio::test]
    async fn plain_http_stays_on_this_machine() {
        let url = "http://192.0.2.1:7432";
        let egress = Egress::new(vec![EgressGrant::typed(url, false).unwrap()]);
        assert!(matches!(
            admit(&egress, url).await,
            Err(EgressError::Plain(_))
        ));
        let egress = Egress::new(vec![EgressGrant::typed(url, true).unwrap()]);
        assert!(admit(&egress, url).await.is_ok());
    }

    #[test]
    fn addresses_with_secrets_are_refused_without_showing_them() {
        for url in [
            "http://ana:secret@host",
            "http://secret@host",
            "http://ana:secret",
            "http://ana:secret@",
            "ftp://host/secret",
            "secret.db",
            "http://host/?token=secret",
            "http://host/secret@host?x",
            "http://host/#secret",
            "http://host:0/secret",
            "secret:7432",
        ] {
            let error = EgressGrant::typed(url, false).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let error = EgressGrant::typed("ftp://ana:secret@host:2121/a", false).unwrap_err();
        assert!(error.to_string().contains("ftp://host:2121 "), "{error}");
    }

    /// Answers every request with its path, and counts connections.
    async fn echo(connections: Arc<std::sync::atomic::AtomicUsize>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let service = hyper::service::service_fn(
                    |request: hyper::Request<hyper::body::Incoming>| async move {
                        let path = Bytes::from(request.uri().to_string());
                        Ok::<_, std::convert::Infallible>(hyper::Response::new(Full::new(path)))
                    },
                );
                let socket = hyper_util::rt::TokioIo::new(socket);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(socket, service),
                );
            }
        });
        address
    }

    async fn get(egress: &Egress, url: &str, path: &str) -> Bytes {
        let sent = egress.send(url, None, Method::Get, path, "*/*", Vec::new());
        sent.await.unwrap().collect(1_000).await.unwrap()
    }

    #[tokio::test]
    async fn requests_to_one_peer_share_a_connection() {
        let connections = Arc::<std::sync::atomic::AtomicUsize>::default();
        let address = echo(Arc::clone(&connections)).await;
        let url = format!("http://{address}/base");
        let egress = Egress::new(vec![EgressGrant::typed(&url, false).unwrap()]);
        for path in ["/a?b=c", "/d"] {
            assert_eq!(get(&egress, &url, path).await, format!("/base{path}"));
        }
        assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
        let stranger = egress.send(
            "http://127.0.0.1:1",
            None,
            Method::Get,
            "/",
            "*/*",
            Vec::new(),
        );
        assert!(matches!(stranger.await, Err(EgressError::Denied(_))));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_listen_is_unreachable_and_the_reason_is_told() {
        let url = "http://127.0.0.1:1";
        let egress = Egress::new(vec![EgressGrant::typed(url, false).unwrap()]);
        let sent = egress.send(url, None, Method::Get, "/", "*/*", Vec::new());
        let error = sent.await.unwrap_err();
        assert!(
            matches!(&error, EgressError::Unreachable { reason, .. } if reason.contains("refused")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn certificates_are_checked_with_the_platforms_store() {
        let connections = Arc::<std::sync::atomic::AtomicUsize>::default();
        let address = echo(connections).await;
        let url = format!("https://{address}");
        let egress = Egress::new(vec![EgressGrant::typed(&url, false).unwrap()]);
        let sent = egress.send(&url, None, Method::Get, "/", "*/*", Vec::new());
        // The peer speaks no TLS: the verifier was made, and the handshake fails.
        assert!(matches!(sent.await, Err(EgressError::Unreachable { .. })));
    }

    /// Accepts one connection, and sends what `answer` returns again and again until the peer has enough. Returns how many
    /// bytes that were.
    async fn sends(answer: impl Fn(usize) -> Option<Vec<u8>>) -> (String, usize) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let egress = Egress::new(vec![EgressGrant::typed(&url, false).unwrap()]);
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 1_024]).await;
            let mut sent = 0;
            for piece in (0..).map_while(answer) {
                match socket.write_all(&piece).await {
                    Ok(()) => sent += piece.len(),
                    Err(_) => break,
                }
            }
            sent
        };
        // The server ends when the client has dropped the connection.
        let ask = async move {
            let answer = egress.send(&url, None, Method::Get, "/", "*/*", Vec::new());
            match answer.await {
                Ok(answer) => match answer.collect(10_000).await {
                    Ok(body) => format!("{} bytes", body.len()),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            }
        };
        let both = async { tokio::join!(ask, serve) };
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_endless_head_or_body_is_cut_off() {
        let (told, sent) = sends(|piece| {
            let header = format!("x-{piece}: {}\r\n", "a".repeat(1_000));
            let first = if piece == 0 {
                "HTTP/1.1 200 OK\r\n"
            } else {
                ""
            };
            Some([first.as_bytes(), header.as_bytes()].concat())
        })
        .await;
        assert!(told.contains("no connection"), "{told}");
        assert!(sent < 10 << 20, "{sent} bytes of a head were taken");

        let (told, sent) = sends(|piece| {
            let head: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = [b"3e8\r\n", [b'a'; 1_000].as_slice(), b"\r\n"].concat();
            Some(if piece == 0 { head.to_vec() } else { chunk })
        })
        .await;
        assert!(told.contains("larger than allowed"), "{told}");
        assert!(sent < 10 << 20, "{sent} bytes of a body were taken");
    }

    #[tokio::test]
    async fn endless_interim_answers_are_cut_off() {
        let interim = "HTTP/1.1 102 Wait\r\n\r\n".repeat(100);
        let began = std::time::Instant::now();
        let (told, sent) = sends(|_| Some(interim.clone().into_bytes())).await;
        assert!(told.contains("larger than allowed"), "{told}");
        assert!(sent < 32 << 20, "{sent} bytes were taken");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );

        let few = "HTTP/1.1 102 Wait\r\n\r\n".repeat(3)
            + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (told, _) = sends(|piece| (piece == 0).then(|| few.clone().into_bytes())).await;
        assert_eq!(told, "2 bytes");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = other.local_addr().unwrap();
        let head = format!(
            "HTTP/1.1 307 Elsewhere\r\nlocation: http://{to}/\r\ncontent-length: 2\r\n\r\nno"
        );
        let (told, _) = sends(|piece| (piece == 0).then(|| head.clone().into_bytes())).await;
        assert_eq!(told, "2 bytes");
        let accepted = tokio::time::timeout(Duration::from_millis(200), other.accept());
        assert!(accepted.await.is_err(), "nobody connects there");
    }
}
