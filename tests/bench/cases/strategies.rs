//! What a strategy costs that decides row by row, in a plugin.

use anyhow::Result;

use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::guests;
use crate::record::{Record, Sample, Target};
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
        let cpu = custom.cpu_a_million(Sample::cpu) / standard.cpu_a_million(Sample::cpu);
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
