//! What the sandbox costs: one call of a component, and all calls of a built-in strategy against the rows.

use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use tombolo::bindings::types::TableSchema;
use tombolo::database::{self, Location};
use tombolo::sandbox::{ConflictStrategies, Limits, Sandbox};

use super::new_table::created;
use crate::bench::Bench;
use crate::data::{Keys, Rows};
use crate::guests;
use crate::record::{Record, Sample, Target};
use crate::sqlite::Journal;
use crate::tables::{ITEMS, POSTGRES_COLUMNS};
use crate::transfer::Transfer;

const CALLS: usize = 2_000;

/// Built-in strategies see no row: they are asked for a plan, once a table. That call is timed in this process.
pub fn run(bench: &Bench, record: &mut Record) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (idle, plan) = runtime.block_on(calls(bench))?;
    record.find(
        "one call that does next to nothing",
        idle * 1e6,
        "µs",
        Target::AtMost(50.0),
    );
    record.find(
        "the call for a table's plan",
        plan * 1e6,
        "µs",
        Target::None,
    );
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
    let share = 100.0 * plan / full.wall();
    record.find(
        "that call against the whole pull",
        share,
        "%",
        Target::AtMost(3.0),
    );
    let share = 100.0 * empty.wall() / full.wall();
    record.find(
        "all that is not rows, start and connections included",
        share,
        "% of the time",
        Target::None,
    );
    let share = 100.0 * empty.cpu_a_million(Sample::cpu) / full.cpu_a_million(Sample::cpu);
    record.find("the same in CPU", share, "%", Target::None);
    record.note(format!(
        "Calls: the median of {CALLS}, each in a fresh store, of the standard rules. A built-in strategy is asked for its plan once a table and never sees a row, so \
         that call is all that the sandbox adds to it. What components do besides (the protocol, planning, DDL) is part of the pull of an empty \
         table, as is the compilation of components at the start."
    ));
    Ok(())
}

/// Seconds of a call of `conflicts.strategies` and of one of `conflicts.plan`.
async fn calls(bench: &Bench) -> Result<(f64, f64)> {
    let file = guests::newest_wins()
        .file
        .with_file_name("tombolo_rules.wasm");
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let sandbox = Sandbox::new(Limits::default())?;
    let plugin = sandbox.load("rules", bytes, None).await?;
    let strategies = ConflictStrategies::new(&sandbox, &plugin)?;
    let schema = schema(bench).await?;
    let (mut idle, mut plan) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let began = Instant::now();
        ensure!(
            !strategies.strategies().await?.is_empty(),
            "the standard rules have no strategy"
        );
        idle.push(began.elapsed());
        let began = Instant::now();
        let planned = strategies.plan("overwrite", &[], &schema, &schema).await?;
        plan.push(began.elapsed());
        planned.map_err(|error| anyhow!("no plan: {error:?}"))?;
    }
    let median = |mut times: Vec<std::time::Duration>| {
        times.sort();
        times
            .get(CALLS / 2)
            .map_or(f64::NAN, std::time::Duration::as_secs_f64)
    };
    Ok((median(idle), median(plan)))
}

async fn schema(bench: &Bench) -> Result<TableSchema> {
    let rows = Rows {
        count: 1,
        keys: Keys::Sequential,
        stale_every: None,
    };
    let file = bench.sqlite_items(rows, Journal::Wal)?;
    let database = database::open(&Location::Sqlite(file), false).await?;
    Ok(database.describe(ITEMS).await?)
}
