//! Sites that share in order to harm who pulls: endless lists, endless streams, too much of everything.

use std::time::{Duration, Instant};

use serde_json::json;
use tombolo::bindings::types::{LogicalType, TableSchema};
use tombolo::rows::{
    BUCKETS, BlockBuilder, BucketSet, CellRef, KeyColumns, encode_alive, encode_digest, encode_rows,
};

use crate::support::attackers::memory_while_running;
use crate::support::outcome::Failure;
use crate::support::scripted_site::{
    Reply, ScriptedSite, begun, column, frame, numbered, shared, whole,
};
use crate::support::site::{Running, Site};
use crate::support::sqlite::{Sqlite, series};

/// The most memory of a pull from a hostile site. An honest pull of one small table takes a third of it.
const MEMORY: u64 = 160 << 20;

/// Pulls from a site until the pull fails; returns the failure, the most memory it took, and its time.
fn refused(hostile: &ScriptedSite, arguments: &[&str]) -> (Failure, u64, Duration) {
    let site = Site::new();
    let target = site.path("target.db");
    refused_into(&site, &target, hostile, arguments)
}

fn refused_into(
    site: &Site,
    target: &str,
    hostile: &ScriptedSite,
    arguments: &[&str],
) -> (Failure, u64, Duration) {
    let began = Instant::now();
    let all = [&["--yes", "--into", target], arguments].concat();
    let mut pull = site.start_pull(&hostile.url, "CODE", &all);
    let mut memory = 0;
    while pull.is_running() {
        memory = peak_memory(&pull).unwrap_or(memory);
        std::thread::sleep(Duration::from_millis(2));
    }
    let failure = pull.wait().failure();
    println!(
        "{} MiB, {:?}: {}",
        memory >> 20,
        began.elapsed(),
        failure.message
    );
    (failure, memory, began.elapsed())
}

/// The most memory that a process took so far.
fn peak_memory(process: &Running) -> Option<u64> {
    Some(memory_while_running(process.id(), "VmHWM")? << 10)
}

fn text_keyed() -> TableSchema {
    let mut table = numbered("t");
    table.columns[0] = column("id", LogicalType::Text, "pg:text");
    table
}

#[test]
fn huge_tables_end_the_plan_within_its_memory() {
    // 400 KB a table: more than 2 000 columns of 200 bytes.
    let mut columns = Vec::new();
    for number in 0..1_500 {
        let mut column = column(&format!("c{number}"), LogicalType::Text, "pg:text");
        column.default = Some("x".repeat(200));
        columns.push(column);
    }
    let hostile = ScriptedSite::new(move |_, page| {
        let tables: Vec<_> = (0..12)
            .map(|number| {
                let mut table = numbered(&format!("t{page:05}_{number:02}"));
                table.columns.extend(columns.clone());
                shared(&table, 1)
            })
            .collect();
        Reply::Json(json!({"tables": tables, "next": format!("t{page:05}_11")}))
    });
    let (failure, memory, _) = refused(&hostile, &[]);
    assert_eq!(failure.code, "limit", "{failure:?}");
    assert!(failure.message.contains("64 MiB"), "{failure:?}");
    assert!(hostile.requests() < 30, "{}", hostile.requests());
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
}

#[test]
fn a_list_without_end_is_refused() {
    let empty = || ScriptedSite::new(|_, _| Reply::Json(json!({"tables": [], "next": "a"})));
    let views = || {
        ScriptedSite::new(|_, page| {
            let name = |number: u32| format!("v{page:06}_{number:03}");
            let views: Vec<_> = (0..200)
                .map(|number| json!({"table": name(number), "kind": "view", "schema": null}))
                .collect();
            Reply::Json(json!({"tables": views, "next": name(199)}))
        })
    };
    let repeated = || {
        ScriptedSite::new(|_, page| {
            // The same two pages in turn.
            let name = if page % 2 == 0 { "a" } else { "b" };
            let table = shared(&numbered(name), 1);
            Reply::Json(json!({"tables": [table], "next": name}))
        })
    };
    let then_empty = || {
        ScriptedSite::new(|_, page| {
            let table = shared(&numbered("a"), 1);
            let tables = if page == 0 { vec![table] } else { vec![] };
            Reply::Json(json!({"tables": tables, "next": "a"}))
        })
    };
    for (hostile, code, requests) in [
        // The last request says that the run is over.
        (empty(), "incompatible-peer", 2),
        (views(), "limit", 52),
        (repeated(), "incompatible-peer", 4),
        (then_empty(), "incompatible-peer", 3),
    ] {
        let (failure, _, time) = refused(&hostile, &[]);
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains("the other site"), "{failure:?}");
        assert_eq!(hostile.requests(), requests);
        assert!(time < Duration::from_secs(20), "{time:?}");
    }
}

#[test]
fn an_answer_of_millions_of_tiny_values_is_the_peers_fault() {
    let hostile = ScriptedSite::new(|_, _| {
        let keys = "[\"id\"],".repeat(1 << 20);
        let table = shared(&numbered("t"), 1).to_string();
        let table = table.replace("\"unique_keys\":[]", &format!("\"unique_keys\":[{keys}[]]"));
        Reply::Text(format!("{{\"tables\":[{table}],\"next\":null}}").into_bytes())
    });
    let (failure, memory, _) = refused(&hostile, &[]);
    assert_eq!(failure.code, "limit", "{failure:?}");
    assert!(failure.message.contains("values"), "{failure:?}");
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
}

#[test]
fn the_same_rows_and_a_break_are_refused_or_counted() {
    let (one, two) = (CellRef::Integer(1), CellRef::Integer(2));
    let (a, b) = (CellRef::Text("a"), CellRef::Text("b"));
    let mut keyless = numbered("t");
    keyless.primary_key.clear();
    for (table, keys, code, streams) in [
        (numbered("t"), [one, two], "corrupt", 2),
        // How the sender sorts texts is not known here; that the key comes again is.
        (text_keyed(), [b, a], "truncated", 8),
        (keyless, [one, two], "truncated", 7),
    ] {
        let stream = [begun(&table), frame(&[[keys[0], a], [keys[1], b]], 0)].concat();
        let hostile = ScriptedSite::with_table(table, 2, move |_, _| Reply::Stream(stream.clone()));
        let (failure, _, time) = refused(&hostile, &[]);
        assert_eq!(failure.code, code, "{failure:?}");
        assert_eq!(hostile.requests_with("/rows"), streams);
        assert!(time < Duration::from_secs(30), "{time:?}");
    }
}

/// Digests of one bucket each in which all rows differ, and the digest of all rows.
fn digests(path: &str, rows: u64) -> Vec<u8> {
    let buckets = if path.contains("buckets=1&") || path.ends_with("buckets=1") {
        1
    } else {
        BUCKETS
    };
    let mut sums = Vec::new();
    for _ in 0..buckets {
        sums.extend(rows.to_be_bytes());
        sums.extend(7u128.to_be_bytes());
    }
    encode_digest(&sums).to_vec()
}

/// A statement that inserts the rows 1 to `last` into a table.
fn rows(table: &str, last: u32) -> String {
    let series = series(last);
    format!("{series} INSERT INTO {table} SELECT i, 'row ' || i FROM n")
}

/// A target with a hundred rows, so that a pull looks for differences first.
fn site_with_rows() -> (Site, String) {
    let site = Site::new();
    let target = site.path("target.db");
    Sqlite::script(
        &target,
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); {}",
            rows("t", 100)
        ),
    );
    (site, target)
}

#[test]
fn the_same_rows_of_buckets_and_a_break_are_counted() {
    let (site, target) = site_with_rows();
    let table = numbered("t");
    let schema = table.clone();
    let hostile = ScriptedSite::with_table(table, 100, move |path, _| {
        if path.contains("/digest") {
            // One bucket differs, in which the peer has two rows.
            let mut all = digests(path, 0);
            if !path.contains("buckets=1&") && !path.ends_with("buckets=1") {
                return Reply::Stream([begun(&schema), all].concat());
            }
            let mut sums = Vec::from(1_000u64.to_be_bytes());
            sums.extend(7u128.to_be_bytes());
            all = encode_digest(&sums).to_vec();
            return Reply::Stream([begun(&schema), all].concat());
        }
        let rows = [
            [CellRef::Integer(1), CellRef::Text("a")],
            [CellRef::Integer(200), CellRef::Text("b")],
        ];
        if path.contains("first=") {
            let same = [[CellRef::Integer(1), CellRef::Text("row 1")]];
            return Reply::Stream(whole(&schema, &same));
        }
        Reply::Stream([begun(&schema), frame(&rows, 0)].concat())
    });
    let (failure, _, _) = refused_into(&site, &target, &hostile, &["--strategy", "overwrite"]);
    assert!(
        ["truncated", "corrupt"].contains(&failure.code.as_str()),
        "{failure:?}"
    );
    assert!(
        hostile.requests_with("/rows") <= 10,
        "{}",
        hostile.requests()
    );
}

#[test]
fn streams_without_rows_end() {
    let table = numbered("t");
    let mut no_row = vec![b'R', 0, 0, 0, 0, 12];
    let payload = [0; 12];
    no_row.extend(checksum(b'R', &payload).to_be_bytes());
    no_row.extend(payload);
    for (again, code) in [(encode_alive().to_vec(), "timeout"), (no_row, "corrupt")] {
        let start = begun(&table);
        let hostile = ScriptedSite::with_table(table.clone(), 2, move |_, _| {
            Reply::Endless(start.clone(), again.repeat(100))
        });
        let (failure, _, time) = refused(&hostile, &[]);
        assert_eq!(failure.code, code, "{failure:?}");
        assert_eq!(hostile.requests_with("/rows"), 1);
        assert!(time < Duration::from_secs(20), "{time:?}");
    }
}

/// The checksum of a frame without flags, as `docs/row-format.md` has it.
fn checksum(kind: u8, payload: &[u8]) -> u64 {
    let content = xxhash_rust::xxh3::xxh3_64(payload);
    content ^ (u64::from(kind) << 8).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[test]
fn a_frame_of_millions_of_rows_of_nothing_is_refused() {
    let mut table = numbered("t");
    table.columns.truncate(1);
    table.primary_key.clear();
    let mut builder = BlockBuilder::new(1);
    for _ in 0..6_900_000 {
        builder.push(CellRef::Null);
        builder.end_row();
    }
    let stream = [
        begun(&table),
        encode_rows(&builder.take(), 0, true).to_vec(),
    ]
    .concat();
    let hostile = ScriptedSite::with_table(table, 2, move |_, _| Reply::Stream(stream.clone()));
    let (failure, memory, _) = refused(&hostile, &[]);
    assert_eq!(failure.code, "corrupt", "{failure:?}");
    assert!(failure.message.contains("6900000 rows"), "{failure:?}");
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
}

#[test]
fn a_sample_has_no_more_rows_than_were_asked_for() {
    let (site, target) = site_with_rows();
    let table = numbered("t");
    let schema = table.clone();
    let hostile = ScriptedSite::with_table(table, 100, move |path, _| {
        if path.contains("/digest") {
            return Reply::Stream([begun(&schema), digests(path, 1)].concat());
        }
        let rows: Vec<_> = (0..4_000)
            .map(|id| [CellRef::Integer(id), CellRef::Text("x")])
            .collect();
        Reply::Stream(whole(&schema, &rows))
    });
    let (failure, _, _) = refused_into(&site, &target, &hostile, &["--strategy", "overwrite"]);
    assert_eq!(failure.code, "corrupt", "{failure:?}");
    assert!(failure.message.contains("100 rows"), "{failure:?}");
}

#[test]
fn numbers_of_rows_beyond_all_bounds_are_no_panic() {
    let (site, target) = site_with_rows();
    let table = numbered("t");
    let schema = table.clone();
    let hostile = ScriptedSite::with_table(table, u64::MAX, move |path, _| {
        if path.contains("/digest") {
            return Reply::Stream([begun(&schema), digests(path, u64::MAX)].concat());
        }
        Reply::Stream(whole(
            &schema,
            &[[CellRef::Integer(1), CellRef::Text("row 1")]],
        ))
    });
    let arguments = ["--yes", "--into", &target, "--strategy", "overwrite"];
    let pulled = site.pull_from(&hostile.url, "CODE", &arguments);
    assert!(!pulled.stderr.contains("panicked"), "{pulled:?}");
    let diff = ["diff", "--json", &hostile.url, "CODE", "--with", &target];
    let compared = site.run(&diff);
    assert!(!compared.stderr.contains("panicked"), "{compared:?}");
}

#[test]
fn a_comparison_takes_only_rows_that_it_asked_for() {
    let (site, target) = site_with_rows();
    let table = numbered("t");
    let key = KeyColumns::primary(&table).unwrap();
    let many: Vec<_> = (1_000..5_000)
        .map(|id| [CellRef::Integer(id), CellRef::Text("x")])
        .collect();
    let mut builder = BlockBuilder::new(2);
    builder.push(CellRef::Integer(1));
    builder.push(CellRef::Text("x"));
    builder.end_row();
    let bucket = key.bucket(builder.take().rows().next().unwrap());
    let only: BucketSet = [bucket].into_iter().collect();
    assert_eq!(only.len(), 1);
    let schema = table.clone();
    // The digests say one row in each bucket; all rows come, again and again.
    let hostile = ScriptedSite::with_table(table, 100, move |path, _| {
        if path.contains("/digest") {
            return Reply::Stream([begun(&schema), digests(path, 1)].concat());
        }
        let mut stream = begun(&schema);
        let mut before = 0;
        for _ in 0..50 {
            stream.extend(frame(&many, before));
            before += many.len() as u64;
        }
        Reply::Stream(stream)
    });
    let diff = ["diff", "--json", &hostile.url, "CODE", "--with", &target];
    let failure = site.run(&diff).error("corrupt");
    assert!(failure.message.contains("more rows"), "{failure:?}");
}

/// A share of tables with so many rows each, and the path of a target.
fn honest(rows: &[u32]) -> (Site, String, String) {
    let (site, source, target) = Site::with_files();
    for (number, rows) in rows.iter().enumerate() {
        let table = format!("t{number}");
        let create = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, v TEXT);");
        Sqlite::script(&source, &format!("{create} {}", self::rows(&table, *rows)));
    }
    (site, source, target)
}

fn count(target: &str, table: &str) -> i64 {
    Sqlite::open(target).number(&format!("SELECT count(*) FROM {table}"))
}

#[test]
fn a_pull_ends_at_its_limit_of_rows_and_goes_on_with_a_higher_one() {
    let (site, source, target) = honest(&[100, 20_000, 300]);
    let share = site.share(&[&source]);
    let limited = ["--into", &target, "--max-rows", "12000"];
    let failure = site.pull(&share, &limited).error("limit");
    for part in [
        "12000 rows (--max-rows)",
        // Small tables come first.
        "2 of 3 tables completely",
        "first 10000 rows of table \"t1\"",
    ] {
        assert!(failure.message.contains(part), "{part}: {failure:?}");
    }
    assert!(failure.hint.contains("higher limit"), "{failure:?}");
    assert_eq!((count(&target, "t0"), count(&target, "t1")), (100, 10_000));
    let report = site
        .pull(&share, &["--into", &target, "--max-rows", "20400"])
        .done();
    assert_eq!(report.counts("t1").created, 20_000);
    assert_eq!(count(&target, "t1"), 20_000);
    assert_eq!(count(&target, "t2"), 300);
}

#[test]
fn a_pull_ends_at_its_limit_of_bytes() {
    let (site, source, target) = honest(&[20_000]);
    let share = site.share(&[&source]);
    let failure = site
        .pull(&share, &["--into", &target, "--max-bytes", "300kB"])
        .error("limit");
    assert!(
        failure.message.contains("300000 bytes (--max-bytes)"),
        "{failure:?}"
    );
    let rows = count(&target, "t0");
    assert!(rows < 20_000 && rows % 5_000 == 0, "{rows}");
    site.pull(&share, &["--into", &target, "--max-bytes", "1GiB"])
        .done();
    assert_eq!(count(&target, "t0"), 20_000);
}

#[test]
fn compressed_rows_count_as_they_are_unpacked() {
    let table = numbered("t");
    let text = "x".repeat(1 << 20);
    let mut stream = begun(&table);
    for id in 0..30 {
        let mut builder = BlockBuilder::new(2);
        builder.push(CellRef::Integer(id));
        builder.push(CellRef::Text(&text));
        builder.end_row();
        stream.extend(encode_rows(&builder.take(), id.cast_unsigned(), true));
    }
    assert!(stream.len() < 1 << 20);
    let hostile = ScriptedSite::with_table(table, 30, move |_, _| Reply::Stream(stream.clone()));
    let (failure, _, _) = refused(&hostile, &["--max-bytes", "10MiB"]);
    assert_eq!(failure.code, "limit", "{failure:?}");
    assert!(failure.message.contains("first 9 rows"), "{failure:?}");
}
