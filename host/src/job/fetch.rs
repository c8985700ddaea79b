//! Asking a peer for the rows of one table.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde::Deserialize;

use crate::bindings::types::{Failure, Peer};
use crate::egress::Method;
use crate::failure::{failure, printable};
use crate::rows::{Frame, FrameReader, MEDIA_TYPE, MEDIA_TYPE_COMPRESSED, StreamHeader};
use crate::tenant::Tenant;

/// A sender that works says so every 5 s.
const NO_PROGRESS: Duration = Duration::from_secs(30);

/// The largest body of an answer that is no row stream.
const MAX_ERROR_BYTES: usize = 1 << 16;

/// The rows of one table on their way here.
pub struct Incoming<S> {
    frames: FrameReader<S>,
}

/// Opens the stream; its header says what the rows are.
pub async fn open(
    tenant: &Tenant,
    peer: &Peer,
    run: &str,
    table: &str,
) -> Result<
    (
        Incoming<impl Stream<Item = Result<Bytes, hyper::Error>> + Send + Unpin + use<>>,
        StreamHeader,
    ),
    Failure,
> {
    let name = percent_encoding::utf8_percent_encode(table, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/sync/v1/tables/{name}/rows?run={run}");
    let bearer = tenant.access().credential(peer);
    let accept = if tenant.egress().stays_here(&peer.base_url) {
        MEDIA_TYPE
    } else {
        MEDIA_TYPE_COMPRESSED
    };
    let answer = tenant
        .egress()
        .send(
            &peer.base_url,
            bearer.as_deref(),
            Method::Get,
            &path,
            accept,
            Vec::new(),
        )
        .await?;
    if answer.status != 200 {
        let status = answer.status;
        let body = answer.collect(MAX_ERROR_BYTES).await?;
        return Err(peer_error(status, &body));
    }
    let (frames, header) = patiently(FrameReader::open(answer.stream())).await?;
    Ok((Incoming { frames }, header))
}

impl<S> Incoming<S>
where
    S: Stream<Item = Result<Bytes, hyper::Error>> + Unpin,
{
    /// The next frame.
    pub async fn next(&mut self) -> Result<Frame, Failure> {
        patiently(self.frames.next()).await
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.frames.received()
    }
}

async fn patiently<T>(
    wait: impl Future<Output = Result<T, crate::rows::FrameError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(NO_PROGRESS, wait).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(failure(
            "timeout",
            "the other site sent nothing for 30 s",
            "check the network and pull again; what is committed is complete",
        )),
    }
}

/// What the peer answered instead of rows.
fn peer_error(status: u16, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Envelope {
        error: Failure,
    }
    match serde_json::from_slice::<Envelope>(body) {
        Ok(Envelope { error }) => failure(
            &printable(&error.code),
            printable(&error.message),
            printable(&error.hint),
        ),
        Err(_) => failure(
            "incompatible-peer",
            format!("the other site answered with status {status} and no reason"),
            "check that the address is the one `tombolo share` printed",
        ),
    }
}
