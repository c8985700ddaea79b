//! Decides when a chunk ends; a chunk is one transaction.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::rows::RowBlock;

/// A chunk ends at this many rows, …
const ROWS: u64 = 250_000;

/// … at this many bytes, which the receiver keeps until they are committed, …
const BYTES: u64 = 32 << 20;

/// … or after this long, so that no lock is held for long.
const TIME: Duration = Duration::from_secs(5);

/// The most rows of a table that is written in one chunk.
pub const MAX_ROWS: u64 = ROWS;

/// The rows of a full chunk. `TOMBOLO_CHUNK_ROWS` makes chunks smaller for tests.
static CHUNK_ROWS: LazyLock<u64> = LazyLock::new(|| {
    let smaller = std::env::var("TOMBOLO_CHUNK_ROWS").ok();
    let smaller = smaller.and_then(|rows| rows.parse().ok());
    smaller.map_or(ROWS, |rows: u64| rows.clamp(1, ROWS))
});

/// Returns true if so many rows are fewer than those of a full chunk.
pub fn is_smaller(rows: u64) -> bool {
    rows < *CHUNK_ROWS
}

/// The chunk under way.
#[derive(Debug, Default)]
pub struct Chunk {
    rows: u64,
    bytes: u64,
    began: Option<Instant>,
}

impl Chunk {
    /// Counts a block.
    pub fn add(&mut self, block: &RowBlock) {
        self.rows += u64::from(block.row_count());
        self.bytes += block.data().len() as u64;
        self.began.get_or_insert_with(Instant::now);
    }

    /// Returns the number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns true if the chunk has to end now.
    pub fn is_full(&self) -> bool {
        let late = self.began.is_some_and(|began| began.elapsed() >= TIME);
        self.rows >= *CHUNK_ROWS || self.bytes >= BYTES || late
    }

    /// Returns when the chunk has to end; none while it is empty.
    pub fn deadline(&self) -> Option<Instant> {
        self.began.map(|began| began + TIME)
    }
}
