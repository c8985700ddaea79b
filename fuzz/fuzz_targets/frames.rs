//! The frame decoder, fed with frames whose checksums are right, as a hostile peer would make them.
//!
//! It never panics, never allocates more than a transfer may, gives out only blocks that are canonical, and takes every
//! stream that follows the rules.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tombolo::bindings::types::{Cell, Column, Failure, Generation, LogicalType, TableSchema};
use tombolo::rows::{
    BlockBuilder, Buckets, CellRef, Frame, FrameReader, RowBlock, StreamEnd, StreamHeader, encode_alive,
    encode_end, encode_error, encode_header, encode_rows, encode_start,
};

/// A payload that unpacks to more than any frame may hold.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| zstd_of(&vec![0; 40 << 20]));

/// What a whole transfer may take, and far more than the largest frame and its unpacked form.
const MEMORY: usize = 128 << 20;

/// Counts what is allocated at the moment, and the most so far.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Arbitrary, Debug)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(u64),
    Text(String),
    Bytes(Vec<u8>),
    /// Compresses well.
    Long(u16),
}

#[derive(Arbitrary, Debug)]
enum Piece {
    /// Rows as the rules want them.
    Rows { rows: Vec<[Value; 2]>, compress: bool },
    Alive,
    /// A true end.
    End,
    /// A frame of any kind whose checksum is right.
    Frame { kind: Kind, flags: u8, payload: Vec<u8> },
    /// Encoded rows of a stranger's making, in their place or not.
    Block { before: Option<u64>, count: u32, cells: Vec<u8>, compress: bool },
    /// A compressed frame of many equal bytes.
    Bomb { kind: Kind, byte: u8, size: u8 },
    Error(String),
    Header(u8),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Header,
    Rows,
    Alive,
    Digest,
    End,
    Error,
    Any(u8),
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Rows => b'R',
            Self::Alive => b'A',
            Self::Digest => b'D',
            Self::End => b'E',
            Self::Error => b'X',
            Self::Any(byte) => byte,
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    /// Where this is odd, the stream has no start and header of its own.
    bare: u8,
    columns: u8,
    pieces: Vec<Piece>,
    /// How long the pieces are in which the bytes arrive.
    cuts: Vec<u8>,
    flip: Option<(u16, u8)>,
}

fuzz_target!(|input: Input| {
    let stream = Stream::of(&input);
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let (blocks, outcome) = read(&stream.bytes, &input.cuts);
    let most = MOST.load(Ordering::Relaxed) - before;
    assert!(most < MEMORY, "{most} bytes were allocated");
    if let Some(expected) = &stream.valid {
        let got: Vec<&[u8]> = blocks.iter().map(|block| &block.data()[..]).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|block| &block.data()[..]).collect();
        assert_eq!(got, expected);
        assert!(outcome.is_ok(), "{outcome:?}");
    }
});

/// Bytes to be read, and the blocks that must come out if the stream follows the rules.
struct Stream {
    bytes: Vec<u8>,
    valid: Option<Vec<RowBlock>>,
}

impl Stream {
    fn of(input: &Input) -> Self {
        let framed = input.bare % 2 == 0;
        let columns = if input.columns % 8 == 7 { usize::from(input.columns) } else { 2 };
        let (mut bytes, mut valid, mut ended) = (Vec::new(), Vec::new(), false);
        let (mut rows, mut digest, mut follows) = (0u64, 0u128, framed && columns == 2);
        if framed {
            bytes.extend(encode_start());
            bytes.extend(header(columns));
        }
        for piece in &input.pieces {
            let mut passed = |block: &RowBlock, rows: &mut u64| {
                *rows += u64::from(block.row_count());
                digest = digest.wrapping_add(block.digest());
            };
            match piece {
                Piece::Rows { rows: some, compress } => {
                    let block = block(some);
                    if block.row_count() == 0 {
                        continue;
                    }
                    bytes.extend(encode_rows(&block, rows, *compress));
                    passed(&block, &mut rows);
                    if !ended {
                        valid.push(block);
                    }
                }
                Piece::Alive => bytes.extend(encode_alive()),
                Piece::End => {
                    bytes.extend(encode_end(&StreamEnd::new(rows, digest)).unwrap());
                    ended = true;
                }
                other => {
                    follows &= ended;
                    bytes.extend(hostile(other, columns, rows));
                }
            }
        }
        if let Some((at, bit)) = input.flip
            && !bytes.is_empty()
        {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= 1 << (bit % 8);
            follows = false;
        }
        let valid = (follows && ended).then_some(valid);
        Self { bytes, valid }
    }
}

fn hostile(piece: &Piece, columns: usize, rows: u64) -> Vec<u8> {
    let pack = |payload: &[u8], compress: bool| match compress {
        true => (1, zstd_of(payload)),
        false => (0, payload.to_vec()),
    };
    match piece {
        Piece::Frame { kind, flags, payload } => frame(kind.byte(), *flags, payload),
        Piece::Block { before, count, cells, compress } => {
            let before = before.unwrap_or(rows).to_be_bytes();
            let payload = [&before[..], &count.to_be_bytes(), cells].concat();
            let (flags, payload) = pack(&payload, *compress);
            frame(b'R', flags, &payload)
        }
        Piece::Bomb { kind, byte, size } => {
            // Large ones cost time and tell nothing new, so a common byte does not ask for one.
            let payload = match *size {
                0x5A => LARGE.clone(),
                size => zstd_of(&vec![*byte; usize::from(size) << 8]),
            };
            frame(kind.byte(), 1, &payload)
        }
        Piece::Error(message) => {
            let failure = Failure {
                code: "database".to_owned(),
                message: message.clone(),
                hint: String::new(),
            };
            encode_error(&failure).unwrap().to_vec()
        }
        Piece::Header(more) => header(columns + usize::from(*more)).to_vec(),
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Rows { .. } | Piece::Alive | Piece::End => Vec::new(),
    }
}

/// A frame with a checksum that is right, written down from the specification.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let salt = u64::from(kind) << 8 | u64::from(flags);
    let sum = xxhash_rust::xxh3::xxh3_64(payload) ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let length = u32::try_from(payload.len()).unwrap();
    [&[kind, flags], &length.to_be_bytes()[..], &sum.to_be_bytes(), payload].concat()
}

fn zstd_of(payload: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(payload, 1).unwrap()
}

fn header(columns: usize) -> Bytes {
    let column = |number| Column {
        name: format!("c{number}"),
        logical: LogicalType::Any,
        origin: "sqlite:".to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    let table = TableSchema {
        table: "t".to_owned(),
        columns: (0..columns).map(column).collect(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    };
    let snapshot = "a snapshot".to_owned();
    encode_header(&StreamHeader { table, snapshot }).unwrap()
}

fn block(rows: &[[Value; 2]]) -> RowBlock {
    let mut builder = BlockBuilder::new(2);
    for row in rows {
        for value in row {
            let cell = match value {
                Value::Null => Cell::Null,
                Value::Boolean(value) => Cell::Boolean(*value),
                Value::Integer(value) => Cell::Integer(*value),
                Value::Real(bits) => Cell::Real(f64::from_bits(*bits)),
                Value::Text(value) => Cell::Text(value.clone()),
                Value::Bytes(value) => Cell::Bytes(value.clone()),
                Value::Long(length) => Cell::Bytes(vec![7; usize::from(*length)]),
            };
            builder.push((&cell).into());
        }
        builder.end_row();
    }
    builder.take()
}

/// Reads to the end, and checks that every block is what its cells encode to.
fn read(bytes: &[u8], cuts: &[u8]) -> (Vec<RowBlock>, Result<(), String>) {
    let mut cuts = cuts.iter().cycle();
    let mut rest = bytes;
    let pieces = std::iter::from_fn(move || {
        let cut = cuts.next().map_or(4096, |cut| 1 + usize::from(*cut) * 16);
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then(|| Ok::<_, String>(Bytes::copy_from_slice(piece)))
    });
    let mut blocks = Vec::new();
    let outcome = futures::executor::block_on(async {
        let opened = FrameReader::open(futures::stream::iter(pieces)).await;
        let (mut reader, header) = opened.map_err(|error| error.to_string())?;
        let (mut rows, mut digest) = (0, 0u128);
        loop {
            match reader.next().await.map_err(|error| error.to_string())? {
                Frame::Rows(block) => {
                    let columns = header.table.columns.len();
                    assert_eq!(block.column_count(), columns);
                    assert_eq!(encoded_again(&block, columns), block.data());
                    rows += u64::from(block.row_count());
                    digest = digest.wrapping_add(block.digest());
                    blocks.push(block);
                }
                Frame::Alive => {}
                Frame::Digest(sums) => {
                    let _ = (Buckets::decode(&sums), Buckets::decode_total(&sums));
                    return Ok(());
                }
                Frame::End(end) => {
                    assert_eq!(end, StreamEnd::new(rows, digest));
                    return Ok(());
                }
            }
        }
    });
    (blocks, outcome)
}

fn encoded_again(block: &RowBlock, columns: usize) -> Bytes {
    let mut builder = BlockBuilder::new(columns);
    for row in block.rows() {
        let cells: Vec<Cell> = row.map(CellRef::to_cell).collect();
        assert_eq!(cells.len(), columns);
        for cell in &cells {
            builder.push(cell.into());
        }
        builder.end_row();
    }
    builder.take().data().clone()
}
