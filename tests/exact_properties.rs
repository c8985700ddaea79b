//! Tables and rows that nobody thought of: generated schemas and values, sent through the real binary.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::support::binary::Site;
use crate::support::images::Image;
use crate::support::postgres::Database;
use crate::support::sqlite::{Sqlite, literal, quote};

/// Tables a pull: processes cost more than rows.
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

/// A generator of one type's literals.
type Literals = BoxedStrategy<String>;

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z]{1,8}",
        "[^\0]{1,12}",
        select(vec!["select", "größe", "a\"b", "Id", "table", "1"]).prop_map(str::to_owned)
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let odd = [
        "",
        " ",
        "007",
        "1e5",
        "NULL",
        "infinity",
        "{}",
        "2024-01-01",
        "\\N",
        "-0",
    ];
    prop_oneof![
        "[^\0]{0,12}",
        "[0-9eE+. -]{1,8}",
        select(odd.to_vec()).prop_map(str::to_owned)
    ]
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?",
        select(vec!["NaN", "Infinity", "-Infinity", "0.000"]).prop_map(str::to_owned)
    ]
}

fn floats() -> impl Strategy<Value = String> {
    any::<u64>().prop_map(|bits| {
        let float = f64::from_bits(bits);
        if float.is_infinite() {
            format!("{}Infinity", if float < 0.0 { "-" } else { "" })
        } else {
            format!("{float:?}")
        }
    })
}

fn bytes() -> impl Strategy<Value = String> {
    vec(any::<u8>(), 0..10)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn timestamps() -> impl Strategy<Value = String> {
    let year = prop_oneof![1..4714u32, 1900..2100u32, 1..294_277u32];
    (year, 1..13u8, 1..29u8, 0..86_400_000_000u64, any::<bool>()).prop_map(
        |(year, month, day, at, before)| {
            let (second, micro) = (at / 1_000_000, at % 1_000_000);
            let era = if before && year < 4713 { " BC" } else { "" };
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}{era}"
            )
        },
    )
}

/// PostgreSQL's types, each with literals of it.
fn postgres_type() -> impl Strategy<Value = (String, Literals)> {
    let array = |inner: Literals| {
        let element = prop_oneof![1 => Just("NULL".to_owned()), 4 => inner.prop_map(|text| format!("\"{}\"", escaped(&text)))];
        vec(element, 0..4)
            .prop_map(|elements| format!("{{{}}}", elements.join(",")))
            .boxed()
    };
    let documents = texts()
        .prop_map(|text| format!("{{ \"a\" : [1.50, {}],\"a\":null}}", json(&text)))
        .boxed();
    let types: Vec<(&str, Literals)> = vec![
        (
            "boolean",
            any::<bool>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "smallint",
            any::<i16>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "integer",
            any::<i32>().prop_map(|value| value.to_string()).boxed(),
        ),
        (
            "bigint",
            any::<i64>().prop_map(|value| value.to_string()).boxed(),
        ),
        ("numeric", numbers().boxed()),
        (
            "numeric(9,3)",
            (-999_999i32..1_000_000, 0..1000u32)
                .prop_map(|(whole, rest)| format!("{whole}.{rest:03}"))
                .boxed(),
        ),
        ("double precision", floats().boxed()),
        (
            "real",
            any::<f32>()
                .prop_filter("printed otherwise", |value| value.is_finite())
                .prop_map(|value| format!("{value:?}"))
                .boxed(),
        ),
        ("text", texts().boxed()),
        ("character varying(12)", texts().boxed()),
        ("character(14)", texts().boxed()),
        (
            "bytea",
            bytes().prop_map(|digits| format!("\\x{digits}")).boxed(),
        ),
        (
            "uuid",
            any::<u128>()
                .prop_map(|value| format!("{value:032x}"))
                .boxed(),
        ),
        ("timestamp", timestamps().boxed()),
        (
            "timestamptz",
            timestamps()
                .prop_filter("out of range west of Greenwich", |text| {
                    !text.contains("4713")
                })
                .boxed(),
        ),
        ("date", timestamps().boxed()),
        (
            "time",
            timestamps()
                .prop_map(|text| text.split(' ').nth(1).unwrap_or_default().to_owned())
                .boxed(),
        ),
        (
            "interval",
            (any::<i16>(), any::<i16>(), any::<i32>())
                .prop_map(|(months, days, seconds)| {
                    format!("{months} mons {days} days {seconds}.5 secs")
                })
                .boxed(),
        ),
        ("json", documents.clone()),
        ("jsonb", documents),
        (
            "inet",
            any::<u32>()
                .prop_map(|bits| std::net::Ipv4Addr::from(bits).to_string())
                .boxed(),
        ),
        ("bit varying", "[01]{0,12}".boxed()),
        ("text[]", array(texts().boxed())),
        ("numeric[]", array(numbers().boxed())),
        ("double precision[]", array(floats().boxed())),
        (
            "bytea[]",
            array(bytes().prop_map(|digits| format!("\\x{digits}")).boxed()),
        ),
        (
            "point",
            (floats(), floats())
                .prop_map(|(x, y)| format!("({x},{y})"))
                .boxed(),
        ),
        (
            "int4range",
            (any::<i16>(), 0..9i32)
                .prop_map(|(low, more)| format!("[{low},{})", i32::from(low) + more))
                .boxed(),
        ),
    ];
    select(types).prop_map(|(kind, literals)| {
        let literals = prop_oneof![1 => Just("NULL".to_owned()), 5 => literals.prop_map(|text| literal(&text))];
        (kind.to_owned(), literals.boxed())
    })
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// SQLite's declared types, each with values that suit it, and a few of any storage class.
fn sqlite_type() -> impl Strategy<Value = (String, Literals)> {
    let integers = any::<i64>()
        .prop_filter("no literal", |value| *value != i64::MIN)
        .prop_map(|value| value.to_string());
    let integers = prop_oneof![integers, (-9..9i8).prop_map(|value| value.to_string())].boxed();
    let reals = any::<f64>()
        .prop_filter("no literal", |value| value.is_finite())
        .prop_map(|value| format!("{value:e}"));
    let reals = prop_oneof![4 => reals, 1 => select(vec!["9e999", "-9e999", "0.0", "1e18"]).prop_map(str::to_owned)].boxed();
    let texts = texts().prop_map(|text| literal(&text)).boxed();
    let blobs = bytes().prop_map(|digits| format!("x'{digits}'")).boxed();
    let with_nul = texts
        .clone()
        .prop_map(|text| format!("{text} || char(0) || 'x'"));
    let odd = prop_oneof![
        integers.clone(),
        reals.clone(),
        texts.clone(),
        blobs.clone(),
        with_nul
    ]
    .boxed();
    let kinds = vec![
        ("", texts.clone()),
        ("INTEGER", integers.clone()),
        ("INT8", integers.clone()),
        ("TEXT", texts.clone()),
        ("VARCHAR(9)", texts.clone()),
        ("BLOB", blobs),
        ("REAL", reals.clone()),
        ("FLOAT", reals.clone()),
        ("NUMERIC", integers),
        ("DECIMAL(5,2)", reals),
        (
            "BOOLEAN",
            select(vec!["0", "1"]).prop_map(str::to_owned).boxed(),
        ),
        ("DATETIME", texts.clone()),
        ("ANY", texts.clone()),
        ("JSON", texts),
    ];
    select(kinds).prop_map(move |(kind, suitable)| {
        let literals = prop_oneof![12 => Just("NULL".to_owned()), 60 => suitable, 1 => odd.clone()];
        (kind.to_owned(), literals.boxed())
    })
}

/// Columns of these types, with names that differ in more than their case.
fn columns(types: impl Strategy<Value = (String, Literals)>) -> impl Strategy<Value = Vec<Column>> {
    let column = |(rows, types): (usize, Vec<(String, (String, Literals))>)| {
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

/// The statements that make a table with these columns and rows.
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

/// Some tables, generated anew in each run; the script says in a failure what they were.
fn tables(types: fn() -> BoxedStrategy<(String, Literals)>) -> Vec<(String, String)> {
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
    let (Some(source), Some(target), Some(back)) =
        (Database::new(), Database::new(), Database::new())
    else {
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
    let site = Site::new();
    let (source, target) = (site.path("source.db"), site.path("target.db"));
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
fn generated_tables_of_sqlite_come_back_from_postgres_or_are_named() {
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
        let outcome = site.pull(&share, &[table, "--into", &between.url()]);
        if outcome.status.success() {
            arrived.push(table.as_str());
            continue;
        }
        let error = outcome
            .events_of("error")
            .pop()
            .unwrap_or_else(|| panic!("{outcome:?}"));
        let message = error["message"].as_str().unwrap();
        assert!(
            error["code"] == "misfit" && message.contains(table) && message.contains("row "),
            "{message}\n{script}"
        );
    }
    assert!(!arrived.is_empty(), "most values suit their columns");
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
