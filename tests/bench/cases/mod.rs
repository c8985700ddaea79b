//! What is measured, one case a figure of the design's list or several that share their runs.

mod across;
mod many_tables;
mod new_table;
mod overwrite;
mod rejects;
mod sandbox;
mod shapes;
mod size;
mod start;
mod strategies;
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
        name: "start",
        about: "until a share has its code, and a pull of one row",
        run: start::start,
    },
    Case {
        name: "binary",
        about: "the size of the binary",
        run: start::binary,
    },
    Case {
        name: "pg-new",
        about: "PostgreSQL to PostgreSQL, new table",
        run: new_table::postgres,
    },
    Case {
        name: "pg-many-tables",
        about: "PostgreSQL to PostgreSQL, many tables of one row",
        run: many_tables::postgres,
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
        name: "sqlite-pg",
        about: "SQLite to PostgreSQL, new table",
        run: across::sqlite_to_postgres,
    },
    Case {
        name: "pg-sqlite",
        about: "PostgreSQL to SQLite, new table",
        run: across::postgres_to_sqlite,
    },
    Case {
        name: "unchanged",
        about: "sync again, nothing or one row changed",
        run: unchanged::run,
    },
    Case {
        name: "row-by-row",
        about: "a plugin that decides row by row against a built-in strategy",
        run: strategies::row_by_row,
    },
    Case {
        name: "sandbox",
        about: "what components cost a call and a transfer",
        run: sandbox::run,
    },
    Case {
        name: "bad-row",
        about: "one bad row in 100 000",
        run: rejects::one_bad_row,
    },
    Case {
        name: "several",
        about: "four tables, one at a time and at once",
        run: shapes::several,
    },
    Case {
        name: "wide",
        about: "a table of 200 columns",
        run: shapes::wide,
    },
    Case {
        name: "fat",
        about: "500 rows of 100 kB",
        run: shapes::fat,
    },
    Case {
        name: "size",
        about: "time and memory against the size of the table",
        run: size::run,
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
