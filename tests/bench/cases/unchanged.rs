//! A second sync, when nothing or next to nothing has changed.

use anyhow::Result;

use super::new_table::{created, text};
use crate::bench::Bench;
use crate::data::Keys;
use crate::record::{Record, Run, Sample, Target};
use crate::sqlite::{self, Journal};
use crate::tables::ITEMS;
use crate::transfer::{Counts, Transfer};

/// PostgreSQL to PostgreSQL and SQLite to SQLite, by `overwrite`.
pub fn run(bench: &Bench, record: &mut Record) -> Result<()> {
    for keys in bench.arguments.keys() {
        postgres(bench, record, keys)?;
    }
    sqlite(bench, record, bench.arguments.keys.unwrap_or(Keys::Random))?;
    record.note(
        "CPU is that of both processes and of PostgreSQL together. Bytes are those of the receiver's report.",
    );
    Ok(())
}

fn postgres(bench: &Bench, record: &mut Record, keys: Keys) -> Result<()> {
    let postgres = &bench.postgres;
    let rows = bench.items(keys);
    let template = bench.postgres_items(rows)?;
    postgres.copy(&template, "source")?;
    postgres.fresh("target")?;
    let again = || {
        Transfer::new(bench, postgres.url("source"), postgres.url("target")).strategy("overwrite")
    };
    again().expect(created(rows.count))?;
    postgres.run("target", &["VACUUM (ANALYZE)"])?;
    let nothing = || unchanged(&again(), rows.count, 0);
    let mut turn = 0;
    let one = || {
        turn += 1;
        let key = keys.key(rows.count / 2 + turn);
        let change = format!("UPDATE {ITEMS} SET note = 'changed' WHERE id = {key}");
        postgres.run("source", &[&change])?;
        unchanged(&again(), rows.count, 1)
    };
    let of = format!("PostgreSQL, {} keys", keys.name());
    let runs = record.compare(
        bench,
        rows.count,
        [
            (format!("nothing changed, {of}"), Box::new(nothing)),
            (format!("one row changed, {of}"), Box::new(one)),
        ],
    )?;
    find(record, &runs, &of);
    postgres.check_same("source", "target", ITEMS)?;
    postgres.drop("source")
}

fn sqlite(bench: &Bench, record: &mut Record, keys: Keys) -> Result<()> {
    let rows = bench.items(keys);
    let template = bench.sqlite_items(rows, Journal::Wal)?;
    let (source, target) = (bench.path("source.db"), bench.path("target.db"));
    sqlite::remove(&source)?;
    sqlite::remove(&target)?;
    std::fs::copy(&template, &source)?;
    let again = || Transfer::new(bench, text(&source), text(&target)).strategy("overwrite");
    again().expect(created(rows.count))?;
    let nothing = || unchanged(&again(), rows.count, 0);
    let mut turn = 0;
    let one = || {
        turn += 1;
        let key = keys.key(rows.count / 2 + turn);
        let change = format!("UPDATE {ITEMS} SET note = 'changed' WHERE id = {key};");
        sqlite::ask(&source, &change)?;
        unchanged(&again(), rows.count, 1)
    };
    let of = format!("SQLite, {} keys", keys.name());
    let runs = record.compare(
        bench,
        rows.count,
        [
            (format!("nothing changed, {of}"), Box::new(nothing)),
            (format!("one row changed, {of}"), Box::new(one)),
        ],
    )?;
    find(record, &runs, &of);
    sqlite::check_same(&source, &target, ITEMS)?;
    sqlite::remove(&source)
}

/// Checks that `changed` rows were updated; rows that were not sent may be missing in the report.
fn unchanged(transfer: &Transfer<'_>, rows: u64, changed: u64) -> Result<Sample> {
    let (sample, counts) = transfer.run()?;
    let expected = Counts {
        updated: changed,
        same: counts.same,
        ..Counts::default()
    };
    anyhow::ensure!(
        counts == expected && counts.same <= rows,
        "the report says {counts:?}, {changed} of {rows} rows were changed"
    );
    Ok(sample)
}

fn find(record: &mut Record, [nothing, one]: &[Run; 2], of: &str) {
    let bytes = |run: &Run| {
        let bytes = run.median(|sample| sample.bytes.map(|bytes| bytes as f64));
        bytes.unwrap_or(f64::NAN)
    };
    let cpu = nothing.cpu_a_million(Sample::cpu);
    record.find(
        format!("CPU, nothing changed, {of}"),
        cpu,
        "s / M rows",
        Target::AtMost(3.0),
    );
    let sent = bytes(nothing) / nothing.rows.max(1) as f64;
    record.find(
        format!("sent, nothing changed, {of}"),
        sent,
        "bytes/row",
        Target::AtMost(0.1),
    );
    let more = one.wall() / nothing.wall();
    record.find(
        format!("time with one changed row, {of}"),
        more,
        "× nothing changed",
        Target::None,
    );
    record.find(
        format!("sent for one changed row, {of}"),
        bytes(one),
        "bytes",
        Target::None,
    );
}
