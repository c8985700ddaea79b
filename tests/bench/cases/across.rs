//! New tables in a database of the other kind.

use anyhow::Result;

use super::new_table::{created, text};
use crate::bench::Bench;
use crate::record::{Record, Targets};
use crate::sqlite::{self, Journal, sqlite3};
use crate::tables::{ITEMS, POSTGRES_COLUMNS, SQLITE_COLUMNS};
use crate::transfer::{Transfer, pipe};

/// SQLite to PostgreSQL, against CSV from `sqlite3` to `psql`.
pub fn sqlite_to_postgres(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    for keys in bench.arguments.keys() {
        let source = bench.sqlite_items(bench.items(keys), Journal::Wal)?;
        let tombolo = || {
            postgres.fresh("target")?;
            let transfer = Transfer::new(bench, text(&source), postgres.url("target"));
            transfer.expect(created(bench.rows()))
        };
        let tools = || {
            postgres.fresh("target")?;
            let select = format!("SELECT * FROM {ITEMS};");
            let create = format!("CREATE TABLE {ITEMS} ({POSTGRES_COLUMNS})");
            let copy = format!("COPY {ITEMS} FROM STDIN (FORMAT csv)");
            let export = sqlite3(&source, &[".mode csv", &select]);
            pipe(bench, [export, postgres.psql("target", &[&create, &copy])])
        };
        let of = format!("{} keys", keys.name());
        let [own, tools] = record.compare(
            bench,
            bench.rows(),
            [
                (format!("tombolo, {of}"), Box::new(tombolo)),
                (format!("sqlite3 to psql, {of}"), Box::new(tools)),
            ],
        )?;
        record.find_transfer(&of, &own, &tools, Targets::NONE);
    }
    record.note(
        "Baseline: `sqlite3 source 'SELECT * FROM items' | psql -c 'COPY items FROM STDIN (FORMAT csv)'` with PostgreSQL's own types, for \
         which Tombolo takes text where SQLite's types promise nothing.",
    );
    Ok(())
}

/// PostgreSQL to SQLite, against CSV from `psql` to `sqlite3`.
pub fn postgres_to_sqlite(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    let target = bench.path("target.db");
    for keys in bench.arguments.keys() {
        let source = bench.postgres_items(bench.items(keys))?;
        let tombolo = || {
            sqlite::remove(&target)?;
            let transfer = Transfer::new(bench, postgres.url(&source), text(&target));
            transfer.expect(created(bench.rows()))
        };
        let tools = || {
            sqlite::remove(&target)?;
            let copy = format!("COPY {ITEMS} TO STDOUT (FORMAT csv)");
            let create = format!("CREATE TABLE {ITEMS} ({SQLITE_COLUMNS});");
            let import = format!(".import --csv /dev/stdin {ITEMS}");
            let export = postgres.psql(&source, &[&copy]);
            pipe(bench, [export, sqlite3(&target, &[&create, &import])])
        };
        let of = format!("{} keys", keys.name());
        let [own, tools] = record.compare(
            bench,
            bench.rows(),
            [
                (format!("tombolo, {of}"), Box::new(tombolo)),
                (format!("psql to sqlite3, {of}"), Box::new(tools)),
            ],
        )?;
        record.find_transfer(&of, &own, &tools, Targets::NONE);
    }
    record.note(
        "Baseline: `psql -c 'COPY items TO STDOUT (FORMAT csv)' | sqlite3 target '.import --csv /dev/stdin items'`.",
    );
    Ok(())
}
