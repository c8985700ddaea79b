//! Requests to peers, over connections that are reused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, BodyStream, Full, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper_util::client::legacy;
use tokio::sync::Notify;

use super::{Egress, EgressError};

/// The longest wait for the head of an answer.
const HEAD: std::time::Duration = std::time::Duration::from_secs(30);

/// The most interim answers (1xx) to a request. The client's library passes over any number of them, without an end.
const MAX_INTERIM: usize = 16;

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
    /// Returns the whole body. Fails with [`EgressError::TooLarge`] if it is larger than `limit` bytes.
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

    /// Returns the body piece by piece.
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
    /// Sends one request to a granted peer. `bearer`: the token to send along.
    pub async fn send(
        &self,
        base_url: &str,
        bearer: Option<&str>,
        method: Method,
        path: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Answer, EgressError> {
        let (origin, prefix) = self.granted(base_url)?;
        let peer = origin.to_string();
        let mut request = Request::builder()
            .method(match method {
                Method::Get => "GET",
                Method::Post => "POST",
            })
            .uri(format!("{peer}{prefix}{path}"))
            .header(HOST, format!("{}:{}", origin.host, origin.port))
            .header(USER_AGENT, concat!("tombolo/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if let Some(bearer) = bearer {
            let bearer = HeaderValue::try_from(format!("Bearer {bearer}"));
            let mut bearer = bearer.map_err(|_| EgressError::Unreachable {
                peer: peer.clone(),
                reason: "its token cannot be sent".to_owned(),
            })?;
            // No log of another crate shows it.
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let mut request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| EgressError::Unreachable {
                peer: peer.clone(),
                reason: error.to_string(),
            })?;
        let too_many = Arc::new(Notify::new());
        let (interim, notify) = (AtomicUsize::new(0), Arc::clone(&too_many));
        hyper::ext::on_informational(&mut request, move |_| {
            if interim.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM {
                notify.notify_one();
            }
        });
        let answer = tokio::time::timeout(HEAD, self.client.request(request));
        let answer = tokio::select! {
            answer = answer => answer,
            // Dropping the request ends its connection.
            () = too_many.notified() => return Err(EgressError::TooLarge(peer)),
        };
        match answer {
            Ok(Ok(response)) => Ok(Answer {
                status: response.status().as_u16(),
                peer,
                body: response.into_body(),
            }),
            Ok(Err(error)) => Err(reason(&error, peer)),
            Err(_) => Err(EgressError::Timeout(peer)),
        }
    }
}

/// Why a request failed: the connector's own error where there is one.
fn reason(error: &legacy::Error, peer: String) -> EgressError {
    let mut source = std::error::Error::source(error);
    let mut innermost = error.to_string();
    while let Some(error) = source {
        if let Some(connecting) = error.downcast_ref::<EgressError>() {
            return connecting.clone();
        }
        innermost = error.to_string();
        source = error.source();
    }
    EgressError::Unreachable {
        peer,
        reason: innermost,
    }
}
