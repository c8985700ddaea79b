//! Asking a peer for the rows of one table, or for their digests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::bindings::types::{Failure, Peer};
use crate::digest::hex;
use crate::egress::{EgressError, Method};
use crate::failure::{ErrorCode, failure, printable};
use crate::resources::Resources;
use crate::rows::{
    BucketSet, Frame, FrameError, FrameReader, MEDIA_TYPE, MEDIA_TYPE_COMPRESSED, StreamHeader,
};

/// A sender that works says so every 5 s; whoever waits learns of a dead line within 30 s.
const NO_PROGRESS: Duration = Duration::from_secs(25);

/// The largest body of an answer that is no stream.
const MAX_ERROR_BYTES: usize = 1 << 16;

/// Frames that were received and wait to be applied, …
const WAITING_FRAMES: usize = 256;

/// … and their bytes: while a target writes one chunk, the source reads for the next.
const WAITING_BYTES: usize = 16 << 20;

/// Why there are no rows.
#[derive(Debug)]
pub enum PeerError {
    /// The line or the other site broke: asking again may help.
    Broken(Failure),
    /// The answer is no, or not one that can be used.
    Refused(Failure),
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Broken(failure) | PeerError::Refused(failure) => failure,
        }
    }
}

impl From<EgressError> for PeerError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::Unreachable { .. } | EgressError::Timeout(_) => Self::Broken(error.into()),
            error => Self::Refused(error.into()),
        }
    }
}

impl From<FrameError> for PeerError {
    fn from(error: FrameError) -> Self {
        match &error {
            FrameError::Truncated | FrameError::Connection(_) => Self::Broken(error.into()),
            FrameError::Sender(failure) if failure.code == ErrorCode::SnapshotExpired => {
                Self::Broken(error.into())
            }
            _ => Self::Refused(error.into()),
        }
    }
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All of them.
    All,
    /// Those behind this key, one encoded row.
    After(&'a [u8]),
    /// So many, from the first on.
    First(u32),
    /// Those in these buckets.
    Buckets(&'a BucketSet),
}

/// The other site, as one run asks it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub resources: &'a Resources,
    pub peer: &'a Peer,
    /// The run's id: all its tables come from one snapshot.
    pub run: &'a str,
}

/// A frame, the bytes received up to its end, and its share of the bytes that may wait.
type Waiting = (Frame, u64, OwnedSemaphorePermit);

/// Frames on their way here, received while others are applied.
pub struct Incoming {
    frames: mpsc::Receiver<Result<Waiting, PeerError>>,
    received: u64,
    /// Ends with this.
    _receiving: JoinSet<()>,
}

impl Source<'_> {
    /// Opens a stream of rows; its header says what the rows are.
    pub async fn rows(
        &self,
        table: &str,
        wanted: Wanted<'_>,
    ) -> Result<(Incoming, StreamHeader), PeerError> {
        let selection = match wanted {
            Wanted::All => String::new(),
            Wanted::After(key) => format!("&after={}", hex(key)),
            Wanted::First(rows) => format!("&first={rows}"),
            Wanted::Buckets(set) => format!("&buckets={}", set.encode()),
        };
        self.open(table, "rows", &selection).await
    }

    /// Asks for the digests of a table's rows in so many buckets, and counts the bytes received.
    pub async fn digest(&self, table: &str, buckets: u32) -> Result<(Bytes, u64), PeerError> {
        let selection = format!("&buckets={buckets}");
        let (mut incoming, _) = self.open(table, "digest", &selection).await?;
        loop {
            match incoming.next().await? {
                Frame::Digest(digests) => return Ok((digests, incoming.received())),
                Frame::Alive => {}
                Frame::Rows(_) | Frame::End(_) => {
                    return Err(FrameError::Corrupt("a digest was asked for, and rows came").into());
                }
            }
        }
    }

    async fn open(
        &self,
        table: &str,
        what: &str,
        selection: &str,
    ) -> Result<(Incoming, StreamHeader), PeerError> {
        let name = percent_encoding::utf8_percent_encode(table, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/sync/v1/tables/{name}/{what}?run={}{selection}", self.run);
        let bearer = self.resources.access().credential(self.peer).await;
        let bearer = bearer.map_err(|error| PeerError::Refused(error.into()))?;
        let accept = if self.resources.egress().stays_here(&self.peer.base_url) {
            MEDIA_TYPE
        } else {
            MEDIA_TYPE_COMPRESSED
        };
        let answer = self
            .resources
            .egress()
            .send(
                &self.peer.base_url,
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
            let failure = peer_error(status, &body);
            return Err(match status {
                502..=504 => PeerError::Broken(failure),
                _ => PeerError::Refused(failure),
            });
        }
        let (frames, header) = with_idle_timeout(FrameReader::open(answer.stream())).await?;
        Ok((Incoming::receive(frames), header))
    }
}

impl Incoming {
    fn receive<S>(mut frames: FrameReader<S>) -> Self
    where
        S: Stream<Item = Result<Bytes, hyper::Error>> + Send + Unpin + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING_FRAMES);
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        let mut receiving = JoinSet::new();
        receiving.spawn(async move {
            loop {
                let frame = with_idle_timeout(frames.next()).await;
                let last = matches!(frame, Ok(Frame::End(_) | Frame::Digest(_)) | Err(_));
                let waiting = match frame {
                    Ok(frame) => match Arc::clone(&room).acquire_many_owned(share(&frame)).await {
                        Ok(share) => Ok((frame, frames.received(), share)),
                        Err(_) => return,
                    },
                    Err(error) => Err(error),
                };
                if sender.send(waiting).await.is_err() || last {
                    return;
                }
            }
        });
        Self {
            frames: receiver,
            received: 0,
            _receiving: receiving,
        }
    }

    /// The next frame. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Frame, PeerError> {
        let next = self.frames.recv().await;
        let (frame, received, _) = next.unwrap_or_else(|| Err(FrameError::Truncated.into()))?;
        self.received = received;
        Ok(frame)
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// A frame's share of [`WAITING_BYTES`]; one that is larger than all of them waits alone.
fn share(frame: &Frame) -> u32 {
    let bytes = match frame {
        Frame::Rows(block) => block.data().len(),
        Frame::Digest(digests) => digests.len(),
        Frame::Alive | Frame::End(_) => 0,
    };
    u32::try_from(bytes.min(WAITING_BYTES)).unwrap_or(u32::MAX)
}

async fn with_idle_timeout<T>(
    wait: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, PeerError> {
    match tokio::time::timeout(NO_PROGRESS, wait).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(PeerError::Broken(failure(
            ErrorCode::Timeout,
            "the other site sent nothing for 25 s",
            "check the network and pull again; what is committed is complete",
        ))),
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
            error.code.parse().unwrap_or(ErrorCode::Sender),
            printable(&error.message),
            printable(&error.hint),
        ),
        Err(_) => failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered with status {status} and no reason"),
            "check that the address is the one `tombolo share` printed",
        ),
    }
}
