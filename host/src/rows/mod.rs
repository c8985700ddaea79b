//! Rows between databases: canonical cells, encoded blocks and frames, whose bytes `docs/row-format.md` specifies.

mod block;
mod buckets;
mod cell;
mod frame;
mod key_text;
pub mod temporal;
mod uuid_text;

pub use block::{BlockBuilder, EncodedCell, RowBlock, RowRef, is_utf8};
pub use buckets::{BUCKETS, BucketDigest, BucketSet, Buckets, KeyColumns};
pub use cell::CellRef;
pub use frame::{
    Frame, FrameError, FrameReader, StreamEnd, StreamHeader, encode_alive, encode_digest,
    encode_end, encode_error, encode_header, encode_rows, encode_start,
};
pub use key_text::{format_key, format_primary_key};
pub use uuid_text::{format_uuid, parse_uuid};

/// The media type of a stream of frames.
pub const MEDIA_TYPE: &str = "application/vnd.tombolo.rows";

/// The media type of a stream of compressed frames.
pub const MEDIA_TYPE_COMPRESSED: &str = "application/vnd.tombolo.rows+zstd";

/// The most rows of a frame.
pub const FRAME_ROWS: u32 = 5_000;

/// A frame ends when its rows reach this many bytes; one larger row makes a larger frame.
pub const FRAME_BYTES: usize = 1 << 20;

/// The most bytes of one encoded row.
pub const MAX_ROW_BYTES: usize = 32 << 20;
