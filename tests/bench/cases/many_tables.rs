//! Many tables of one row.

use std::process::Command;

use anyhow::Result;

use super::new_table::created;
use crate::bench::Bench;
use crate::record::{Record, Target};
use crate::transfer::{Transfer, pipe};

/// How many tables there are.
const COUNTS: [u64; 2] = [300, 1_300];

/// PostgreSQL to PostgreSQL, against `pg_dump | psql`.
pub fn postgres(bench: &Bench, record: &mut Record) -> Result<()> {
    for tables in COUNTS {
        let source = format!("tables_{tables}");
        bench
            .postgres
            .fixture(&source, |name| bench.postgres.run(name, &[&create(tables)]))?;
        let tombolo = || {
            bench.postgres.fresh("target")?;
            let (from, to) = (bench.postgres.url(&source), bench.postgres.url("target"));
            Transfer::new(bench, from, to).expect(created(tables))
        };
        let dump = || {
            bench.postgres.fresh("target")?;
            let mut dump = Command::new("pg_dump");
            dump.arg("-d").arg(bench.postgres.url(&source));
            let mut psql = Command::new("psql");
            psql.args(["-X", "-q", "-o", "/dev/null", "-d"]);
            psql.arg(bench.postgres.url("target"));
            pipe(bench, [dump, psql])
        };
        let [own, other] = record.compare(
            bench,
            tables,
            [
                (format!("tombolo, {tables} tables"), Box::new(tombolo)),
                (format!("pg_dump \\| psql, {tables} tables"), Box::new(dump)),
            ],
        )?;
        let ratio = own.wall() / other.wall();
        record.find(
            format!("time against pg_dump and psql, {tables} tables"),
            ratio,
            "×",
            Target::AtMost(5.0),
        );
    }
    record.note(
        "Baseline: `pg_dump | psql`, which checks nothing and cannot go on after it was interrupted.",
    );
    Ok(())
}

/// Statements that create and fill tables of one row.
fn create(tables: u64) -> String {
    let statements = (1..=tables).map(|number| {
        format!(
            "CREATE TABLE t{number} (id int PRIMARY KEY, name text NOT NULL, at timestamptz, amount numeric(10, 2)); \
             INSERT INTO t{number} VALUES (1, 'row of t{number}', now(), 1.50);"
        )
    });
    statements.collect()
}
