//! The bodies of row streams: the rows of a held snapshot, or their digests, as frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::budget::{OwnBudget, Permits};
use super::connections::Connection;
use super::log_pace::LogPace;
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
const WAITING_FRAMES: usize = 1;

/// The most blocks that wait to become frames.
const WAITING_BLOCKS: usize = 1;

/// How long the peer of a session that has ended may take to read the rest of its stream.
const LAST_FRAMES: Duration = Duration::from_secs(5);

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
    /// The connection of the peer.
    pub connection: Arc<Connection>,
    /// Where the rows are.
    pub database: Arc<dyn Database>,
    /// The run's snapshot.
    pub held: Arc<HeldSnapshot>,
    /// The peer's run.
    pub run: String,
    /// The table.
    pub table: String,
    /// The columns that the peer does not want.
    pub without: Vec<String>,
    /// What the owner's peers may use.
    pub budget: OwnBudget,
    /// Its place among the streams.
    pub permits: Permits,
    /// When it is logged that a stream ended early.
    pub log: Arc<LogPace>,
}

/// Streams the requested content. The caller has checked grants and scope.
pub fn stream(sending: Sending, content: Content) -> impl Stream<Item = Bytes> + Send {
    let (sender, waiting) = mpsc::channel(WAITING_FRAMES);
    let frames = Frames {
        sender,
        budget: sending.budget.clone(),
        bytes: AtomicU64::new(0),
    };
    let (unread, read) = oneshot::channel();
    tokio::spawn(run(sending, content, frames, read));
    futures::stream::unfold((waiting, unread), |(mut waiting, unread)| async move {
        let frame = waiting.recv().await?;
        Some((frame, (waiting, unread)))
    })
}

/// Sends a stream. `read` resolves when the peer has read all of it, or is gone.
async fn run(sending: Sending, content: Content, frames: Frames, read: oneshot::Receiver<()>) {
    let revoked = sending.admission.revoked();
    let outcome = tokio::select! {
        outcome = sending.send(content, &frames) => outcome,
        () = revoked => Err(session_ended()),
        // Nobody listens any more: stop reading the database at once.
        () = frames.sender.closed() => Err(cancelled()),
    };
    let Sending {
        tenant,
        admission,
        connection,
        database,
        held,
        run,
        table,
        without: _,
        budget,
        permits,
        log,
    } = sending;
    held.touch();
    // What is held goes before the peer is told: it may never read that.
    drop((held, database, budget));
    let failure = match outcome {
        Ok(Some(report)) => {
            drop(frames);
            let sent = Event::Sent(Sent {
                admission: admission.id,
                run,
                report,
            });
            // The stream counts until the event is queued, so that no more of them wait than there are streams.
            tenant.events().push_when_free(sent).await;
            return;
        }
        Ok(None) => return,
        Err(failure) => failure,
    };
    drop(permits);
    log_end(&log, &table, &failure);
    let ended = failure.code == ErrorCode::OwnerGone;
    if ended {
        // A request that was under way when the session ended may have come back for a snapshot.
        tenant.resources().snapshots().release(&admission.id);
    }
    let telling = async {
        if let Ok(frame) = encode_error(&failure) {
            let _ = frames.sender.send(frame).await;
        }
        drop(frames);
        let _ = read.await;
    };
    if !ended {
        // The connection breaks when the peer reads nothing for long.
        telling.await;
    } else if tokio::time::timeout(LAST_FRAMES, telling).await.is_err() {
        connection.close();
    }
}

/// Logs why a stream ended early. What a peer causes by ending it is no news, and the rest is logged now and then.
fn log_end(log: &LogPace, table: &str, failure: &Failure) {
    let (code, message) = (failure.code.as_str(), failure.message.as_str());
    let by_peer = [ErrorCode::Cancelled, ErrorCode::OwnerGone, ErrorCode::Limit];
    if by_peer.iter().any(|by_peer| failure.code == *by_peer) {
        tracing::debug!(code, table, "a stream ended early: {message}");
    } else if let Some(left_out) = log.due() {
        tracing::warn!(code, table, left_out, "a stream ended early: {message}");
    }
}

/// The frames that wait for the peer to read them.
struct Frames {
    sender: mpsc::Sender<Bytes>,
    budget: OwnBudget,
    /// Bytes of all frames so far: what the peer counts as received.
    bytes: AtomicU64,
}

impl Frames {
    /// Queues a frame of about so many bytes, once there is room for it.
    async fn push(&self, bytes: usize, frame: impl FnOnce() -> Bytes) -> Result<(), Failure> {
        let room = self.alive_until(self.budget.room(bytes)).await?;
        let frame = room.fill(frame());
        self.count(&frame);
        self.sender.send(frame).await.map_err(|_| cancelled())
    }

    /// Queues a frame that exists.
    async fn push_frame(&self, frame: Bytes) -> Result<(), Failure> {
        self.push(frame.len(), || frame).await
    }

    /// Says that the sender works, unless the peer has something to read anyway.
    fn alive(&self) {
        let frame = encode_alive();
        let bytes = frame.len() as u64;
        if self.sender.try_send(frame).is_ok() {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn count(&self, frame: &Bytes) {
        self.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
    }

    /// Waits, and sends `alive` frames meanwhile.
    async fn alive_until<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(ALIVE, work.as_mut()).await {
                Ok(result) => return result,
                Err(_) => self.alive(),
            }
        }
    }
}

impl Sending {
    async fn send(
        &self,
        content: Content,
        frames: &Frames,
    ) -> Result<Option<TableReport>, Failure> {
        frames.push_frame(encode_start()).await?;
        let opening = self.held.snapshot(&self.database);
        let snapshot = frames.alive_until(opening).await?;
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
                // Without a connection for a read, the view is as good as before.
                let none_free = matches!(
                    error,
                    DatabaseError::TooManyConnections { .. } | DatabaseError::ServerFull { .. }
                );
                if !none_free {
                    self.held.discard(&snapshot).await;
                }
                Err(error.into())
            }
        }
    }

    async fn rows(
        &self,
        snapshot: &RunSnapshot,
        selection: Selection,
        compress: bool,
        frames: &Frames,
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
        let (blocks, waiting) = mpsc::channel(WAITING_BLOCKS);
        let (read, forwarded) = tokio::join!(
            snapshot.view.read(read, blocks),
            forward(waiting, buckets, compress, frames)
        );
        read.map_err(Broken::Database)?;
        let sent = forwarded?;
        let end = encode_end(&StreamEnd::new(sent.rows, sent.digest)).map_err(unencodable)?;
        frames.push_frame(end).await?;
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
            bytes: frames.bytes.load(Ordering::Relaxed),
            snapshots: 1,
            stored: Stored::Unverified("sent, not stored".to_owned()),
            changed: Vec::new(),
        }))
    }

    async fn digest(
        &self,
        snapshot: &RunSnapshot,
        buckets: u32,
        frames: &Frames,
    ) -> Result<Option<TableReport>, Broken> {
        let schema = self.header(snapshot, frames).await?;
        let digests = frames.alive_until(snapshot.digests(&schema)).await;
        let digests = digests.map_err(Broken::Database)?;
        let frame = encode_digest(&digests.encode(buckets));
        frames.push_frame(frame).await?;
        Ok(None)
    }

    async fn header(&self, snapshot: &RunSnapshot, frames: &Frames) -> Result<TableSchema, Broken> {
        let describing = snapshot.view.describe(&self.table);
        let described = frames.alive_until(describing).await;
        let mut schema = described.map_err(Broken::Database)?;
        leave_out(&mut schema, &self.without).map_err(Broken::Peer)?;
        let header = StreamHeader {
            table: schema.clone(),
            snapshot: snapshot.id.clone(),
        };
        let frame = encode_header(&header).map_err(unencodable)?;
        frames.push_frame(frame).await?;
        Ok(schema)
    }
}

/// Removes columns that a peer does not want. Fails with `bad-request` for a column of the primary key, and if none is
/// left.
fn leave_out(schema: &mut TableSchema, without: &[String]) -> Result<(), Failure> {
    if without.is_empty() {
        return Ok(());
    }
    let is_left = |name: &String| !without.contains(name);
    schema.columns.retain(|column| is_left(&column.name));
    if schema.columns.is_empty() || !schema.primary_key.iter().all(is_left) {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "columns of the primary key of table {:?}, or all of its columns, are to be left out",
                schema.table
            ),
            "use the same version of tombolo on both sides",
        ));
    }
    schema.unique_keys.retain(|key| key.iter().all(is_left));
    let foreign_keys = &mut schema.foreign_keys;
    foreign_keys.retain(|key| key.columns.iter().all(is_left));
    Ok(())
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
}

/// Sends blocks as frames as they arrive.
async fn forward(
    mut blocks: mpsc::Receiver<RowBlock>,
    buckets: Option<(&BucketSet, KeyColumns)>,
    compress: bool,
    frames: &Frames,
) -> Result<Forwarded, Failure> {
    let mut sent = Forwarded::default();
    let mut chosen = None;
    let mut said = Instant::now();
    loop {
        let block = match tokio::time::timeout(ALIVE, blocks.recv()).await {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(_) => {
                frames.alive();
                continue;
            }
        };
        let Some((set, key)) = &buckets else {
            sent.push(&block, compress, frames).await?;
            continue;
        };
        // A table may have many rows between two that are wanted.
        if said.elapsed() >= ALIVE {
            frames.alive();
            said = Instant::now();
        }
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
        frames: &Frames,
    ) -> Result<(), Failure> {
        let before = self.rows;
        let encode = || encode_rows(block, before, compress);
        frames.push(block.data().len(), encode).await?;
        self.rows += u64::from(block.row_count());
        self.digest = self.digest.wrapping_add(block.digest());
        Ok(())
    }
}

fn cancelled() -> Failure {
    failure(ErrorCode::Cancelled, "the receiver is gone", "")
}

fn session_ended() -> Failure {
    failure(
        ErrorCode::OwnerGone,
        "the session has ended",
        "ask for a new code",
    )
}

fn unencodable(error: serde_json::Error) -> Failure {
    failure(ErrorCode::Internal, error.to_string(), "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, Generation, LogicalType};
    use crate::rows::CellRef;
    use crate::server::budget::Budget;

    fn table() -> TableSchema {
        TableSchema {
            table: "t".to_owned(),
            columns: vec![Column {
                name: "id".to_owned(),
                logical: LogicalType::Integer,
                origin: "sqlite:INTEGER".to_owned(),
                nullable: false,
                default: None,
                generation: Generation::None,
            }],
            primary_key: vec!["id".to_owned()],
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_peer_hears_of_the_sender_while_no_row_is_wanted() {
        let (sender, mut waiting) = mpsc::channel(WAITING_FRAMES);
        let frames = Frames {
            sender,
            budget: Budget::default().of(Some("ana")),
            bytes: AtomicU64::new(0),
        };
        let (blocks, read) = mpsc::channel(WAITING_BLOCKS);
        let reading = async move {
            let begun = Instant::now();
            while begun.elapsed() < ALIVE + Duration::from_secs(1) {
                let mut block = BlockBuilder::new(1);
                block.push(CellRef::Integer(1));
                block.end_row();
                blocks.send(block.take()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let none = BucketSet::default();
        let wanted = Some((&none, KeyColumns::of(&table())));
        let ((), sent) = tokio::join!(reading, forward(read, wanted, false, &frames));
        assert_eq!(sent.unwrap().rows, 0);
        assert_eq!(waiting.try_recv().unwrap(), encode_alive());
    }
}
