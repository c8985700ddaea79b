//! 500 damaged row streams: each is noticed before a row of it that is wrong, lost, doubled or out of order is committed.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tombolo::bindings::types::{Column, Generation, LogicalType, TableSchema};
use tombolo::rows::{
    BlockBuilder, CellRef, Frame, FrameError, FrameReader, StreamEnd, StreamHeader, encode_end,
    encode_header, encode_rows, encode_start,
};

use crate::support::compare::Store;
use crate::support::corruption::{Damage, frames};
use crate::support::peer::{Middle, Tampered};
use crate::support::postgres::Database;
use crate::support::random::Random;
use crate::support::site::{Running, Site};
use crate::support::sqlite::Sqlite;

/// In the decoder, and with real processes and sockets into each of the two databases.
const DECODED: usize = 480;
const PULLED: usize = 10;

type Rows = Vec<Vec<u8>>;

/// A stream of 40 frames with cells of all kinds, and its encoded rows.
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

/// The rows that are given out, and how it ends.
fn read(bytes: &[u8]) -> (Rows, Result<(), FrameError>) {
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
fn no_damage_gets_through_the_decoder() {
    let mut random = Random::new(3);
    for number in 0..DECODED {
        let (whole, rows) = stream(&mut random, number % 2 == 1);
        let (true_rows, outcome) = read(&whole);
        assert!(outcome.is_ok() && true_rows == rows, "{outcome:?}");
        let damage = Damage::ALL[number % Damage::ALL.len()];
        let (given, outcome) = read(&damage.inflict(&whole, &mut random));
        assert!(outcome.is_err(), "{number}: {damage:?} was not noticed");
        assert!(
            rows.starts_with(&given),
            "{number}: {damage:?} let a row through that is not in its place"
        );
    }
}

/// Ten thousand rows in frames of some hundred.
const SOURCE: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO items SELECT i, 'name ' || i, substr(hex(zeroblob(1500)), 1, 3000) || i FROM n;";

/// Damages the first streams of ten pulls; what is there then is right, and the next pull completes it.
fn pulls(target: impl Fn(&Site, usize) -> Store, seed: u64) {
    for number in 0..PULLED {
        let site = Site::new();
        let source = Store::Sqlite(site.path("source.db"));
        source.run(SOURCE);
        let damage = Damage::ALL[number % Damage::ALL.len()];
        let store = target(&site, number);
        let expected =
            source.rows("SELECT CAST(id AS TEXT), name, note FROM items ORDER BY items.id");
        // Old rows on half of the sites, so that chunks are staged and applied.
        let (existing, strategy) = [(false, "skip"), (true, "overwrite")][number % 2];
        if existing {
            store.run(
                "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT);
                 INSERT INTO items VALUES (1, 'old', 'old'), (2999, 'old', 'old');",
            );
        }

        let share = site.share(&[&source.location()]);
        let passed = AtomicUsize::new(0);
        let middle = Middle::new(&share.url, "items", move |stream| {
            let rows = frames(&stream)
                .iter()
                .filter(|(_, kind)| *kind == b'R')
                .count();
            // Not the look at a few rows, and not what is asked for again.
            if rows < 3 || passed.fetch_add(1, Ordering::Relaxed) > 0 {
                return Tampered::Whole(stream);
            }
            let mut random = Random::new(seed + number as u64);
            Tampered::Whole(damage.inflict(&stream, &mut random))
        });
        let pull = |url: &str| {
            let location = store.location();
            let arguments = [
                "pull",
                "--json",
                url,
                &share.code,
                "--into",
                &location,
                "--strategy",
                strategy,
            ];
            let mut command = site.command("pull-data", &arguments);
            command.env("TOMBOLO_CHUNK_ROWS", "1");
            Running::start(command).wait()
        };
        let first = pull(&middle.url);
        let context = format!("{number}: {damage:?}: {first:?}");
        let code = first.status.code();
        let found = match store.tables().is_empty() {
            true => Vec::new(),
            false => store.rows("SELECT CAST(id AS TEXT), name, note FROM items ORDER BY items.id"),
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
        // A line that breaks is tried again at once, damage ends the run.
        let is_complete = code == Some(0);
        assert!(is_complete || code == Some(1), "{context}");
        assert!(!is_complete || found == expected, "{context}");
        assert!(
            !is_complete || matches!(damage, Damage::Truncated | Damage::LostFrame),
            "{context}"
        );
        if !is_complete {
            let events = first.events_of("error");
            assert!(
                ["corrupt", "limit", "incompatible-peer"]
                    .contains(&events[0]["code"].as_str().unwrap()),
                "{context}"
            );
            pull(&middle.url).expect_exit(0);
            let found =
                store.rows("SELECT CAST(id AS TEXT), name, note FROM items ORDER BY items.id");
            assert!(found == expected, "{context}");
        }
        share.running.wait().expect_exit(0);
    }
}

fn key(row: &[Option<String>]) -> i64 {
    row[0].as_deref().unwrap().parse().unwrap()
}

#[test]
fn no_damage_gets_into_sqlite() {
    pulls(
        |site, _| {
            let path = site.path("target.db");
            Sqlite::script(&path, "");
            Store::Sqlite(path)
        },
        100,
    );
}

#[test]
fn no_damage_gets_into_postgres() {
    if let Some(first) = Database::new() {
        drop(first);
        pulls(|_, _| Store::Postgres(Database::new().unwrap()), 200);
    }
}
