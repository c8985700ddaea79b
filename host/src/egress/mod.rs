//! The only way out: requests to peers that the operator granted.
//!
//! A base address is parsed once; its host is resolved, the addresses are checked, and the socket connects to the
//! address that was checked. Redirects are never followed.

mod address;
mod client;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::{Host, Url};

pub use client::{Answer, Method};

use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// Why a request did not go out, or nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The base address cannot be used.
    #[error("{url:?} is not a usable address: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The operator did not grant this address.
    #[error("requests to {0} are not granted")]
    Denied(String),
    /// Unencrypted and not on this machine.
    #[error("{0} is plain http to another machine, where everybody on the way can read along")]
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

/// What a tenant may reach. Empty: nothing.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    grants: Vec<EgressGrant>,
}

impl Egress {
    /// These peers and no others.
    #[must_use]
    pub fn new(grants: Vec<EgressGrant>) -> Self {
        Self { grants }
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

    /// Checks a base address and gives its origin, an address to connect to, and the path in front of every route.
    async fn admit(&self, base_url: &str) -> Result<(Origin, SocketAddr, String), EgressError> {
        let (origin, path) = Origin::parse(base_url)?;
        let grant = self
            .grants
            .iter()
            .find(|grant| grant.origin == origin)
            .ok_or_else(|| EgressError::Denied(origin.to_string()))?;
        let addresses = origin.resolve().await?;
        let address = addresses
            .into_iter()
            .find(|address| grant.internal || address::is_public(address.ip()))
            .ok_or_else(|| EgressError::Denied(origin.to_string()))?;
        if !origin.secure && !grant.plain && !address::is_loopback(address.ip()) {
            return Err(EgressError::Plain(origin.to_string()));
        }
        Ok((origin, address, path))
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
        let refuse = |reason| EgressError::Address {
            // The text may contain a password.
            url: base_url
                .split('@')
                .next_back()
                .unwrap_or_default()
                .to_owned(),
            reason,
        };
        let url =
            Url::parse(base_url).map_err(|_| refuse("it is no URL such as http://host:7432"))?;
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
            .ok_or_else(|| refuse("it has no port"))?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok((Self { secure, host, port }, path))
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

    #[tokio::test]
    async fn only_the_granted_origin_is_reachable() {
        let egress = Egress::new(vec![
            EgressGrant::typed("http://127.0.0.1:7432", false).unwrap(),
        ]);
        assert!(egress.admit("http://127.0.0.1:7432/tenant/").await.is_ok());
        for other in [
            "http://127.0.0.1:7433",
            "https://127.0.0.1:7432",
            "http://127.0.0.2:7432",
        ] {
            assert!(
                matches!(egress.admit(other).await, Err(EgressError::Denied(_))),
                "{other}"
            );
        }
        let spelled = egress.admit("http://0x7f.1:7432").await;
        assert!(
            spelled.is_ok(),
            "another spelling of the same address is the same address"
        );
    }

    #[tokio::test]
    async fn plain_http_stays_on_this_machine() {
        let url = "http://192.0.2.1:7432";
        let egress = Egress::new(vec![EgressGrant::typed(url, false).unwrap()]);
        assert!(matches!(
            egress.admit(url).await,
            Err(EgressError::Plain(_))
        ));
        let egress = Egress::new(vec![EgressGrant::typed(url, true).unwrap()]);
        assert!(egress.admit(url).await.is_ok());
    }

    #[test]
    fn addresses_with_secrets_are_refused_without_showing_them() {
        for url in [
            "http://ana:secret@host",
            "ftp://host",
            "shop.db",
            "http://host/?token=secret",
        ] {
            let error = EgressGrant::typed(url, false).unwrap_err().to_string();
            assert!(!error.contains("ana:secret"), "{error}");
        }
    }
}
