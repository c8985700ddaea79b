//! How time and memory grow with a table.

use anyhow::Result;

use super::new_table::{created, text};
use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::record::{PEAK, Record, Run, Target};
use crate::sqlite::{self, Journal};
use crate::transfer::Transfer;

/// A hundredth, a tenth and all of the rows, and ten times as many if asked for.
fn sizes(bench: &Bench) -> Vec<u64> {
    let rows = bench.rows();
    let mut sizes = vec![rows / 100, rows / 10, rows];
    if bench.arguments.large {
        sizes.push(rows * 10);
    }
    sizes
}

/// PostgreSQL to PostgreSQL and SQLite to SQLite, new tables of growing size.
pub fn run(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    let target = bench.path("target.db");
    let keys = bench.arguments.keys.unwrap_or(Keys::Random);
    let (mut in_postgres, mut in_sqlite) = (Vec::new(), Vec::new());
    for count in sizes(bench) {
        let rows = Rows {
            count,
            keys,
            stale_every: None,
        };
        let from = bench.postgres_items(rows)?;
        let file = bench.sqlite_items(rows, Journal::Wal)?;
        let between_servers = || {
            postgres.fresh("target")?;
            Transfer::new(bench, postgres.url(&from), postgres.url("target")).expect(created(count))
        };
        let between_files = || {
            sqlite::remove(&target)?;
            Transfer::new(bench, text(&file), text(&target)).expect(created(count))
        };
        let [one, other] = record.compare(
            bench,
            count,
            [
                (
                    format!("PostgreSQL, {count} rows"),
                    Box::new(between_servers),
                ),
                (format!("SQLite, {count} rows"), Box::new(between_files)),
            ],
        )?;
        in_postgres.push(one);
        in_sqlite.push(other);
        if count > bench.rows() {
            postgres.drop(&from)?;
            sqlite::remove(&file)?;
        }
    }
    find(record, "PostgreSQL", &in_postgres);
    find(record, "SQLite", &in_sqlite);
    record.note("Time and CPU a row are those of a run less the smallest one's, which is the program's start for the most part.");
    Ok(())
}

fn find(record: &mut Record, database: &str, runs: &[Run]) {
    for pair in runs.windows(2) {
        let (Some(first), [less, more]) = (runs.first(), pair) else {
            continue;
        };
        let growth = |time: fn(&Run) -> f64| {
            let a_row =
                |run: &Run| (time(run) - time(first)) / (run.rows - first.rows).max(1) as f64;
            a_row(more) / a_row(less)
        };
        if less.rows > first.rows {
            let sizes = format!("{database}, {} against {} rows", more.rows, less.rows);
            for (word, times) in [("time", growth(Run::wall)), ("CPU", growth(Run::cpu))] {
                record.find(format!("{word} a row, {sizes}"), times, "×", Target::None);
            }
        }
        let what = format!(
            "peak memory, {database}, {} against {} rows",
            more.rows, less.rows
        );
        record.find(what, more.peak() / less.peak(), "×", Target::None);
    }
    if let Some(largest) = runs.last() {
        let what = format!("peak memory, {database}, {} rows", largest.rows);
        record.find(what, largest.peak(), "MiB", Target::AtMost(PEAK));
    }
}
