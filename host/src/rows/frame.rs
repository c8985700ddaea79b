//! The frames of a row stream.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{FRAME_BYTES, FRAME_ROWS, MAX_ROW_BYTES, RowBlock};
use crate::bindings::types::{Failure, TableSchema};
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;

const MAGIC: &[u8; 4] = b"TMBL";
const VERSION: u8 = 1;

const HEADER: u8 = b'H';
const ROWS: u8 = b'R';
const ALIVE: u8 = b'A';
const DIGEST: u8 = b'D';
const END: u8 = b'E';
const ERROR: u8 = b'X';

const COMPRESSED: u8 = 1;

/// Kind, flags, payload length, payload checksum.
const PREFIX: usize = 1 + 1 + 4 + 8;

/// The first bytes of a payload of rows: the number of rows before it, and the number of rows in it.
const POSITION: usize = 8 + 4;

/// The largest payload: rows that do not fill a frame yet, and one row of the largest size.
const MAX_PAYLOAD: usize = POSITION + FRAME_BYTES + MAX_ROW_BYTES;

/// The largest JSON document; parsed, it takes a multiple of that. The header of 2 000 columns needs a quarter of it.
const MAX_DOCUMENT: usize = 2 << 20;

/// The longest id of a snapshot, in bytes.
const MAX_SNAPSHOT: usize = 128;

/// The most `alive` frames without rows between them. A sender that works sends one every 5 s: this is about 7 h.
const MAX_ALIVE: u32 = 5_000;

/// Why a stream of frames cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is not a row stream of this version.
    #[error("the peer's answer is not a row stream of version {VERSION}")]
    Magic,
    /// The stream stopped before its end frame.
    #[error("the row stream was cut off before its end")]
    Truncated,
    /// A checksum, count or digest does not match.
    #[error("the row stream is corrupt: {0}")]
    Corrupt(&'static str),
    /// A frame is larger than allowed.
    #[error("a frame of {length} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed in a frame of this kind.
        limit: usize,
    },
    /// A frame announces more rows than allowed.
    #[error("the row stream is corrupt: a frame of {rows} rows, where {FRAME_ROWS} are allowed")]
    TooManyRows {
        /// Rows announced.
        rows: u32,
    },
    /// The sender only says that it works.
    #[error("the peer sent {MAX_ALIVE} signs of life and no row")]
    OnlyAlive,
    /// The rows of a frame are not well formed.
    #[error("the row stream is corrupt: a frame's rows are not well formed")]
    Cell,
    /// The connection broke.
    #[error("the connection broke during the row stream: {0}")]
    Connection(String),
    /// The sender ended the stream with an error.
    #[error("the peer ended the row stream: {}", .0.message)]
    Sender(Failure),
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        const AGAIN: &str = "what is committed is complete; pull again for the rest";
        match error {
            FrameError::Sender(sent) => failure(
                ErrorCode::Sender,
                format!(
                    "the other site ended the transfer: {}",
                    printable(&sent.message)
                ),
                AGAIN,
            ),
            FrameError::Truncated | FrameError::Connection(_) => {
                failure(ErrorCode::Truncated, error.to_string(), AGAIN)
            }
            FrameError::Magic => failure(
                ErrorCode::IncompatiblePeer,
                error.to_string(),
                "use the same version of tombolo on both sides",
            ),
            FrameError::TooLarge { .. } => failure(ErrorCode::Limit, error.to_string(), AGAIN),
            FrameError::OnlyAlive => failure(ErrorCode::Timeout, error.to_string(), AGAIN),
            FrameError::Corrupt(_) | FrameError::Cell | FrameError::TooManyRows { .. } => {
                failure(ErrorCode::Corrupt, error.to_string(), AGAIN)
            }
        }
    }
}

/// The header frame: what the rows are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamHeader {
    /// The table as it is sent: its columns are exactly the cells of each row.
    pub table: TableSchema,
    /// The id of the snapshot that the rows come from; rows of two snapshots may not fit together.
    pub snapshot: String,
}

/// The end frame: what must have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnd {
    /// The number of rows sent.
    pub rows: u64,
    /// The sum of the rows' digests, as two halves because JSON has no 128-bit numbers.
    pub digest: [u64; 2],
}

impl StreamEnd {
    /// Returns the end of a stream of so many rows with this sum of digests.
    #[must_use]
    pub fn new(rows: u64, digest: u128) -> Self {
        let low = u64::try_from(digest & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(digest >> 64).unwrap_or_default();
        Self {
            rows,
            digest: [high, low],
        }
    }
}

/// One received frame.
#[derive(Debug)]
pub enum Frame {
    /// Rows of the table in the header.
    Rows(RowBlock),
    /// The sender works and has no rows yet.
    Alive,
    /// The encoded digests of buckets; no frame follows.
    Digest(Bytes),
    /// All rows were sent and received.
    End(StreamEnd),
}

/// Returns the bytes before the first frame.
#[must_use]
pub fn encode_start() -> Bytes {
    let mut start = BytesMut::with_capacity(MAGIC.len() + 1);
    start.put_slice(MAGIC);
    start.put_u8(VERSION);
    start.freeze()
}

/// Returns the header frame.
pub fn encode_header(header: &StreamHeader) -> Result<Bytes, serde_json::Error> {
    Ok(encode(HEADER, 0, &serde_json::to_vec(header)?))
}

/// Returns a frame of rows, compressed with zstd if asked; `before` is the number of rows in earlier frames.
#[must_use]
pub fn encode_rows(block: &RowBlock, before: u64, compress: bool) -> Bytes {
    let mut payload = BytesMut::with_capacity(block.data().len() + POSITION);
    payload.put_u64(before);
    payload.put_u32(block.row_count());
    payload.put_slice(block.data());
    if compress && let Ok(packed) = zstd::bulk::compress(&payload, 1) {
        return encode(ROWS, COMPRESSED, &packed);
    }
    encode(ROWS, 0, &payload)
}

/// Returns the frame that says that the sender works.
#[must_use]
pub fn encode_alive() -> Bytes {
    encode(ALIVE, 0, &[])
}

/// Returns the digest frame.
#[must_use]
pub fn encode_digest(digests: &[u8]) -> Bytes {
    encode(DIGEST, 0, digests)
}

/// Returns the end frame.
pub fn encode_end(end: &StreamEnd) -> Result<Bytes, serde_json::Error> {
    Ok(encode(END, 0, &serde_json::to_vec(end)?))
}

/// Returns the frame that says why the stream ends early.
pub fn encode_error(failure: &Failure) -> Result<Bytes, serde_json::Error> {
    Ok(encode(ERROR, 0, &serde_json::to_vec(failure)?))
}

fn encode(kind: u8, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + payload.len());
    frame.put_u8(kind);
    frame.put_u8(flags);
    frame.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    frame.put_u64(checksum(kind, flags, payload));
    frame.put_slice(payload);
    frame.freeze()
}

/// Returns the checksum, which covers the kind and the flags too: a flipped bit must not turn one frame into another.
fn checksum(kind: u8, flags: u8, payload: &[u8]) -> u64 {
    xxh3_64(payload) ^ (u64::from(kind) << 8 | u64::from(flags)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Reads frames from a stream of byte pieces. Sizes are checked before memory is allocated.
#[derive(Debug)]
pub struct FrameReader<S> {
    pieces: S,
    buffer: BytesMut,
    columns: usize,
    rows: u64,
    digest: u128,
    received: u64,
    /// `alive` frames since the last other frame.
    alive: u32,
}

impl<S, E> FrameReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the start and the header frame.
    pub async fn open(pieces: S) -> Result<(Self, StreamHeader), FrameError> {
        let mut reader = Self::begin(pieces).await?;
        loop {
            if let Some(header) = reader.header().await? {
                return Ok((reader, header));
            }
        }
    }

    /// Reads the start; [`Self::header`] comes next.
    pub async fn begin(pieces: S) -> Result<Self, FrameError> {
        let mut reader = Self {
            pieces,
            buffer: BytesMut::new(),
            columns: 0,
            rows: 0,
            digest: 0,
            received: 0,
            alive: 0,
        };
        reader.fill(MAGIC.len() + 1).await?;
        let start = reader.buffer.split_to(MAGIC.len() + 1);
        if start != encode_start() {
            return Err(FrameError::Magic);
        }
        Ok(reader)
    }

    /// Reads the header frame; none if the sender works and has no header yet.
    pub async fn header(&mut self) -> Result<Option<StreamHeader>, FrameError> {
        match self.frame().await? {
            (HEADER, payload) => {
                let header: StreamHeader = serde_json::from_slice(&payload)
                    .map_err(|_| FrameError::Corrupt("its header cannot be read"))?;
                if header.snapshot.len() > MAX_SNAPSHOT {
                    return Err(FrameError::Corrupt("the id of its snapshot is too long"));
                }
                self.columns = header.table.columns.len();
                Ok(Some(header))
            }
            (ALIVE, _) => Ok(None),
            (ERROR, payload) => Err(sender_error(&payload)),
            _ => Err(FrameError::Corrupt("it does not begin with a header")),
        }
    }

    /// Returns the next frame; none follows [`Frame::End`].
    pub async fn next(&mut self) -> Result<Frame, FrameError> {
        let (kind, mut payload) = self.frame().await?;
        match kind {
            ROWS => {
                if payload.len() < POSITION {
                    return Err(FrameError::Cell);
                }
                // Or frames that were lost, doubled or swapped would be noticed at the end only, after commits.
                if payload.get_u64() != self.rows {
                    return Err(FrameError::Corrupt("a frame of rows is not in its place"));
                }
                let rows = payload.get_u32();
                if rows > FRAME_ROWS {
                    return Err(FrameError::TooManyRows { rows });
                }
                let block = RowBlock::parse(payload, rows, self.columns)?;
                self.rows = self.rows.saturating_add(u64::from(rows));
                self.digest = self.digest.wrapping_add(block.digest());
                Ok(Frame::Rows(block))
            }
            ALIVE => Ok(Frame::Alive),
            DIGEST => Ok(Frame::Digest(payload)),
            END => {
                let end: StreamEnd = serde_json::from_slice(&payload)
                    .map_err(|_| FrameError::Corrupt("its end cannot be read"))?;
                if end != StreamEnd::new(self.rows, self.digest) {
                    return Err(FrameError::Corrupt(
                        "its rows are not the ones that were sent",
                    ));
                }
                Ok(Frame::End(end))
            }
            ERROR => Err(sender_error(&payload)),
            _ => Err(FrameError::Corrupt("a frame of an unknown kind")),
        }
    }

    /// Returns the number of bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    async fn frame(&mut self) -> Result<(u8, Bytes), FrameError> {
        self.fill(PREFIX).await?;
        let mut prefix = self.buffer.split_to(PREFIX);
        let kind = prefix.get_u8();
        let flags = prefix.get_u8();
        let length = prefix.get_u32() as usize;
        let expected = prefix.get_u64();
        let limit = match kind {
            ROWS => MAX_PAYLOAD,
            ALIVE => 0,
            _ => MAX_DOCUMENT,
        };
        if length > limit {
            return Err(FrameError::TooLarge { length, limit });
        }
        self.fill(length).await?;
        let payload = self.buffer.split_to(length).freeze();
        if checksum(kind, flags, &payload) != expected {
            return Err(FrameError::Corrupt("a checksum does not match"));
        }
        self.alive = match kind {
            ALIVE => self.alive.saturating_add(1),
            _ => 0,
        };
        if self.alive > MAX_ALIVE {
            return Err(FrameError::OnlyAlive);
        }
        match flags {
            0 => Ok((kind, payload)),
            COMPRESSED if kind == ROWS => Ok((kind, decompress(&payload)?)),
            _ => Err(FrameError::Corrupt("a frame has unknown flags")),
        }
    }

    async fn fill(&mut self, length: usize) -> Result<(), FrameError> {
        while self.buffer.len() < length {
            let piece = self
                .pieces
                .next()
                .await
                .ok_or(FrameError::Truncated)?
                .map_err(|error| FrameError::Connection(error.to_string()))?;
            self.received = self.received.saturating_add(piece.len() as u64);
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }
}

/// Decompresses exactly as much as the payload announces.
fn decompress(payload: &[u8]) -> Result<Bytes, FrameError> {
    let malformed = FrameError::Corrupt("a frame cannot be decompressed");
    let announced = zstd::zstd_safe::get_frame_content_size(payload)
        .ok()
        .flatten();
    let Some(length) = announced.and_then(|length| usize::try_from(length).ok()) else {
        return Err(malformed);
    };
    if length > MAX_PAYLOAD {
        let limit = MAX_PAYLOAD;
        return Err(FrameError::TooLarge { length, limit });
    }
    match zstd::bulk::decompress(payload, length) {
        Ok(unpacked) => Ok(unpacked.into()),
        Err(_) => Err(malformed),
    }
}

fn sender_error(payload: &[u8]) -> FrameError {
    match serde_json::from_slice(payload) {
        Ok(failure) => FrameError::Sender(failure),
        Err(_) => FrameError::Corrupt("its error cannot be read"),
    }
}

#[cfg(test)]
mod tests;
