//! A row that the target refuses.

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::record::{Record, Target};
use crate::tables::{ITEMS, POSTGRES_COLUMNS};
use crate::transfer::{Counts, Transfer};

/// So many rows, one of which is bad.
const ROWS: u64 = 100_000;

/// One bad row in 100 000, by a check that only the target's database knows, against no bad row.
pub fn one_bad_row(bench: &Bench, record: &mut Record) -> Result<()> {
    let postgres = &bench.postgres;
    let keys = bench.arguments.keys.unwrap_or(Keys::Random);
    let rows = Rows {
        count: ROWS.min(bench.rows()),
        keys,
        stale_every: None,
    };
    let source = bench.postgres_items(rows)?;
    let pull = |bad: bool| {
        // The check costs the same in both runs; in one of them, nothing violates it.
        let key = if bad { keys.key(rows.count / 2) } else { 0 };
        let create = format!("CREATE TABLE {ITEMS} ({POSTGRES_COLUMNS}, CHECK (id <> {key}))");
        postgres.fresh("target")?;
        postgres.run("target", &[&create])?;
        let transfer = Transfer::new(bench, postgres.url(&source), postgres.url("target"));
        transfer.expect(Counts {
            created: rows.count - u64::from(bad),
            failed: u64::from(bad),
            ..Counts::default()
        })
    };
    if let Err(error) = pull(true) {
        let text = format!("{error:#}");
        if text.contains("pull failed") {
            bail!("rejected rows are not supported yet: {text}");
        }
        return Err(error);
    }
    let [bad, clean] = record.compare(
        bench,
        rows.count,
        [
            ("one bad row".to_owned(), Box::new(|| pull(true))),
            ("clean".to_owned(), Box::new(|| pull(false))),
        ],
    )?;
    let time = bad.wall() / clean.wall();
    record.find("time against the clean run", time, "×", Target::AtMost(1.2));
    record.note(format!("{ROWS} rows at most, whatever `--rows` says. PostgreSQL to PostgreSQL, into an existing empty table with a check."));
    Ok(())
}
