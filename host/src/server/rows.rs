//! The body of a row stream: a held snapshot's rows as frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::access::Admission;
use crate::bindings::events::{Event, Sent};
use crate::bindings::peers::ReadOrder;
use crate::bindings::types::{Failure, TableReport};
use crate::database::{Database, DatabaseError};
use crate::failure::failure;
use crate::rows::{
    RowBlock, StreamEnd, StreamHeader, encode_alive, encode_end, encode_error, encode_header,
    encode_rows, encode_start,
};
use crate::snapshots::Held;
use crate::tenant::Tenant;

/// A sender that has no rows yet says that it lives.
const ALIVE: Duration = Duration::from_secs(5);

/// Frames that wait for a slow receiver.
const WAITING_FRAMES: usize = 4;

/// Streams what an order asks for. The caller checked grants and scope.
pub fn stream(
    tenant: Arc<Tenant>,
    admission: Admission,
    database: Arc<dyn Database>,
    held: Arc<Held>,
    order: ReadOrder,
    compress: bool,
) -> impl Stream<Item = Bytes> + Send {
    let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
    tokio::spawn(async move {
        let deadline = Instant::from_std(held.deadline());
        let revoked = admission.revoked();
        let gone = frames.clone();
        let gone = async move { gone.closed().await };
        let sending = send(
            database,
            Arc::clone(&held),
            order.table.clone(),
            compress,
            frames.clone(),
        );
        let outcome = tokio::select! {
            outcome = sending => outcome,
            () = revoked => Err(failure("owner-gone", "the session has ended", "ask for a new code")),
            () = tokio::time::sleep_until(deadline) => Err(failure(
                "limit",
                "the snapshot of this run is too old",
                "pull again for the rest",
            )),
            // Nobody listens any more: stop reading the database at once.
            () = gone => Err(failure("cancelled", "the receiver is gone", "")),
        };
        held.touch();
        match outcome {
            Ok(report) => tenant.enqueue(Event::Sent(Sent {
                admission: admission.id,
                run: order.run,
                report,
            })),
            Err(failure) => {
                // A read that was broken off leaves its connection in the middle of something.
                *held.lock().await = None;
                tracing::warn!(
                    code = failure.code,
                    table = order.table,
                    "a row stream ended early: {}",
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

async fn send(
    database: Arc<dyn Database>,
    held: Arc<Held>,
    table: String,
    compress: bool,
    frames: mpsc::Sender<Bytes>,
) -> Result<TableReport, Failure> {
    push(&frames, encode_start()).await?;
    let mut slot = held.lock().await;
    let snapshot = match slot.as_mut() {
        Some(snapshot) => snapshot,
        None => slot.insert(alive_until(database.snapshot(), &frames).await?),
    };
    let schema = alive_until(snapshot.describe(&table), &frames).await?;
    let header = StreamHeader {
        table: schema.clone(),
    };
    push(&frames, encode_header(&header).map_err(unencodable)?).await?;

    let (blocks, waiting) = mpsc::channel(2);
    let (read, forwarded) = tokio::join!(
        snapshot.read(&schema, blocks),
        forward(waiting, compress, &frames)
    );
    read?;
    let sent = forwarded?;
    let end = encode_end(&StreamEnd::new(sent.rows, sent.digest)).map_err(unencodable)?;
    push(&frames, end).await?;
    Ok(TableReport {
        table,
        created: sent.rows,
        updated: 0,
        same: 0,
        skipped: 0,
        failed: 0,
        bytes: sent.bytes,
    })
}

/// What went out so far.
#[derive(Default)]
struct Forwarded {
    rows: u64,
    digest: u128,
    bytes: u64,
}

/// Turns blocks into frames as they come.
async fn forward(
    mut blocks: mpsc::Receiver<RowBlock>,
    compress: bool,
    frames: &mpsc::Sender<Bytes>,
) -> Result<Forwarded, Failure> {
    let mut sent = Forwarded::default();
    loop {
        match tokio::time::timeout(ALIVE, blocks.recv()).await {
            Ok(Some(block)) => {
                let frame = encode_rows(&block, sent.rows, compress);
                sent.rows += u64::from(block.row_count());
                sent.digest = sent.digest.wrapping_add(block.digest());
                sent.bytes += frame.len() as u64;
                push(frames, frame).await?;
            }
            Ok(None) => return Ok(sent),
            Err(_) => push(frames, encode_alive()).await?,
        }
    }
}

async fn push(frames: &mpsc::Sender<Bytes>, frame: Bytes) -> Result<(), Failure> {
    match frames.send(frame).await {
        Ok(()) => Ok(()),
        Err(_) => Err(failure("cancelled", "the receiver is gone", "")),
    }
}

/// Waits for the database and says meanwhile that the sender lives.
async fn alive_until<T>(
    mut work: BoxFuture<'_, Result<T, DatabaseError>>,
    frames: &mpsc::Sender<Bytes>,
) -> Result<T, Failure> {
    loop {
        match tokio::time::timeout(ALIVE, work.as_mut()).await {
            Ok(result) => return Ok(result?),
            Err(_) => {
                let _ = frames.send(encode_alive()).await;
            }
        }
    }
}

fn unencodable(error: serde_json::Error) -> Failure {
    failure("internal", error.to_string(), "")
}
