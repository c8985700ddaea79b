//! The other site of a run: the rows of its tables, and their digests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::quota::Quota;
use crate::bindings::transfers::PeerTable;
use crate::bindings::types::{Failure, TableSchema};
use crate::failure::{ErrorCode, failure};
use crate::rows::{BucketSet, Frame, FrameError, FrameReader, StreamHeader};

/// The longest wait for the next frame. A sender that works says so every 5 s; whoever waits learns of a dead connection
/// within 30 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(25);

/// The longest wait for a row or a digest while the sender only says that it works.
const LONGEST_WORK: Duration = Duration::from_secs(6 * 60 * 60);

/// The most frames that were received and wait to be applied, …
const WAITING_FRAMES: usize = 256;

/// … and the most bytes of them: while a target writes one chunk, the source reads for the next.
const WAITING_BYTES: usize = 16 << 20;

/// The other site, as one run asks it: all tables come from one snapshot of its database.
#[async_trait]
pub trait PeerRows: Send + Sync {
    /// Opens a stream of rows of a table.
    async fn rows(&self, table: &str, wanted: Wanted<'_>) -> Result<IncomingRows, PeerError>;

    /// Returns the digests of a table's rows in so many buckets, encoded, and the bytes received for them.
    async fn digest(&self, table: &str, buckets: u32) -> Result<(Bytes, u64), PeerError>;
}

/// Which rows of a table are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All of them, in the order of their keys.
    All,
    /// Those behind this key, one encoded row.
    After(&'a [u8]),
    /// So many, from the first on.
    First(u32),
    /// Those in these buckets.
    Buckets(&'a BucketSet),
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The connection or the other site broke: asking again may help.
    #[error("{}", .0.message)]
    Broken(Failure),
    /// The answer is no, or cannot be used.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The run has received as much as it may.
    #[error("{}", .0.message)]
    Exceeded(Failure),
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Broken(failure)
            | PeerError::Refused(failure)
            | PeerError::Exceeded(failure) => failure,
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

/// A frame, the bytes received up to its end, and its share of the bytes that may wait.
type Waiting = (Frame, u64, OwnedSemaphorePermit);

/// A stream of frames that is received while its rows are applied.
pub struct IncomingRows {
    header: StreamHeader,
    frames: mpsc::Receiver<Result<Waiting, PeerError>>,
    received: u64,
    /// What the run may receive.
    quota: Option<Arc<Quota>>,
    /// The rows and bytes that were taken from the quota.
    taken: (u64, u64),
    /// Ends with this.
    _receiving: JoinSet<()>,
}

impl IncomingRows {
    /// Begins to receive a stream of frames, and waits for its header.
    pub async fn open<S, E>(bytes: S) -> Result<Self, PeerError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let mut frames = with_idle_timeout(FrameReader::begin(bytes)).await?;
        let header = loop {
            if let Some(header) = with_idle_timeout(frames.header()).await? {
                break header;
            }
        };
        let (sender, receiver) = mpsc::channel(WAITING_FRAMES);
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        let mut receiving = JoinSet::new();
        receiving.spawn(async move {
            let mut worked_since = Instant::now();
            loop {
                let mut frame = with_idle_timeout(frames.next()).await;
                match frame {
                    Ok(Frame::Alive) if worked_since.elapsed() >= LONGEST_WORK => {
                        frame = Err(FrameError::OnlyAlive.into());
                    }
                    Ok(Frame::Alive) | Err(_) => {}
                    Ok(_) => worked_since = Instant::now(),
                }
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
        Ok(Self {
            header,
            frames: receiver,
            received: 0,
            quota: None,
            taken: (0, 0),
            _receiving: receiving,
        })
    }

    /// Counts what comes from now on to what a run may receive.
    #[must_use]
    pub(super) fn within(mut self, quota: &Arc<Quota>) -> Self {
        self.quota = Some(Arc::clone(quota));
        self
    }

    /// Returns the table as it is sent: exactly the columns of each row.
    #[must_use]
    pub fn table(&self) -> &TableSchema {
        &self.header.table
    }

    /// Gives the table and its columns the names that they have in the target, if they have the announced ones at the peer.
    pub fn rename(&mut self, names: &TableSchema, source: &PeerTable) {
        let header = &mut self.header.table;
        if header.table != source.table || header.columns.len() != source.columns.len() {
            return;
        }
        let mut announced = header.columns.iter().zip(&source.columns);
        if !announced.all(|(column, name)| column.name == *name) {
            return;
        }
        header.table.clone_from(&names.table);
        for (column, named) in header.columns.iter_mut().zip(&names.columns) {
            column.name.clone_from(&named.name);
        }
    }

    /// Returns the id of the sender's snapshot that the rows come from.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.header.snapshot
    }

    /// Returns the next frame; waits for it. Cancelling the wait loses nothing. Fails with [`PeerError::Exceeded`] if the run
    /// may not receive it.
    pub async fn next(&mut self) -> Result<Frame, PeerError> {
        let next = self.frames.recv().await;
        let (frame, received, _) = next.unwrap_or_else(|| Err(FrameError::Truncated.into()))?;
        let bytes = received.saturating_sub(self.received);
        self.received = received;
        if let Some(quota) = &self.quota {
            // Compressed rows take more than the bytes that arrived.
            let (rows, unpacked) = match &frame {
                Frame::Rows(block) => (block.row_count().into(), block.data().len() as u64),
                _ => (0, 0),
            };
            let bytes = bytes.max(unpacked);
            quota.take(rows, bytes).map_err(PeerError::Exceeded)?;
            self.taken = (
                self.taken.0.saturating_add(rows),
                self.taken.1.saturating_add(bytes),
            );
        }
        Ok(frame)
    }

    /// Returns the rows and bytes that count to what the run may receive.
    pub(super) fn taken(&self) -> (u64, u64) {
        self.taken
    }

    /// Waits for the digests that were asked for, and returns them with the bytes received.
    pub async fn into_digest(mut self) -> Result<(Bytes, u64), PeerError> {
        loop {
            match self.next().await? {
                Frame::Digest(digests) => return Ok((digests, self.received)),
                Frame::Alive => {}
                Frame::Rows(_) | Frame::End(_) => {
                    return Err(FrameError::Corrupt("a digest was asked for, and rows came").into());
                }
            }
        }
    }

    /// Returns the bytes received up to the end of the last frame.
    #[must_use]
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
    match tokio::time::timeout(IDLE_TIMEOUT, wait).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(PeerError::Broken(failure(
            ErrorCode::Timeout,
            "the other site sent nothing for 25 s",
            "check the network and pull again; what is committed is complete",
        ))),
    }
}
