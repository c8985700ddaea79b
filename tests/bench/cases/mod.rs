//! What is measured, one case a figure of the design's list or several that share their runs.

mod new_table;
mod overwrite;
mod unchanged;

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::record::Record;

/// Something to measure.
pub struct Case {
    /// How it is chosen.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&Bench, &mut Record) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const ALL: &[Case] = &[
    Case {
        name: "pg-new",
        about: "PostgreSQL to PostgreSQL, new table",
        run: new_table::postgres,
    },
    Case {
        name: "pg-overwrite",
        about: "PostgreSQL to PostgreSQL, every row exists and differs",
        run: overwrite::postgres,
    },
    Case {
        name: "sqlite-new",
        about: "SQLite to SQLite, new table",
        run: new_table::sqlite,
    },
    Case {
        name: "unchanged",
        about: "sync again, nothing or one row changed",
        run: unchanged::run,
    },
];

/// The cases of these names; all if there is none.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    for name in names {
        if !ALL.iter().any(|case| case.name == name) {
            let known: Vec<&str> = ALL.iter().map(|case| case.name).collect();
            bail!("no case {name:?}; there are {}", known.join(", "));
        }
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(ALL.iter().filter(wanted).collect())
}
