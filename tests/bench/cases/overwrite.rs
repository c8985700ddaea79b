//! Rows that exist on both sides with other values.

use anyhow::Result;

use super::new_table::copy_out;
use crate::bench::Bench;
use crate::data::Rows;
use crate::record::{Record, Target, Targets};
use crate::tables::{ITEMS, assignments};
use crate::transfer::{Counts, Transfer, pipe};

/// PostgreSQL to PostgreSQL, against COPY into a temporary table and `ON CONFLICT`.
pub fn postgres(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    for keys in bench.arguments.keys() {
        let rows = bench.items(keys);
        let source = bench.postgres_items(rows)?;
        let stale = bench.postgres_items(Rows {
            stale_every: Some(1),
            ..rows
        })?;
        let mut checked = false;
        let tombolo = || {
            postgres.copy(&stale, "target")?;
            let transfer = Transfer::new(bench, postgres.url(&source), postgres.url("target"));
            let expected = Counts {
                updated: rows.count,
                ..Counts::default()
            };
            let sample = transfer.strategy("overwrite").expect(expected)?;
            if !std::mem::replace(&mut checked, true) {
                postgres.check_same(&source, "target", ITEMS)?;
            }
            Ok(sample)
        };
        let psql = || {
            postgres.copy(&stale, "target")?;
            let commands = [
                "BEGIN",
                &format!("CREATE TEMPORARY TABLE incoming (LIKE {ITEMS}) ON COMMIT DROP"),
                "COPY incoming FROM STDIN (FORMAT binary)",
                &format!(
                    "INSERT INTO {ITEMS} SELECT * FROM incoming ON CONFLICT (id) DO UPDATE SET {}",
                    assignments()
                ),
                "COMMIT",
            ];
            pipe(
                bench,
                [copy_out(bench, &source), postgres.psql("target", &commands)],
            )
        };
        let of = format!("{} keys", keys.name());
        let [own, psql] = record.compare(
            bench,
            rows.count,
            [
                (format!("tombolo, {of}"), Box::new(tombolo)),
                (format!("psql \\| psql, {of}"), Box::new(psql)),
            ],
        )?;
        let targets = Targets {
            speed: Target::AtLeast(0.85),
            ..Targets::NONE
        };
        record.find_transfer(&of, &own, &psql, targets);
    }
    record.note(
        "Baseline: a `psql` with `COPY … TO STDOUT (FORMAT binary)` and one that copies that into a temporary table and then runs one \
         `INSERT … SELECT … ON CONFLICT (id) DO UPDATE`, in one transaction.",
    );
    Ok(())
}
