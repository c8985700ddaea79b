//! 500 corrupted row streams, each of which is detected before a wrong, duplicated or misplaced row is committed.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tombolo::bindings::types::{Column, Generation, LogicalType, TableSchema};
use tombolo::rows::{
    BlockBuilder, CellRef, Frame, FrameError, FrameReader, StreamEnd, StreamHeader, encode_end,
    encode_header, encode_rows, encode_start,
};

use crate::support::any_database::AnyDatabase;
use crate::support::corruption::Corruption;
use crate::support::frames::frames;
use crate::support::postgres::Database;
use crate::support::random::Random;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, series};
use crate::support::tampering_proxy::{Body, TamperingProxy};

/// Streams that are only decoded, and streams that are pulled into a database of each kind.
const DECODED: usize = 480;
const PULLED: usize = 10;

type Rows = Vec<Vec<u8>>;

/// A stream of 40 frames of rows with cells of all kinds, and its encoded rows.
fn stream(random: &mut Random, compress: bool) -> (Vec<u8>, Rows) {
    let column = |name: &str| Column {
        name: name.to_owned(),
        logical: LogicalType::Any,
        origin: "sqlite:".to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    let table = TableSchema {
        table: "t".to_owned(),
        columns: ["id", "a", "b", "c"].map(column).to_vec(),
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    };
    let header = StreamHeader {
        table,
        snapshot: "a snapshot".to_owned(),
    };
    let mut bytes = [encode_start(), encode_header(&header).unwrap()].concat();
    let (mut rows, mut digest) = (Rows::new(), 0u128);
    for _ in 0..40 {
        let mut builder = BlockBuilder::new(4);
        for _ in 0..1 + random.below(20) {
            builder.push(CellRef::Integer(rows.len() as i64));
            let text = format!("text {}", random.next());
            builder.push(CellRef::Text(&text[..random.below(text.len())]));
            builder.push(CellRef::Real(f64::from_bits(random.next())));
            builder.push(if random.below(2) == 0 {
                CellRef::Null
            } else {
                CellRef::Bytes(text.as_bytes())
            });
            builder.end_row();
            rows.push(Vec::new());
        }
        let block = builder.take();
        let before = rows.len() - block.row_count() as usize;
        for (row, place) in block.rows().zip(&mut rows[before..]) {
            *place = row.bytes().to_vec();
        }
        digest = digest.wrapping_add(block.digest());
        bytes.extend(encode_rows(&block, before as u64, compress));
    }
    bytes.extend(encode_end(&StreamEnd::new(rows.len() as u64, digest)).unwrap());
    (bytes, rows)
}

/// Decodes a stream: returns the rows up to its end or an error.
fn decode(bytes: &[u8]) -> (Rows, Result<(), FrameError>) {
    let pieces: Vec<_> = bytes
        .chunks(1_000)
        .map(|piece| Ok::<_, String>(Bytes::copy_from_slice(piece)))
        .collect();
    let mut rows = Rows::new();
    let outcome = crate::support::block_on(async {
        let (mut reader, _) = FrameReader::open(futures::stream::iter(pieces)).await?;
        loop {
            match reader.next().await? {
                Frame::Rows(block) => rows.extend(block.rows().map(|row| row.bytes().to_vec())),
                Frame::End(_) => return Ok(()),
                _ => {}
            }
        }
    });
    (rows, outcome)
}

#[test]
fn the_decoder_detects_every_corruption() {
    let mut random = Random::new(3);
    for number in 0..DECODED {
        let (whole, rows) = stream(&mut random, number % 2 == 1);
        let (decoded, outcome) = decode(&whole);
        assert!(outcome.is_ok() && decoded == rows, "{outcome:?}");
        let corruption = Corruption::ALL[number % Corruption::ALL.len()];
        let (decoded, outcome) = decode(&corruption.apply(&whole, &mut random));
        assert!(
            outcome.is_err(),
            "{number}: {corruption:?} was not detected"
        );
        assert!(
            rows.starts_with(&decoded),
            "{number}: a wrong or misplaced row was decoded after {corruption:?}"
        );
    }
}

const ITEMS: &str = "SELECT CAST(id AS TEXT), name, note FROM items ORDER BY items.id";

/// Corrupts the first stream of each of ten pulls: the target has no wrong row, and the next pull completes it.
fn check_pulls(target: impl Fn(&Site) -> AnyDatabase, seed: u64) {
    for number in 0..PULLED {
        let site = Site::new();
        let source = AnyDatabase::file(&site, "source.db");
        source.run(&format!(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT);
             {} INSERT INTO items SELECT i, 'name ' || i, substr(hex(zeroblob(1500)), 1, 3000) || i FROM n;",
            series(3_000)
        ));
        let corruption = Corruption::ALL[number % Corruption::ALL.len()];
        let database = target(&site);
        let expected = source.rows(ITEMS);
        // Every second target has rows, so that its chunks are staged and applied.
        let (existing, strategy) = [(false, "skip"), (true, "overwrite")][number % 2];
        if existing {
            database.run(
                "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT);
                 INSERT INTO items VALUES (1, 'old', 'old'), (2999, 'old', 'old');",
            );
        }

        let share = site.share(&[&source.location()]);
        let passed = AtomicUsize::new(0);
        let proxy = TamperingProxy::new(&share.url, "items", move |stream| {
            let rows = frames(&stream)
                .iter()
                .filter(|(_, kind)| *kind == b'R')
                .count();
            // Neither a sample of few rows nor a repeated request.
            if rows < 3 || passed.fetch_add(1, Ordering::Relaxed) > 0 {
                return Body::Complete(stream);
            }
            let mut random = Random::new(seed + number as u64);
            Body::Complete(corruption.apply(&stream, &mut random))
        });
        let pull = |url: &str| {
            let location = database.location();
            let arguments = ["--into", &location, "--strategy", strategy];
            let pull = site.start_pull_with_small_chunks(url, &share.code, &arguments);
            pull.wait()
        };
        let first = pull(&proxy.url);
        let context = format!("{number}: {corruption:?}: {first:?}");
        let code = first.status.code();
        let found = match database.tables().is_empty() {
            true => Vec::new(),
            false => database.rows(ITEMS),
        };
        let old = |row: &Vec<Option<String>>| row[1].as_deref() == Some("old");
        for row in found.iter().filter(|row| !(existing && old(row))) {
            assert!(
                expected
                    .binary_search_by_key(&key(row), |row| key(row))
                    .is_ok_and(|at| expected[at] == *row),
                "{context}"
            );
        }
        // A truncated stream is requested again at once; any other corruption ends the run.
        let is_complete = code == Some(0);
        assert!(is_complete || code == Some(1), "{context}");
        assert!(!is_complete || found == expected, "{context}");
        assert!(
            !is_complete || matches!(corruption, Corruption::Truncated | Corruption::LostFrame),
            "{context}"
        );
        if !is_complete {
            let events = first.events_of("error");
            assert!(
                ["corrupt", "limit", "incompatible-peer"]
                    .contains(&events[0]["code"].as_str().unwrap()),
                "{context}"
            );
            pull(&proxy.url).expect_exit(0);
            let found = database.rows(ITEMS);
            assert!(found == expected, "{context}");
        }
        share.running.wait().expect_exit(0);
    }
}

fn key(row: &[Option<String>]) -> i64 {
    row[0].as_deref().unwrap().parse().unwrap()
}

#[test]
fn no_corruption_gets_into_sqlite() {
    check_pulls(
        |site| {
            let path = site.path("target.db");
            Sqlite::script(&path, "");
            AnyDatabase::Sqlite(path)
        },
        100,
    );
}

#[test]
fn no_corruption_gets_into_postgres() {
    if let Some(first) = Database::new() {
        drop(first);
        check_pulls(|_| AnyDatabase::Postgres(Database::new().unwrap()), 200);
    }
}
