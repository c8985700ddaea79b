//! Tables that the target does not have yet.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::bench::Bench;
use crate::data::Keys;
use crate::record::{Record, Run, Target, Targets};
use crate::sqlite::{self, Journal, sqlite3};
use crate::tables::{ITEMS, POSTGRES_COLUMNS, SQLITE_COLUMNS};
use crate::transfer::{Counts, Transfer, pipe};

/// PostgreSQL to PostgreSQL, against a pipe of two `psql`.
pub fn postgres(bench: &Bench, record: &mut Record) -> Result<()> {
    for keys in bench.arguments.keys() {
        let [own, psql] = postgres_runs(bench, record, keys)?;
        let targets = Targets {
            speed: Target::AtLeast(0.7),
            own_cpu: Target::AtMost(3.0),
        };
        record.find_transfer(&format!("{} keys", keys.name()), &own, &psql, targets);
    }
    record.note(
        "Baseline: `psql -c 'COPY (SELECT * FROM items) TO STDOUT (FORMAT binary)' | psql -c 'COPY items FROM STDIN (FORMAT binary)'` \
         into a table that has its primary key. The target is that of a verified transfer; without verification it would be 0.8.",
    );
    Ok(())
}

fn postgres_runs(bench: &Bench, record: &mut Record, keys: Keys) -> Result<[Run; 2]> {
    let postgres = &bench.postgres;
    let source = bench.postgres_items(bench.items(keys))?;
    let mut checked = false;
    let tombolo = || {
        postgres.fresh("target")?;
        let transfer = Transfer::new(bench, postgres.url(&source), postgres.url("target"));
        let sample = transfer.expect(created(bench.rows()))?;
        if !std::mem::replace(&mut checked, true) {
            postgres.check_same(&source, "target", ITEMS)?;
        }
        Ok(sample)
    };
    let psql = || {
        postgres.fresh("target")?;
        let create = format!("CREATE TABLE {ITEMS} ({POSTGRES_COLUMNS})");
        let copy = format!("COPY {ITEMS} FROM STDIN (FORMAT binary)");
        let commands = [
            copy_out(bench, &source),
            postgres.psql("target", &[&create, &copy]),
        ];
        pipe(bench, commands)
    };
    let named = |name: &str| format!("{name}, {} keys", keys.name());
    record.compare(
        bench,
        bench.rows(),
        [
            (named("tombolo"), Box::new(tombolo)),
            (named("psql \\| psql"), Box::new(psql)),
        ],
    )
}

/// `psql` that writes a table in binary form.
pub fn copy_out(bench: &Bench, source: &str) -> Command {
    let copy = format!("COPY (SELECT * FROM {ITEMS}) TO STDOUT (FORMAT binary)");
    bench.postgres.psql(source, &[&copy])
}

/// All rows are new.
pub fn created(rows: u64) -> Counts {
    Counts {
        created: rows,
        ..Counts::default()
    }
}

/// SQLite to SQLite, against the import and the export of the `sqlite3` program.
pub fn sqlite(bench: &Bench, record: &mut Record) -> Result<()> {
    for keys in bench.arguments.keys() {
        let [own, rollback, import, both] = sqlite_runs(bench, record, keys)?;
        let of = format!("{} keys", keys.name());
        let targets = Targets {
            speed: Target::AtLeast(1.0),
            ..Targets::NONE
        };
        record.find_transfer(&format!("against .import, {of}"), &own, &import, targets);
        for (what, run) in [("", &own), (", source without WAL", &rollback)] {
            let speed = both.wall() / run.wall();
            let what = format!("speed against export and .import, {of}{what}");
            record.find(what, speed, "×", Target::None);
        }
    }
    record.note(
        "Baselines: `.import --csv` into a table that has its primary key, from a CSV file that is already there, and from \
         `sqlite3 -csv source 'SELECT * FROM items'` through a pipe.",
    );
    Ok(())
}

fn sqlite_runs(bench: &Bench, record: &mut Record, keys: Keys) -> Result<[Run; 4]> {
    let rows = bench.items(keys);
    let source = bench.sqlite_items(rows, Journal::Wal)?;
    let rollback = bench.sqlite_items(rows, Journal::Rollback)?;
    let (csv, target) = (bench.path("items.csv"), bench.path("target.db"));
    let all = format!("SELECT * FROM {ITEMS};");
    std::fs::write(&csv, "")?;
    pipe(
        bench,
        [sqlite3(
            &source,
            &[".mode csv", &format!(".once '{}'", csv.display()), &all],
        )],
    )?;
    let tombolo = |source: &Path, check: bool| {
        sqlite::remove(&target)?;
        let transfer = Transfer::new(bench, text(source), text(&target));
        let sample = transfer.expect(created(rows.count))?;
        if check {
            sqlite::check_same(source, &target, ITEMS)?;
        }
        Ok(sample)
    };
    let import = |from: &str| {
        sqlite::remove(&target)?;
        let create = format!("CREATE TABLE {ITEMS} ({SQLITE_COLUMNS});");
        let import = format!(".import --csv {from} {ITEMS}");
        pipe(bench, [sqlite3(&target, &[&create, &import])])
    };
    let mut checked = false;
    let export = format!("\"|sqlite3 -csv '{}' '{all}'\"", source.display());
    let named = |name: &str| format!("{name}, {} keys", keys.name());
    record.compare(
        bench,
        rows.count,
        [
            (
                named("tombolo"),
                Box::new(|| tombolo(&source, !std::mem::replace(&mut checked, true))),
            ),
            (
                named("tombolo, source without WAL"),
                Box::new(|| tombolo(&rollback, false)),
            ),
            (
                named(".import"),
                Box::new(|| import(&format!("'{}'", csv.display()))),
            ),
            (named("export, .import"), Box::new(|| import(&export))),
        ],
    )
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}
