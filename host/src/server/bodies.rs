//! The bodies of requests: how large they may be, how long they may take, and how many bytes of them are held.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};

use super::answers::Refusal;
use super::budget::{OwnBudget, Permits};
use crate::failure::{ErrorCode, failure};

/// The largest body of a request with a valid token, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// The largest body of a claim, and of every request without a valid token, in bytes.
pub const MAX_CLAIM: usize = 4 << 10;

/// How long a body may take to arrive.
const TIME: Duration = Duration::from_secs(10);

/// How much of a body that is refused is read, so that its sender gets to read why: bytes and time.
const DISCARDED: (u64, Duration) = (4 << 20, Duration::from_secs(1));

/// Reads a body of at most `limit` bytes, which are counted until the permits are dropped.
pub async fn read(
    mut body: Incoming,
    limit: usize,
    budget: &OwnBudget,
) -> Result<(Vec<u8>, Option<Permits>), Refusal> {
    let announced = body.size_hint();
    // Hyper's lower bound is the content length, or nothing where the body comes in chunks.
    if announced.lower() > limit as u64 {
        discard(body, announced.lower()).await;
        return Err(too_large(limit));
    }
    let most = announced.upper().map_or(limit, |upper| {
        usize::try_from(upper).map_or(limit, |upper| upper.min(limit))
    });
    if most == 0 {
        return Ok((Vec::new(), None));
    }
    let held = budget.body(most).await?;
    let reading = async {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else {
                continue;
            };
            if read.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            // Copied, because a small piece can hold a large buffer.
            read.extend_from_slice(&data);
        }
        Ok(read)
    };
    match tokio::time::timeout(TIME, reading).await {
        Ok(read) => Ok((read?, Some(held))),
        Err(_) => {
            let message = format!(
                "the request body did not arrive within {} s",
                TIME.as_secs()
            );
            let slow = failure(ErrorCode::Timeout, message, "");
            Err(Refusal(StatusCode::REQUEST_TIMEOUT, slow))
        }
    }
}

/// Reads and forgets the rest of a body: a connection that is closed with unread data loses the answer.
async fn discard(mut body: Incoming, length: u64) {
    let (most, time) = DISCARDED;
    if length <= most {
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = tokio::time::timeout(time, reading).await;
    }
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the request body is larger than {} KiB", limit >> 10);
    Refusal(
        StatusCode::PAYLOAD_TOO_LARGE,
        failure(ErrorCode::Limit, message, ""),
    )
}

fn broken() -> Refusal {
    let broken = failure(ErrorCode::BadRequest, "the request body is broken", "");
    Refusal(StatusCode::BAD_REQUEST, broken)
}
