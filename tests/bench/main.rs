//! The benchmark: the real binary against the tools that people would use instead, in the same run.
//!
//! `just bench`, or `cargo bench --bench transfer -- CASE… --rows 100000`. `docs/benchmarks.md` says how figures are made.

mod arguments;
mod bench;
mod cases;
mod data;
mod machine;
mod markdown;
mod postgres;
mod process;
mod record;
mod sqlite;
mod tables;
mod transfer;

#[path = "../support/guests.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared with the tests, which use more of it"
)]
mod guests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser as _;

use arguments::Arguments;
use bench::Bench;
use cases::Case;
use machine::Machine;
use record::Record;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        for case in cases::ALL {
            println!("{:<16} {}", case.name, case.about);
        }
        return Ok(());
    }
    if !arguments.started_by_cargo_bench {
        println!("benchmark skipped: it runs with `just bench` only");
        return Ok(());
    }
    let chosen = cases::chosen(&arguments.cases)?;
    let bench = Bench::start(arguments)?;
    let machine = Machine::look(&bench)?;
    let mut records = Vec::new();
    for case in chosen {
        eprintln!("== {}: {}", case.name, case.about);
        let record = run(case, &bench);
        println!("{}", markdown::case(&record));
        records.push(record);
        // After every case, so that an interrupted run keeps what it has.
        write_json(&machine, &records)?;
    }
    let text = markdown::all(&machine, &records);
    println!("{text}");
    if bench.arguments.write {
        write_document(&text)?;
    }
    if records.iter().any(|record| record.failure.is_some()) {
        std::process::exit(1);
    }
    Ok(())
}

/// Runs one case; what it had measured when it failed stays in its record.
fn run(case: &Case, bench: &Bench) -> Record {
    let mut record = Record::new(case.name, case.about);
    let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(bench, &mut record)));
    record.failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some("panicked; see standard error".to_owned()),
    };
    record
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn write_json(machine: &Machine, records: &[Record]) -> Result<()> {
    let target = Path::new(env!("CARGO_BIN_EXE_tombolo"))
        .parent()
        .and_then(Path::parent)
        .context("the binary is not in a target directory")?;
    let path = target.join("benchmarks.json");
    let all = serde_json::json!({ "machine": machine, "cases": records });
    std::fs::write(&path, serde_json::to_string_pretty(&all)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Replaces the figures of the page, behind its introduction.
fn write_document(text: &str) -> Result<()> {
    const MARK: &str = "<!-- figures, written by `just bench --write` -->\n";
    let path = repository().join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let (introduction, _) = page
        .split_once(MARK)
        .with_context(|| format!("{} has lost the line {MARK:?}", path.display()))?;
    std::fs::write(&path, format!("{introduction}{MARK}\n{text}"))
        .with_context(|| format!("cannot write {}", path.display()))
}
