//! The bodies of row streams: the rows of a held snapshot, or their digests, as frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bindings::events::{Event, Sent};
use crate::bindings::types::{Cell, Failure, Stored, TableReport, TableSchema};
use crate::database::{Database, DatabaseError, Read};
use crate::failure::{ErrorCode, failure};
use crate::resources::{Admission, HeldSnapshot, RunSnapshot};
use crate::rows::{
    BlockBuilder, BucketSet, KeyColumns, RowBlock, StreamEnd, StreamHeader, encode_alive,
    encode_digest, encode_end, encode_error, encode_header, encode_rows, encode_start,
};
use crate::tenant::Tenant;

/// How often a sender without rows sends an `alive` frame.
const ALIVE: Duration = Duration::from_secs(5);

/// The most frames that wait for a slow receiver.
const WAITING_FRAMES: usize = 4;

/// What is streamed.
pub enum Content {
    /// Rows, and whether their frames are compressed.
    Rows(Selection, bool),
    /// Digests in so many buckets.
    Digest(u32),
}

/// Which rows.
pub enum Selection {
    /// All, in key order.
    All,
    /// Those after a key.
    After(Vec<Cell>),
    /// The first rows, at most so many.
    First(u32),
    /// Those of some buckets.
    Buckets(Box<BucketSet>),
}

/// One stream.
pub struct Sending {
    /// The tenant that serves it.
    pub tenant: Arc<Tenant>,
    /// The admission of the peer.
    pub admission: Admission,
    /// Where the rows are.
    pub database: Arc<dyn Database>,
    /// The run's snapshot.
    pub held: Arc<HeldSnapshot>,
    /// The peer's run.
    pub run: String,
    /// The table.
    pub table: String,
}

/// Streams the requested content. The caller has checked grants and scope.
pub fn stream(sending: Sending, content: Content) -> impl Stream<Item = Bytes> + Send {
    let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
    tokio::spawn(async move {
        let revoked = sending.admission.revoked();
        let gone = frames.clone();
        let outcome = tokio::select! {
            outcome = sending.send(content, &frames) => outcome,
            () = revoked => Err(failure(ErrorCode::OwnerGone, "the session has ended", "ask for a new code")),
            // Nobody listens any more: stop reading the database at once.
            () = gone.closed() => Err(cancelled()),
        };
        sending.held.touch();
        match outcome {
            Ok(Some(report)) => {
                let sent = Event::Sent(Sent {
                    admission: sending.admission.id,
                    run: sending.run,
                    report,
                });
                sending.tenant.events().push_when_free(sent).await;
            }
            Ok(None) => {}
            Err(failure) => {
                tracing::warn!(
                    code = failure.code,
                    table = sending.table,
                    "a stream ended early: {}",
                    failure.message
                );
                if let Ok(frame) = encode_error(&failure) {
                    let _ = frames.send(frame).await;
                }
            }
        }
    });
    futures::stream::unfold(waiting, |mut waiting| async move {
        waiting.recv().await.map(|frame| (frame, waiting))
    })
}

impl Sending {
    async fn send(
        &self,
        content: Content,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<Option<TableReport>, Failure> {
        push(frames, encode_start()).await?;
        let opening = self.held.snapshot(self.database.as_ref());
        let snapshot = alive_until(opening, frames).await?;
        let work = async {
            match content {
                Content::Rows(selection, compress) => {
                    self.rows(&snapshot, selection, compress, frames).await
                }
                Content::Digest(buckets) => self.digest(&snapshot, buckets, frames).await,
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = tokio::time::sleep_until(Instant::from_std(snapshot.deadline())) => Err(Broken::Peer(failure(
                ErrorCode::SnapshotExpired,
                "the snapshot of this run reached its age limit",
                "pull again for the rest",
            ))),
        };
        match outcome {
            Ok(report) => Ok(report),
            Err(Broken::Peer(failure)) => {
                if failure.code == ErrorCode::SnapshotExpired {
                    self.held.discard(&snapshot).await;
                }
                Err(failure)
            }
            Err(Broken::Database(error)) => {
                self.held.discard(&snapshot).await;
                Err(error.into())
            }
        }
    }

    async fn rows(
        &self,
        snapshot: &RunSnapshot,
        selection: Selection,
        compress: bool,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<Option<TableReport>, Broken> {
        let schema = self.header(snapshot, frames).await?;
        let mut read = Read::all(&schema);
        let mut buckets = None;
        match &selection {
            Selection::All => {}
            Selection::After(key) => read.after = Some(key),
            Selection::First(rows) => read.limit = Some(*rows),
            Selection::Buckets(set) => buckets = Some((set.as_ref(), KeyColumns::of(&schema))),
        }
        let (blocks, waiting) = mpsc::channel(2);
        let (read, forwarded) = tokio::join!(
            snapshot.view.read(read, blocks),
            forward(waiting, buckets, compress, frames)
        );
        read.map_err(Broken::Database)?;
        let sent = forwarded?;
        let end = encode_end(&StreamEnd::new(sent.rows, sent.digest)).map_err(unencodable)?;
        push(frames, end).await?;
        if matches!(selection, Selection::First(_)) {
            // A sample: the peer learns whether comparing digests is worth it.
            return Ok(None);
        }
        Ok(Some(TableReport {
            table: self.table.clone(),
            created: sent.rows,
            updated: 0,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: sent.bytes,
            snapshots: 1,
            stored: Stored::Unverified("sent, not stored".to_owned()),
            changed: Vec::new(),
        }))
    }

    async fn digest(
        &self,
        snapshot: &RunSnapshot,
        buckets: u32,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<Option<TableReport>, Broken> {
        let schema = self.header(snapshot, frames).await?;
        let digests = alive_until(snapshot.digests(&schema), frames).await;
        let digests = digests.map_err(Broken::Database)?;
        push(frames, encode_digest(&digests.encode(buckets))).await?;
        Ok(None)
    }

    async fn header(
        &self,
        snapshot: &RunSnapshot,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<TableSchema, Broken> {
        let described = alive_until(snapshot.view.describe(&self.table), frames).await;
        let schema = described.map_err(Broken::Database)?;
        let header = StreamHeader {
            table: schema.clone(),
            snapshot: snapshot.id.clone(),
        };
        push(frames, encode_header(&header).map_err(unencodable)?).await?;
        Ok(schema)
    }
}

/// Why a stream ended early.
enum Broken {
    /// The database failed: the view may be unusable.
    Database(DatabaseError),
    /// The peer failed or went away: the view can be read again.
    Peer(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Peer(failure)
    }
}

/// What was sent so far.
#[derive(Default)]
struct Forwarded {
    rows: u64,
    digest: u128,
    bytes: u64,
}

/// Sends blocks as frames as they arrive.
async fn forward(
    mut blocks: mpsc::Receiver<RowBlock>,
    buckets: Option<(&BucketSet, KeyColumns)>,
    compress: bool,
    frames: &mpsc::Sender<Bytes>,
) -> Result<Forwarded, Failure> {
    let mut sent = Forwarded::default();
    let mut chosen = None;
    loop {
        let block = match tokio::time::timeout(ALIVE, blocks.recv()).await {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(_) => {
                push(frames, encode_alive()).await?;
                continue;
            }
        };
        let Some((set, key)) = &buckets else {
            sent.push(&block, compress, frames).await?;
            continue;
        };
        let chosen = chosen.get_or_insert_with(|| BlockBuilder::new(block.column_count()));
        for row in block.rows().filter(|row| set.contains(key.bucket(*row))) {
            if chosen.byte_count() + row.bytes().len() > crate::rows::FRAME_BYTES
                && !chosen.is_empty()
            {
                sent.push(&chosen.take(), compress, frames).await?;
            }
            chosen.push_row(row);
            if chosen.is_full() {
                sent.push(&chosen.take(), compress, frames).await?;
            }
        }
    }
    if let Some(mut rest) = chosen
        && !rest.is_empty()
    {
        sent.push(&rest.take(), compress, frames).await?;
    }
    Ok(sent)
}

impl Forwarded {
    async fn push(
        &mut self,
        block: &RowBlock,
        compress: bool,
        frames: &mpsc::Sender<Bytes>,
    ) -> Result<(), Failure> {
        let frame = encode_rows(block, self.rows, compress);
        self.rows += u64::from(block.row_count());
        self.digest = self.digest.wrapping_add(block.digest());
        self.bytes += frame.len() as u64;
        push(frames, frame).await
    }
}

async fn push(frames: &mpsc::Sender<Bytes>, frame: Bytes) -> Result<(), Failure> {
    match frames.send(frame).await {
        Ok(()) => Ok(()),
        Err(_) => Err(cancelled()),
    }
}

fn cancelled() -> Failure {
    failure(ErrorCode::Cancelled, "the receiver is gone", "")
}

/// Waits for the database, and sends `alive` frames meanwhile.
async fn alive_until<T>(
    work: impl Future<Output = Result<T, DatabaseError>>,
    frames: &mpsc::Sender<Bytes>,
) -> Result<T, DatabaseError> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(ALIVE, work.as_mut()).await {
            Ok(result) => return result,
            Err(_) => {
                let _ = frames.send(encode_alive()).await;
            }
        }
    }
}

fn unencodable(error: serde_json::Error) -> Failure {
    failure(ErrorCode::Internal, error.to_string(), "")
}
