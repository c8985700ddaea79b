//! Interface `http`: control messages to granted peers, with bounded bodies.

use std::time::Duration;

use super::limits::{MAX_PATH, check};
use super::{Caller, Capabilities, check_peer};
use crate::bindings::Refusal;
use crate::bindings::http::{Host, Method, Request, Response};
use crate::bindings::types::{Error, Peer};
use crate::egress::{self, EgressError};

/// The largest body that goes out.
const MAX_REQUEST: usize = 1 << 20;

/// The largest body that comes in.
const MAX_RESPONSE: usize = 8 << 20;

/// Shorter than the wall clock of a call, so that the engine can still say what went wrong.
const PATIENCE: Duration = Duration::from_secs(4);

impl Host for Capabilities {
    async fn send(&mut self, peer: Peer, request: Request) -> Result<Response, Refusal> {
        // A peer that could make us send requests would use us as its proxy.
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer's request sends no requests".to_owned()).into());
        }
        check_peer(&peer)?;
        check("a path", &request.path, MAX_PATH)?;
        if request.body.len() > MAX_REQUEST {
            return Err(Error::Limit("a request has at most 1 MiB".to_owned()).into());
        }
        if !request.path.starts_with('/') {
            return Err(Error::Invalid("a path starts with /".to_owned()).into());
        }
        let method = match request.method {
            Method::Get => egress::Method::Get,
            Method::Post => egress::Method::Post,
        };
        let bearer = self.resources.access().credential(&peer).await?;
        let exchange = async {
            let answer = self
                .resources
                .egress()
                .send(
                    &peer.base_url,
                    bearer.as_deref(),
                    method,
                    &request.path,
                    "application/json",
                    request.body,
                )
                .await?;
            let status = answer.status;
            let body = answer.collect(MAX_RESPONSE).await?.to_vec();
            Ok::<_, EgressError>(Response { status, body })
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(response) => Ok(response?),
            Err(_) => Err(Error::Timeout.into()),
        }
    }
}

impl From<EgressError> for Refusal {
    fn from(error: EgressError) -> Self {
        let message = error.to_string();
        match error {
            EgressError::Address { .. } => Error::Invalid(message),
            EgressError::Denied(_) | EgressError::Plain(_) => Error::Denied(message),
            EgressError::Unreachable { .. } => Error::Unavailable(message),
            EgressError::Timeout(_) => Error::Timeout,
            EgressError::TooLarge(_) => Error::Limit(message),
        }
        .into()
    }
}
