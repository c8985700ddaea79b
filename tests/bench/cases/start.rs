//! What it costs to have the program at all.

use anyhow::Result;

use super::new_table::{created, text};
use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::record::{Record, Run, Sample, Target};
use crate::sqlite::{self, Journal};
use crate::transfer::Transfer;

/// From the start of `share` to its code, and the whole pull of one row.
pub fn start(bench: &Bench, record: &mut Record) -> Result<()> {
    let rows = Rows {
        count: 1,
        keys: Keys::Sequential,
        stale_every: None,
    };
    let (source, target) = (
        bench.sqlite_items(rows, Journal::Wal)?,
        bench.path("target.db"),
    );
    let pull = || {
        sqlite::remove(&target)?;
        Transfer::new(bench, text(&source), text(&target)).expect(created(1))
    };
    let [run] = record.compare(bench, 1, [("one row".to_owned(), Box::new(pull))])?;
    let median = |figure: fn(&Sample) -> Option<f64>| run.median(figure).unwrap_or(f64::NAN);
    let ready = 1e3 * median(|sample| sample.ready);
    record.find(
        "share has its code after",
        ready,
        "ms",
        Target::AtMost(500.0),
    );
    record.find("pull of one row", 1e3 * run.wall(), "ms", Target::None);
    record.find(
        "CPU of share",
        median(|sample| sample.share_cpu),
        "s",
        Target::None,
    );
    record.find(
        "CPU of pull",
        median(|sample| sample.pull_cpu),
        "s",
        Target::None,
    );
    record.find("peak memory", Run::peak(&run), "MiB", Target::None);
    Ok(())
}

/// The size of the binary that users get.
pub fn binary(_: &Bench, record: &mut Record) -> Result<()> {
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_tombolo"))?.len();
    record.find("size", size as f64 / 1e6, "MB", Target::AtMost(40.0));
    Ok(())
}
