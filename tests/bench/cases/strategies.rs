//! What strategies cost: a plugin's that judges row by row, and the sandbox around the built-in ones.

use anyhow::Result;

use super::new_table::created;
use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::guests;
use crate::record::{Record, Target};
use crate::tables::{ITEMS, POSTGRES_COLUMNS};
use crate::transfer::{Counts, Transfer};

/// The example plugin `newest-wins` against `overwrite`, where both do the same to the rows.
pub fn row_by_row(bench: &Bench, record: &mut Record) -> Result<()> {
    let keys = bench.arguments.keys.unwrap_or(Keys::Random);
    let plugin = guests::newest_wins().pinned("conflicts");
    for (percent, every, limit) in [(100, 1, 1.5), (1, 100, 1.05)] {
        let rows = bench.items(keys);
        let source = bench.postgres_items(rows)?;
        let stale = bench.postgres_items(Rows {
            stale_every: Some(every),
            ..rows
        })?;
        let updated = rows.count.div_ceil(every);
        let expected = Counts {
            updated,
            same: rows.count - updated,
            ..Counts::default()
        };
        let pull = |strategy: &str, plugin: Option<&str>| {
            let postgres = &bench.postgres;
            postgres.copy(&stale, "target")?;
            let mut transfer = Transfer::new(bench, postgres.url(&source), postgres.url("target"));
            if let Some(plugin) = plugin {
                transfer
                    .pull
                    .extend(["--plugin".to_owned(), plugin.to_owned()]);
            }
            transfer.strategy(strategy).expect(expected)
        };
        let of = format!("{percent} % conflicts");
        let [custom, standard] = record.compare(
            bench,
            rows.count,
            [
                (
                    format!("newest-wins, {of}"),
                    Box::new(|| pull("newest-wins", Some(&plugin))),
                ),
                (
                    format!("overwrite, {of}"),
                    Box::new(|| pull("overwrite", None)),
                ),
            ],
        )?;
        let time = custom.wall() / standard.wall();
        record.find(
            format!("time against built-in, {of}"),
            time,
            "×",
            Target::AtMost(limit),
        );
        let cpu = custom.cpu_a_million(crate::record::Sample::cpu)
            / standard.cpu_a_million(crate::record::Sample::cpu);
        record.find(
            format!("CPU against built-in, {of}"),
            cpu,
            "×",
            Target::None,
        );
    }
    record.note("PostgreSQL to PostgreSQL. The incoming row is always the newer one, so that both strategies write the same.");
    Ok(())
}

/// All that is done once a transfer, by components and around them, against a transfer's length.
pub fn sandbox(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    let keys = bench.arguments.keys.unwrap_or(Keys::Random);
    let source = bench.postgres_items(bench.items(keys))?;
    postgres.fixture("empty", |database| {
        postgres.fill(database, ITEMS, POSTGRES_COLUMNS, |_| Ok(()))
    })?;
    let pull = |source: &str, rows: u64| {
        postgres.fresh("target")?;
        let transfer = Transfer::new(bench, postgres.url(source), postgres.url("target"));
        transfer.expect(created(rows))
    };
    let [empty, full] = record.compare(
        bench,
        bench.rows(),
        [
            ("no rows".to_owned(), Box::new(|| pull("empty", 0))),
            (
                "all rows".to_owned(),
                Box::new(|| pull(&source, bench.rows())),
            ),
        ],
    )?;
    let share = 100.0 * empty.wall() / full.wall();
    record.find(
        "all that is not rows, at most",
        share,
        "% of the time",
        Target::AtMost(3.0),
    );
    let own = |run: &crate::record::Run| run.cpu_a_million(crate::record::Sample::cpu);
    record.find(
        "the same in CPU",
        100.0 * own(&empty) / own(&full),
        "%",
        Target::None,
    );
    record.note(
        "A built-in strategy is asked for its plan once a table and never sees a row; there is no build without the sandbox to compare with. So this \
         is an upper bound: the whole pull of an empty table, with the program's start, every call of every component and the connections, \
         against the same with rows.",
    );
    Ok(())
}
