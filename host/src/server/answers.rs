//! Answers to peers: JSON documents, errors and streams.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::budget::Exhausted;
use super::connections::InRequest;
use crate::bindings::types::Failure;

/// The media type of documents.
const JSON: &str = "application/json";

/// Why a request is refused, with the status of the answer.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub Failure);

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, exhausted.into())
    }
}

/// A complete answer.
pub type Answer = Response<AnswerBody>;

/// The body of an answer; the request is over when it is dropped.
pub struct AnswerBody {
    body: UnsyncBoxBody<Bytes, Infallible>,
    _request: InRequest,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer with a document.
pub fn json(request: InRequest, status: StatusCode, body: Bytes) -> Answer {
    request.connection().set_streaming(false);
    answer(request, status, JSON, Full::new(body).boxed_unsync())
}

/// An answer with frames.
pub fn stream(
    request: InRequest,
    media_type: &'static str,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Answer {
    request.connection().set_streaming(true);
    let body = StreamBody::new(frames.map(|frame| Ok(Frame::data(frame))));
    answer(request, StatusCode::OK, media_type, body.boxed_unsync())
}

/// An answer that says why there is none.
pub fn refusal(request: InRequest, Refusal(status, failure): &Refusal) -> Answer {
    json(request, *status, document(failure).into())
}

/// The document of an error.
pub fn document(failure: &Failure) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: &'a Failure,
    }
    serde_json::to_vec(&Envelope { error: failure }).unwrap_or_default()
}

fn answer(
    request: InRequest,
    status: StatusCode,
    media_type: &'static str,
    body: UnsyncBoxBody<Bytes, Infallible>,
) -> Answer {
    let body = AnswerBody {
        body,
        _request: request,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
