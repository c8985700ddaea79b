//! Row streams that break: a typed error, exit code 1, and whole chunks in the target.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tombolo::bindings::types::Failure;
use tombolo::rows::{StreamEnd, encode_end, encode_error};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::corruption::{PREFIX, START, frames};
use crate::support::outcome::Outcome;
use crate::support::peer::{Middle, Tampered};
use crate::support::sample_tables::numbers;
use crate::support::site::Site;
use crate::support::sqlite::Sqlite;

/// Where the first frame of a kind begins.
fn first(stream: &[u8], kind: u8) -> usize {
    let found = frames(stream).into_iter().find(|(_, found)| *found == kind);
    found
        .unwrap_or_else(|| panic!("no frame {:?}", char::from(kind)))
        .0
}

/// A frame whose checksum is right.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let sum = xxh3_64(payload) ^ (u64::from(kind) << 8).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let length = u32::try_from(payload.len()).unwrap();
    [
        &[kind, 0],
        &length.to_be_bytes()[..],
        &sum.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// Pulls two tables, `first` and `second`, through a site that tampers with the rows of the second.
fn pull(tamper: impl Fn(Vec<u8>) -> Tampered + Send + Sync + 'static) -> Outcome {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    let schema = "CREATE TABLE first (id INTEGER PRIMARY KEY);
         CREATE TABLE second (id INTEGER PRIMARY KEY, first INTEGER NOT NULL REFERENCES first (id), name TEXT);";
    Sqlite::script(
        &source,
        &format!(
            "{schema} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) INSERT INTO first SELECT i FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
             INSERT INTO second SELECT i, 1 + i % 10, 'name ' || i FROM n;"
        ),
    );
    Sqlite::script(
        &target,
        &format!(
            "{schema} INSERT INTO first VALUES (1); INSERT INTO second VALUES (1, 1, 'mine');"
        ),
    );
    let share = site.share(&[&source]);
    let middle = Middle::new(&share.url, "second", tamper);
    let outcome = site.pull_from(
        &middle.url,
        &share.code,
        &["--into", &target, "--strategy", "overwrite"],
    );

    let mut target = Sqlite::open(&target);
    assert_eq!(
        target.number("SELECT count(*) FROM first"),
        10,
        "{outcome:?}"
    );
    let count = target.number("SELECT count(*) FROM second");
    if count == 1 {
        let mine = target.number("SELECT name = 'mine' FROM second");
        assert_eq!(mine, 1, "{outcome:?}");
    } else {
        // Of a stream that breaks off, what arrived whole stays; of a corrupt one, nothing.
        let right = target.number(
            "SELECT count(*) FROM second WHERE name = 'name ' || id AND first = 1 + id % 10",
        );
        assert_eq!(right, count, "{outcome:?}");
        assert!(count % 5_000 == 0 || count == 12_000, "{outcome:?}");
        let last = target.number("SELECT max(id) FROM second");
        assert_eq!(last, count, "in the order of the key");
        assert_eq!(outcome.events_of("error")[0]["code"], "truncated");
    }
    outcome
}

#[test]
fn a_true_stream_passes_through_the_middle() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, 12_000);
    let share = site.share(&[&source]);
    let middle = Middle::new(&share.url, "numbers", |stream| {
        let kinds: Vec<u8> = frames(&stream).into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, b"HRRRE");
        Tampered::Whole(stream)
    });
    let report = site
        .pull_from(&middle.url, &share.code, &["--into", &target])
        .done();
    assert_eq!(report.counts("numbers").created, 12_000);
}

#[test]
fn the_connection_breaks() {
    pull(|stream| {
        let half = stream.len() / 2;
        Tampered::Broken(stream[..half].to_vec())
    })
    .error("truncated")
    .has_hint();
}

#[test]
fn the_connection_breaks_before_the_first_frame() {
    pull(|stream| Tampered::Broken(stream[..3].to_vec())).error("truncated");
}

#[test]
fn the_stream_ends_within_a_frame() {
    pull(|stream| {
        let last = first(&stream, b'E');
        Tampered::Whole(stream[..last - 1].to_vec())
    })
    .error("truncated");
}

#[test]
fn the_stream_ends_without_an_end() {
    pull(|stream| {
        let last = first(&stream, b'E');
        Tampered::Whole(stream[..last].to_vec())
    })
    .error("truncated")
    .has_hint();
}

#[test]
fn a_bit_is_flipped() {
    pull(|mut stream| {
        let rows = first(&stream, b'R');
        stream[rows + PREFIX + 100] ^= 0x10;
        Tampered::Whole(stream)
    })
    .error("corrupt")
    .has_hint();
}

#[test]
fn the_end_lies_about_the_count() {
    pull(|stream| {
        let last = first(&stream, b'E');
        let mut end: StreamEnd = serde_json::from_slice(&stream[last + PREFIX..]).unwrap();
        end.rows += 1;
        Tampered::Whole([&stream[..last], &encode_end(&end).unwrap()].concat())
    })
    .error("corrupt");
}

#[test]
fn a_frame_of_rows_is_left_out() {
    pull(|stream| {
        let found = frames(&stream);
        let rows: Vec<usize> = found
            .iter()
            .filter(|(_, kind)| *kind == b'R')
            .map(|(at, _)| *at)
            .collect();
        Tampered::Whole([&stream[..rows[0]], &stream[rows[1]..]].concat())
    })
    .error("corrupt");
}

#[test]
fn a_frame_lies_about_its_rows() {
    for lie in [0_u32, 4_999, u32::MAX] {
        pull(move |stream| {
            let found = frames(&stream);
            let at = first(&stream, b'R');
            let next = found.iter().find(|(start, _)| *start > at).unwrap().0;
            // Behind the number of rows before it.
            let count = at + PREFIX + 8;
            let payload = [
                &stream[at + PREFIX..count],
                &lie.to_be_bytes(),
                &stream[count + 4..next],
            ]
            .concat();
            Tampered::Whole([&stream[..at], &frame(b'R', &payload), &stream[next..]].concat())
        })
        .error("corrupt");
    }
}

#[test]
fn a_frame_lies_about_its_length() {
    pull(|mut stream| {
        let rows = first(&stream, b'R');
        stream[rows + 2..rows + 6].copy_from_slice(&u32::MAX.to_be_bytes());
        Tampered::Whole(stream)
    })
    .error("limit");
}

#[test]
fn a_frame_of_an_unknown_kind() {
    pull(|stream| {
        let rows = first(&stream, b'R');
        Tampered::Whole([&stream[..rows], &frame(b'?', b"what"), &stream[rows..]].concat())
    })
    .error("corrupt");
}

#[test]
fn something_that_is_no_stream() {
    pull(|_| Tampered::Whole(b"<html>a login page</html>".to_vec()))
        .error("incompatible-peer")
        .has_hint();
}

#[test]
fn a_table_that_changed_since_it_was_described() {
    pull(|stream| {
        let rows = first(&stream, b'R');
        let header = String::from_utf8(stream[START + PREFIX..rows].to_vec()).unwrap();
        let renamed = header.replace("\"name\":\"name\"", "\"name\":\"title\"");
        assert_ne!(header, renamed);
        let end = encode_end(&StreamEnd::new(0, 0)).unwrap();
        Tampered::Whole([&stream[..START], &frame(b'H', renamed.as_bytes()), &end].concat())
    })
    .error("columns-differ");
}

#[test]
fn the_sender_gives_up() {
    let failure = pull(|stream| {
        let rows = first(&stream, b'R');
        let failure = Failure {
            code: "database".to_owned(),
            message: "the disk is full\u{1b}[31m".to_owned(),
            hint: String::new(),
        };
        Tampered::Whole([&stream[..rows], &encode_error(&failure).unwrap()].concat())
    })
    .error("sender")
    .names(&["the disk is full"])
    .has_hint();
    assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
}

/// Takes the 25 s that a sender may be silent.
#[test]
fn the_sender_says_nothing_any_more() {
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, 12_000);
    let share = site.share(&[&source]);
    let middle = Middle::new(&share.url, "numbers", |stream| {
        let half = stream.len() / 2;
        Tampered::Stalled(stream[..half].to_vec())
    });
    let began = Instant::now();
    let pull = site.start_pull(&middle.url, &share.code, &["--into", &target]);
    let interrupted = pull.wait_for("interrupted");
    assert_eq!(interrupted["code"], "timeout");
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn whole_chunks_of_a_long_table_stay() {
    const ROWS: u32 = 300_000;
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
    numbers(&source, ROWS);
    let share = site.share(&[&source]);
    let streams = AtomicU32::new(0);
    let middle = Middle::new(&share.url, "numbers", move |stream| {
        if streams.fetch_add(1, Ordering::Relaxed) > 0 {
            return Tampered::Broken(Vec::new());
        }
        let half = stream.len() / 2;
        Tampered::Broken(stream[..half].to_vec())
    });
    let outcome = site.pull_from(&middle.url, &share.code, &["--into", &target]);
    outcome.error("truncated");
    let mut stored = Sqlite::open(&target);
    let count = stored.number("SELECT count(*) FROM numbers");
    // What arrived is whole, and need not come again.
    assert!(
        count > 0 && count < i64::from(ROWS) && count % 5_000 == 0,
        "{count}"
    );
    assert_eq!(
        stored.number("SELECT max(id) FROM numbers"),
        count,
        "in the order of the key"
    );
    drop(stored);

    // Pulled again, what is missing arrives, and the report is of both.
    let report = site.transfer(&source, &target, &[]).counts("numbers");
    assert_eq!((report.created, report.skipped), (ROWS.into(), 0));
}
