//! Tables with generated columns, types and values, transferred by the real binary.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::support::generators::{Typed, names, postgres_type, sqlite_type};
use crate::support::postgres::{Database, databases};
use crate::support::postgres_images::Image;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

/// Tables of each pull, because processes take more time than rows.
const TABLES: usize = 12;

/// Columns and rows of a table.
const COLUMNS: Range<usize> = 1..8;
const ROWS: Range<usize> = 0..9;

/// One column: its name, its type and one literal for each row.
#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    cells: Vec<String>,
}

/// Columns of these types, with names that differ in more than their case.
fn columns(types: impl Strategy<Value = Typed>) -> impl Strategy<Value = Vec<Column>> {
    let column = |(rows, types): (usize, Vec<(String, Typed)>)| {
        let mut seen = vec!["key".to_owned()];
        let mut columns = Vec::new();
        for (name, (kind, literals)) in types {
            if seen.contains(&name.to_lowercase()) || name.len() > 63 {
                continue;
            }
            seen.push(name.to_lowercase());
            columns.push(vec(literals, rows).prop_map(move |cells| Column {
                name: name.clone(),
                kind: kind.clone(),
                cells,
            }));
        }
        columns
    };
    (ROWS, vec((names(), types), COLUMNS)).prop_flat_map(column)
}

/// The statements that create a table with these columns and rows.
fn script(table: &str, columns: &[Column]) -> String {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let declared: String = columns
        .iter()
        .map(|column| format!(", {} {}", quote(&column.name), column.kind))
        .collect();
    let mut script = format!(
        "CREATE TABLE {} (key integer PRIMARY KEY{declared});",
        quote(table)
    );
    for row in 0..rows {
        let cells: String = columns
            .iter()
            .map(|column| format!(", {}", column.cells[row]))
            .collect();
        script.push_str(&format!(
            "\nINSERT INTO {} VALUES ({row}{cells});",
            quote(table)
        ));
    }
    script
}

/// Generates the names of some tables and the scripts that create them; a failure shows the script.
fn tables(types: fn() -> BoxedStrategy<Typed>) -> Vec<(String, String)> {
    let mut runner = TestRunner::new(Config::default());
    let table = |number: usize| {
        let columns = columns(types()).new_tree(&mut runner).unwrap().current();
        let name = format!("Table {number}");
        let script = script(&name, &columns);
        (name, script)
    };
    (0..TABLES).map(table).collect()
}

#[test]
fn generated_tables_of_postgres_arrive_in_postgres_and_come_back_from_sqlite() {
    let Some([source, target, back]) = databases() else {
        return;
    };
    let tables = tables(|| postgres_type().boxed());
    for (_, script) in &tables {
        source.run(script);
    }
    let site = Site::new();
    let file = site.path("between.db");
    site.transfer(&source.url(), &target.url(), &[]);
    site.transfer(&source.url(), &file, &[]);
    site.transfer(&file, &back.url(), &[]);
    for (table, script) in &tables {
        let sent = Image::of(&source, table);
        for arrived in [&target, &back] {
            let differences = sent.differences(&Image::of(arrived, table));
            assert!(differences.is_empty(), "{differences:#?}\n{script}");
        }
    }
}

#[test]
fn generated_tables_of_sqlite_arrive_in_sqlite() {
    let (site, source, target) = Site::with_files();
    let tables = tables(|| sqlite_type().boxed());
    for (_, script) in &tables {
        Sqlite::script(&source, script);
    }
    site.transfer(&source, &target, &[]);
    let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&target));
    for (table, script) in &tables {
        assert_eq!(
            one.table(table).rows(),
            other.table(table).rows(),
            "{script}"
        );
    }
}

#[test]
fn generated_tables_of_sqlite_come_back_from_postgres_or_their_rows_are_rejected() {
    let Some(between) = Database::new() else {
        return;
    };
    let site = Site::new();
    let (source, back) = (site.path("source.db"), site.path("back.db"));
    let tables = tables(|| sqlite_type().boxed());
    let mut arrived = Vec::new();
    for (table, script) in &tables {
        Sqlite::script(&source, script);
        let share = site.share(&[&source]);
        let report = site.pull(&share, &[table, "--into", &between.url()]).done();
        let failed = report.counts(table).failed;
        if failed == 0 {
            arrived.push(table.as_str());
            continue;
        }
        let rejects = site.rejects(&between.url());
        let named = rejects.iter().filter(|reject| {
            reject["table"] == **table && reject["reason"].as_str().unwrap().contains("column ")
        });
        assert_eq!(named.count() as u64, failed, "{rejects:?}\n{script}");
    }
    assert!(!arrived.is_empty(), "most values fit their columns");
    site.transfer(&between.url(), &back, &arrived);
    for (table, script) in tables
        .iter()
        .filter(|(table, _)| arrived.contains(&table.as_str()))
    {
        let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&back));
        assert_eq!(
            one.table(table).rows(),
            other.table(table).rows(),
            "{script}"
        );
    }
}
