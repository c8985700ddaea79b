//! Truncated and corrupt row streams: the pull fails with an error code, and the target has only whole chunks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tombolo::bindings::types::Failure;
use tombolo::rows::{StreamEnd, encode_end, encode_error};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::frames::{FRAME_HEADER, STREAM_START, frames};
use crate::support::outcome::Outcome;
use crate::support::sample_tables::create_numbers;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, series};
use crate::support::tampering_proxy::{Body, TamperingProxy};

/// The offset of the first frame of a kind.
fn first(stream: &[u8], kind: u8) -> usize {
    let found = frames(stream).into_iter().find(|(_, found)| *found == kind);
    found
        .unwrap_or_else(|| panic!("no frame {:?}", char::from(kind)))
        .0
}

/// A frame with a correct checksum.
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

/// Pulls two tables, `first` and `second`, through a proxy that tampers with the rows of the second.
fn pull(tamper: impl Fn(Vec<u8>) -> Body + Send + Sync + 'static) -> Outcome {
    let (site, source, target) = Site::with_files();
    let schema = "CREATE TABLE first (id INTEGER PRIMARY KEY);
         CREATE TABLE second (id INTEGER PRIMARY KEY, first INTEGER NOT NULL REFERENCES first (id), name TEXT);";
    Sqlite::script(
        &source,
        &format!(
            "{schema} {} INSERT INTO first SELECT i FROM n;
             {} INSERT INTO second SELECT i, 1 + i % 10, 'name ' || i FROM n;",
            series(10),
            series(12_000)
        ),
    );
    Sqlite::script(
        &target,
        &format!("{schema} INSERT INTO first VALUES (1); INSERT INTO second VALUES (1, 1, 'old');"),
    );
    let share = site.share(&[&source]);
    let proxy = TamperingProxy::new(&share.url, "second", tamper);
    let outcome = site.pull_from(
        &proxy.url,
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
        let old = target.number("SELECT name = 'old' FROM second");
        assert_eq!(old, 1, "{outcome:?}");
    } else {
        // Whole chunks of a truncated stream are kept; nothing of a corrupt one.
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
fn an_undamaged_stream_passes_through_the_proxy() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 12_000);
    let share = site.share(&[&source]);
    let proxy = TamperingProxy::new(&share.url, "numbers", |stream| {
        let kinds: Vec<u8> = frames(&stream).into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, b"HRRRE");
        Body::Complete(stream)
    });
    let report = site
        .pull_from(&proxy.url, &share.code, &["--into", &target])
        .done();
    assert_eq!(report.counts("numbers").created, 12_000);
}

#[test]
fn the_connection_closes_in_the_middle() {
    pull(|stream| {
        let half = stream.len() / 2;
        Body::CutOff(stream[..half].to_vec())
    })
    .error("truncated")
    .has_hint();
}

#[test]
fn the_connection_closes_before_the_first_frame() {
    pull(|stream| Body::CutOff(stream[..3].to_vec())).error("truncated");
}

#[test]
fn the_stream_ends_within_a_frame() {
    pull(|stream| {
        let last = first(&stream, b'E');
        Body::Complete(stream[..last - 1].to_vec())
    })
    .error("truncated");
}

#[test]
fn the_stream_has_no_end_frame() {
    pull(|stream| {
        let last = first(&stream, b'E');
        Body::Complete(stream[..last].to_vec())
    })
    .error("truncated")
    .has_hint();
}

#[test]
fn a_bit_is_flipped() {
    pull(|mut stream| {
        let rows = first(&stream, b'R');
        stream[rows + FRAME_HEADER + 100] ^= 0x10;
        Body::Complete(stream)
    })
    .error("corrupt")
    .has_hint();
}

#[test]
fn the_end_frame_has_a_wrong_row_count() {
    pull(|stream| {
        let last = first(&stream, b'E');
        let mut end: StreamEnd = serde_json::from_slice(&stream[last + FRAME_HEADER..]).unwrap();
        end.rows += 1;
        Body::Complete([&stream[..last], &encode_end(&end).unwrap()].concat())
    })
    .error("corrupt");
}

#[test]
fn a_frame_with_rows_is_missing() {
    pull(|stream| {
        let found = frames(&stream);
        let rows: Vec<usize> = found
            .iter()
            .filter(|(_, kind)| *kind == b'R')
            .map(|(at, _)| *at)
            .collect();
        Body::Complete([&stream[..rows[0]], &stream[rows[1]..]].concat())
    })
    .error("corrupt");
}

#[test]
fn a_frame_has_a_wrong_row_count() {
    for wrong in [0_u32, 4_999, u32::MAX] {
        pull(move |stream| {
            let found = frames(&stream);
            let at = first(&stream, b'R');
            let next = found.iter().find(|(start, _)| *start > at).unwrap().0;
            // The count is behind the number of rows in earlier frames.
            let count = at + FRAME_HEADER + 8;
            let payload = [
                &stream[at + FRAME_HEADER..count],
                &wrong.to_be_bytes(),
                &stream[count + 4..next],
            ]
            .concat();
            Body::Complete([&stream[..at], &frame(b'R', &payload), &stream[next..]].concat())
        })
        .error("corrupt");
    }
}

#[test]
fn a_frame_has_a_wrong_length() {
    pull(|mut stream| {
        let rows = first(&stream, b'R');
        stream[rows + 2..rows + 6].copy_from_slice(&u32::MAX.to_be_bytes());
        Body::Complete(stream)
    })
    .error("limit");
}

#[test]
fn a_frame_has_an_unknown_kind() {
    pull(|stream| {
        let rows = first(&stream, b'R');
        Body::Complete([&stream[..rows], &frame(b'?', b"what"), &stream[rows..]].concat())
    })
    .error("corrupt");
}

#[test]
fn the_answer_is_not_a_row_stream() {
    pull(|_| Body::Complete(b"<html>a login page</html>".to_vec()))
        .error("incompatible-peer")
        .has_hint();
}

#[test]
fn the_columns_changed_after_the_table_was_described() {
    pull(|stream| {
        let rows = first(&stream, b'R');
        let header = String::from_utf8(stream[STREAM_START + FRAME_HEADER..rows].to_vec()).unwrap();
        let renamed = header.replace("\"name\":\"name\"", "\"name\":\"title\"");
        assert_ne!(header, renamed);
        let end = encode_end(&StreamEnd::new(0, 0)).unwrap();
        Body::Complete(
            [
                &stream[..STREAM_START],
                &frame(b'H', renamed.as_bytes()),
                &end,
            ]
            .concat(),
        )
    })
    .error("columns-differ");
}

#[test]
fn the_sender_reports_an_error() {
    let failure = pull(|stream| {
        let rows = first(&stream, b'R');
        let failure = Failure {
            code: "database".to_owned(),
            message: "the disk is full\u{1b}[31m".to_owned(),
            hint: String::new(),
        };
        Body::Complete([&stream[..rows], &encode_error(&failure).unwrap()].concat())
    })
    .error("sender")
    .names(&["the disk is full"])
    .has_hint();
    assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
}

/// Takes 25 s, the time limit for a silent sender.
#[test]
fn the_sender_stalls() {
    let (site, source, target) = Site::with_files();
    create_numbers(&source, 12_000);
    let share = site.share(&[&source]);
    let proxy = TamperingProxy::new(&share.url, "numbers", |stream| {
        let half = stream.len() / 2;
        Body::Stalled(stream[..half].to_vec())
    });
    let began = Instant::now();
    let pull = site.start_pull(&proxy.url, &share.code, &["--into", &target]);
    let interrupted = pull.wait_for("interrupted");
    assert_eq!(interrupted["code"], "timeout");
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn whole_chunks_of_a_truncated_stream_are_kept() {
    const ROWS: u32 = 300_000;
    let (site, source, target) = Site::with_files();
    create_numbers(&source, ROWS);
    let share = site.share(&[&source]);
    let streams = AtomicU32::new(0);
    let proxy = TamperingProxy::new(&share.url, "numbers", move |stream| {
        if streams.fetch_add(1, Ordering::Relaxed) > 0 {
            return Body::CutOff(Vec::new());
        }
        let half = stream.len() / 2;
        Body::CutOff(stream[..half].to_vec())
    });
    let outcome = site.pull_from(&proxy.url, &share.code, &["--into", &target]);
    outcome.error("truncated");
    let mut stored = Sqlite::open(&target);
    let count = stored.number("SELECT count(*) FROM numbers");
    // The chunks that arrived are whole and are not sent again.
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

    // A second pull transfers the missing rows, and its report counts both pulls.
    let report = site.transfer(&source, &target, &[]).counts("numbers");
    assert_eq!((report.created, report.skipped), (ROWS.into(), 0));
}
