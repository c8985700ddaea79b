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
    };
    let mut bytes = encode_start().to_vec();
    bytes.extend(encode_alive());
    bytes.extend(encode_header(&StreamHeader { table }).unwrap());
    let mut builder = BlockBuilder::new(1);
    let mut digest = 0u128;
    for id in 0..rows {
        builder.push(CellRef::Integer(id.cast_signed()));
        builder.end_row();
        if id % 10 == 9 {
            let block = builder.take();
            digest = digest.wrapping_add(block.digest());
            bytes.extend(encode_rows(&block, compress));
        }
    }
    bytes.extend(encode_end(&StreamEnd::new(rows, digest)).unwrap());
    bytes
}

/// Reads a whole stream and counts its rows.
fn read(bytes: &[u8], piece: usize) -> Result<u64, FrameError> {
    let pieces: Vec<Result<Bytes, String>> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    futures::executor::block_on(async {
        let (mut reader, header) = FrameReader::open(futures::stream::iter(pieces)).await?;
        assert_eq!(header.table.table, "t");
        let mut rows = 0;
        loop {
            match reader.next().await? {
                Frame::Rows(block) => rows += u64::from(block.row_count()),
                Frame::Alive => {}
                Frame::End(end) => {
                    assert_eq!(end.rows, rows);
                    return Ok(rows);
                }
            }
        }
    })
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

#[test]
fn a_lost_or_doubled_frame_is_noticed() {
    let (whole, rows) = (stream(30, false), encode_rows);
    let mut builder = BlockBuilder::new(1);
    builder.push(CellRef::Integer(0));
    builder.end_row();
    let extra = rows(&builder.take(), false);
    let end = encode_end(&StreamEnd::new(0, 0)).unwrap().len();
    let mut doubled = whole.clone();
    let position = whole.len() - end.max(PREFIX);
    doubled.splice(position..position, extra.to_vec());
    assert!(read(&doubled, 512).is_err());
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
