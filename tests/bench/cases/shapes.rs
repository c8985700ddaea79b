//! Tables of other shapes: several at once, wide ones, fat rows.

use std::io::Write;
use std::process::Command;

use anyhow::Result;

use super::new_table::created;
use crate::bench::Bench;
use crate::data::{self, Keys, Rows};
use crate::process;
use crate::record::{Record, Sample, Target, Targets};
use crate::tables::{POSTGRES_COLUMNS, wide_columns};
use crate::transfer::{Transfer, pipe};

const TABLES: u64 = 4;
const WIDE: usize = 200;
const FAT_ROWS: u64 = 500;
const FAT_BYTES: usize = 100_000;

/// Four tables of a quarter of the rows each, one after the other and `--jobs 4`, against one pipe after the other.
pub fn several(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    let rows = Rows {
        count: bench.rows() / TABLES,
        keys: bench.arguments.keys.unwrap_or(Keys::Random),
        stale_every: None,
    };
    let names: Vec<String> = (1..=TABLES)
        .map(|number| format!("items_{number}"))
        .collect();
    postgres.fixture("several", |database| {
        names.iter().try_for_each(|name| {
            postgres.fill(database, name, POSTGRES_COLUMNS, |out| rows.write(out))
        })
    })?;
    let tombolo = |jobs: Option<&str>| {
        postgres.fresh("target")?;
        let mut transfer = Transfer::new(bench, postgres.url("several"), postgres.url("target"));
        if let Some(jobs) = jobs {
            transfer.pull.extend(["--jobs".to_owned(), jobs.to_owned()]);
        }
        transfer.expect(created(rows.count * TABLES))
    };
    let psql = || {
        postgres.fresh("target")?;
        let mut whole = Sample::default();
        for name in &names {
            let out = format!("COPY {name} TO STDOUT (FORMAT binary)");
            let sample = new_table_pipe(bench, "several", &out, name, POSTGRES_COLUMNS)?;
            let add = |one: &mut Option<f64>, other: Option<f64>| {
                *one = Some(one.unwrap_or_default() + other.unwrap_or_default());
            };
            whole.wall += sample.wall;
            add(&mut whole.tools_cpu, sample.tools_cpu);
            add(&mut whole.postgres_cpu, sample.postgres_cpu);
        }
        Ok(whole)
    };
    let total = rows.count * TABLES;
    let help =
        process::output(Command::new(env!("CARGO_BIN_EXE_tombolo")).args(["pull", "--help"]))?;
    if !help.contains("--jobs") {
        record.note("`pull --jobs` is not supported yet; only one table at a time was measured.");
        let [single, psql] = record.compare(
            bench,
            total,
            [
                ("tombolo".to_owned(), Box::new(|| tombolo(None))),
                ("psql \\| psql".to_owned(), Box::new(psql)),
            ],
        )?;
        record.find_transfer("", &single, &psql, Targets::NONE);
        return Ok(());
    }
    let [single, jobs, psql] = record.compare(
        bench,
        total,
        [
            ("tombolo".to_owned(), Box::new(|| tombolo(None))),
            (
                "tombolo --jobs 4".to_owned(),
                Box::new(|| tombolo(Some("4"))),
            ),
            ("psql \\| psql".to_owned(), Box::new(psql)),
        ],
    )?;
    record.find_transfer("one table at a time", &single, &psql, Targets::NONE);
    let targets = Targets {
        speed: Target::AtLeast(1.0),
        ..Targets::NONE
    };
    record.find_transfer("--jobs 4", &jobs, &psql, targets);
    Ok(())
}

/// 200 columns.
pub fn wide(bench: &Bench, record: &mut Record) -> Result<()> {
    let rows = bench.rows() / 20;
    let columns = wide_columns(WIDE);
    one_table(bench, record, "wide", &columns, rows, |out| {
        data::write_wide(out, rows, WIDE)
    })
}

/// 500 rows of 100 kB.
pub fn fat(bench: &Bench, record: &mut Record) -> Result<()> {
    let columns = "id bigint PRIMARY KEY, content text NOT NULL";
    let write = |out: &mut dyn Write| data::write_fat(out, FAT_ROWS, FAT_BYTES);
    one_table(bench, record, "fat", columns, FAT_ROWS, write)
}

fn one_table(
    bench: &Bench,
    record: &mut Record,
    name: &str,
    columns: &str,
    rows: u64,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let postgres = &bench.postgres;
    postgres.fixture(name, |database| {
        postgres.fill(database, name, columns, write)
    })?;
    let tombolo = || {
        postgres.fresh("target")?;
        let transfer = Transfer::new(bench, postgres.url(name), postgres.url("target"));
        transfer.expect(created(rows))
    };
    let psql = || {
        postgres.fresh("target")?;
        let out = format!("COPY {name} TO STDOUT (FORMAT binary)");
        new_table_pipe(bench, name, &out, name, columns)
    };
    let [own, psql] = record.compare(
        bench,
        rows,
        [
            ("tombolo".to_owned(), Box::new(tombolo)),
            ("psql \\| psql".to_owned(), Box::new(psql)),
        ],
    )?;
    record.find_transfer("", &own, &psql, Targets::NONE);
    postgres.check_same(name, "target", name)?;
    record.note("PostgreSQL to PostgreSQL, new table.");
    Ok(())
}

fn new_table_pipe(
    bench: &Bench,
    source: &str,
    out: &str,
    table: &str,
    columns: &str,
) -> Result<Sample> {
    let create = format!("CREATE TABLE {table} ({columns})");
    let copy = format!("COPY {table} FROM STDIN (FORMAT binary)");
    let postgres = &bench.postgres;
    let commands = [
        postgres.psql(source, &[out]),
        postgres.psql("target", &[&create, &copy]),
    ];
    pipe(bench, commands)
}
