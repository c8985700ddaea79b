//! Streams as a receiver meets them: whole, cut, flipped, and from strangers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use super::*;
use crate::bindings::types::{Column, Generation, LogicalType};
use crate::rows::{BlockBuilder, CellRef};
use proptest::prelude::*;

fn stream(rows: u64, compress: bool) -> Vec<u8> {
    let column = Column {
        name: "id".to_owned(),
        logical: LogicalType::Integer,
        origin: "pg:bigint".to_owned(),
        nullable: false,
        default: None,
        generation: Generation::None,
    };
    let table = TableSchema {
        table: "t".to_owned(),
        columns: vec![column],
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    };
    let header = StreamHeader {
        table,
        snapshot: "a snapshot".to_owned(),
    };
    let mut bytes = encode_start().to_vec();
    bytes.extend(encode_alive());
    bytes.extend(encode_header(&header).unwrap());
    let mut builder = BlockBuilder::new(1);
    let mut digest = 0u128;
    for id in 0..rows {
        builder.push(CellRef::Integer(id.cast_signed()));
        builder.end_row();
        if id % 10 == 9 {
            let block = builder.take();
            digest = digest.wrapping_add(block.digest());
            bytes.extend(encode_rows(&block, id - 9, compress));
        }
    }
    bytes.extend(encode_end(&StreamEnd::new(rows, digest)).unwrap());
    bytes
}

/// Reads a whole stream and counts its rows.
fn read(bytes: &[u8], piece: usize) -> Result<u64, FrameError> {
    let (rows, outcome) = read_rows(bytes, piece);
    outcome.map(|()| rows)
}

/// The rows that were given out, and how the stream ended.
fn read_rows(bytes: &[u8], piece: usize) -> (u64, Result<(), FrameError>) {
    let pieces: Vec<Result<Bytes, String>> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let mut rows = 0;
    let outcome = futures::executor::block_on(async {
        let (mut reader, header) = FrameReader::open(futures::stream::iter(pieces)).await?;
        assert_eq!(header.table.table, "t");
        loop {
            match reader.next().await? {
                Frame::Rows(block) => rows += u64::from(block.row_count()),
                Frame::Alive | Frame::Digest(_) => {}
                Frame::End(end) => {
                    assert_eq!(end.rows, rows);
                    return Ok(());
                }
            }
        }
    });
    (rows, outcome)
}

#[test]
fn streams_come_back_in_pieces_of_any_size() {
    for compress in [false, true] {
        for piece in [1, 7, 4096] {
            assert_eq!(read(&stream(100, compress), piece).unwrap(), 100);
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let whole = stream(30, false);
    for end in 0..whole.len() {
        assert!(
            matches!(read(&whole[..end], 64), Err(FrameError::Truncated)),
            "{end}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = stream(20, false);
    for position in 0..whole.len() {
        for bit in 0..8 {
            let mut broken = whole.clone();
            broken[position] ^= 1 << bit;
            assert!(read(&broken, 512).is_err(), "byte {position}, bit {bit}");
        }
    }
}

/// Where frames of rows begin and end.
fn row_frames(stream: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut found) = (MAGIC.len() + 1, Vec::new());
    while at < stream.len() {
        let length = u32::from_be_bytes(stream[at + 2..at + 6].try_into().unwrap());
        let end = at + PREFIX + length as usize;
        if stream[at] == ROWS {
            found.push(at..end);
        }
        at = end;
    }
    found
}

#[test]
fn a_frame_that_is_not_in_its_place_is_noticed_before_its_rows_are_given() {
    let whole = stream(40, false);
    let frames = row_frames(&whole);
    let one = |number: usize| &whole[frames[number].clone()];
    let (before, behind) = (&whole[..frames[0].start], &whole[frames[3].end..]);
    for order in [
        &[0, 2, 3][..],
        &[0, 1, 1, 2, 3],
        &[0, 2, 1, 3],
        &[1, 0, 2, 3],
    ] {
        let frames: Vec<&[u8]> = order.iter().map(|number| one(*number)).collect();
        let broken = [before, &frames.concat(), behind].concat();
        let right = order
            .iter()
            .zip(0..)
            .take_while(|(one, place)| **one == *place);
        let (rows, outcome) = read_rows(&broken, 512);
        assert!(
            matches!(
                outcome,
                Err(FrameError::Corrupt("a frame of rows is not in its place"))
            ),
            "{order:?}: {outcome:?}"
        );
        assert_eq!(rows, 10 * right.count() as u64, "{order:?}");
    }
}

#[test]
fn documents_have_a_limit_of_their_own_and_are_never_compressed() {
    let large = encode(HEADER, 0, &vec![b' '; MAX_DOCUMENT + 1]);
    let bomb = zstd::bulk::compress(&vec![b' '; 1 << 20], 1).unwrap();
    for (frame, limit) in [(large, true), (encode(HEADER, COMPRESSED, &bomb), false)] {
        let outcome = read(&[encode_start(), frame].concat(), 4096);
        assert!(
            match outcome {
                Err(FrameError::TooLarge { .. }) => limit,
                Err(FrameError::Corrupt("a frame has unknown flags")) => !limit,
                _ => false,
            },
            "{outcome:?}"
        );
    }
}

#[test]
fn compressed_rows_take_what_they_announce_and_no_more_than_allowed() {
    let unpacked = |length: usize| zstd::bulk::compress(&vec![0; length], 1).unwrap();
    assert_eq!(decompress(&unpacked(1_000)).unwrap().len(), 1_000);
    let large = decompress(&unpacked(MAX_PAYLOAD + 1));
    assert!(
        matches!(large, Err(FrameError::TooLarge { .. })),
        "{large:?}"
    );
    // A stream of unknown length announces nothing.
    let silent = zstd::stream::encode_all(&[0; 1_000][..], 1).unwrap();
    let twice = [unpacked(10), unpacked(10)].concat();
    for packed in [&silent[..], &twice, b"", b"no zstd"] {
        assert!(
            matches!(decompress(packed), Err(FrameError::Corrupt(_))),
            "{packed:?}"
        );
    }
}

/// The start and the header of a stream of a table with one column.
fn begun() -> Vec<u8> {
    let whole = stream(10, false);
    let frames = row_frames(&whole);
    whole[..frames[0].start].to_vec()
}

#[test]
fn the_rows_of_a_frame_have_a_limit() {
    let frame = |rows: u32| {
        let mut builder = BlockBuilder::new(1);
        for _ in 0..rows {
            builder.push(CellRef::Null);
            builder.end_row();
        }
        encode_rows(&builder.take(), 0, true)
    };
    let outcome = |rows| read(&[begun(), frame(rows).to_vec()].concat(), 4096);
    // The stream ends behind it.
    assert!(matches!(outcome(FRAME_ROWS), Err(FrameError::Truncated)));
    let outcome = outcome(FRAME_ROWS + 1);
    assert!(
        matches!(outcome, Err(FrameError::TooManyRows { rows }) if rows == FRAME_ROWS + 1),
        "{outcome:?}"
    );
}

#[test]
fn frames_of_no_rows_are_refused() {
    let payload = [0; POSITION];
    let bytes = [begun(), encode(ROWS, 0, &payload).to_vec()].concat();
    assert!(matches!(read(&bytes, 64), Err(FrameError::Cell)));
}

#[test]
fn a_sender_that_only_says_that_it_works_is_refused() {
    let alive = encode_alive().repeat(MAX_ALIVE as usize + 1);
    let outcome = read(&[begun(), alive.clone()].concat(), 4096);
    assert!(matches!(outcome, Err(FrameError::OnlyAlive)), "{outcome:?}");
    // Before the header as well.
    let outcome = read(&[encode_start().to_vec(), alive].concat(), 4096);
    assert!(matches!(outcome, Err(FrameError::OnlyAlive)), "{outcome:?}");
    let outcome = read(&[begun(), encode(ALIVE, 0, &[0]).to_vec()].concat(), 64);
    assert!(
        matches!(outcome, Err(FrameError::TooLarge { .. })),
        "{outcome:?}"
    );
}

#[test]
fn the_senders_reason_arrives() {
    let failure = Failure {
        code: "database".to_owned(),
        message: "the disk is gone".to_owned(),
        hint: String::new(),
    };
    let mut bytes = encode_start().to_vec();
    bytes.extend(encode_error(&failure).unwrap());
    match read(&bytes, 512) {
        Err(FrameError::Sender(sent)) => assert_eq!(sent, failure),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), started: bool) {
        if started {
            let mut start = encode_start().to_vec();
            start.append(&mut bytes);
            bytes = start;
        }
        let _ = read(&bytes, 64);
    }
}
