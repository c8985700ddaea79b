//! Databases of applications: SQLite filled by one, PostgreSQL with its own schema, and one command between them.

mod django;
mod grafana;
mod rails;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

/// Pulls all tables of a file into the schema that the application made, and compares every value by a mapping that
/// knows nothing of the command.
fn move_and_compare(filled: &str, schema: &str, options: &[&str]) {
    let Some(target) = Database::new() else {
        return;
    };
    target.run(schema);
    let site = Site::new();
    let source = site.path("application.db");
    Sqlite::script(&source, filled);
    let report = site.transfer(&source, &target.url(), options);
    let mut file = Sqlite::open(&source);
    let tables = file.tables();
    assert_eq!(tables, target.tables(), "no table was created");
    for table in tables {
        assert_eq!(report.counts(&table).failed, 0, "{table}");
        assert_eq!(report.entry(&table)["stored"], "verified", "{table}");
        let columns = target.rows(&format!(
            "SELECT column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY 1"
        ));
        for column in columns {
            let [Some(name), Some(kind)] = column.as_slice() else {
                panic!("{column:?}");
            };
            let (held, name) = (held(kind, &quote(name)), quote(name));
            let from = quote(&table);
            let mut sent: Vec<Option<String>> = file
                .rows(&format!(
                    "SELECT CASE typeof({name}) WHEN 'blob' THEN 'x' || lower(hex({name}))
                     WHEN 'real' THEN printf('%!.15g', {name}) ELSE CAST({name} AS TEXT) END FROM {from}"
                ))
                .into_iter()
                .flatten()
                .map(|value| value.map(|text| mapped(kind, &text, &target)))
                .collect();
            let mut stored: Vec<Option<String>> = target
                .rows(&format!("SELECT {held} FROM {from}"))
                .into_iter()
                .flatten()
                .collect();
            sent.sort();
            stored.sort();
            assert_eq!(sent, stored, "{table}.{name} {kind}");
        }
    }
    let again = site.transfer(
        &source,
        &target.url(),
        &[options, &["--strategy", "overwrite"]].concat(),
    );
    for table in again.tables() {
        let counts = again.counts(&table);
        assert_eq!((counts.created, counts.updated), (0, 0), "{table}");
    }
    let share = site.share(&[&source]);
    let url = target.url();
    let with = [options, &["--with", url.as_str()]].concat();
    site.diff(&share, &with).expect_exit(0);
}

/// Returns the expression for a stored value as [`mapped`] prints it.
fn held(kind: &str, column: &str) -> String {
    match kind {
        "timestamp with time zone" => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
        }
        "timestamp without time zone" => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        "time without time zone" => format!("to_char({column}, 'HH24:MI:SS.US')"),
        "interval" => format!("(extract(epoch FROM {column}) * 1000000)::bigint::text"),
        "numeric" | "double precision" | "real" => {
            format!("to_char({column}::numeric, 'FM99999999999999999990.0999999999')")
        }
        "bytea" => format!("'x' || encode({column}, 'hex')"),
        "inet" => format!("host({column})"),
        _ => format!("{column}::text"),
    }
}

/// Returns what an application means by a value in its SQLite file.
fn mapped(kind: &str, text: &str, target: &Database) -> String {
    let with_micros = |text: &str| match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{:0<6}", fraction.get(..6).unwrap_or(fraction)),
        None => format!("{text}.000000"),
    };
    match kind {
        "boolean" => matches!(text, "1" | "t").to_string(),
        "timestamp with time zone" | "timestamp without time zone" => {
            let text = text.replace('T', " ");
            with_micros(text.trim_end_matches('Z').trim_end_matches("+00:00"))
        }
        "time without time zone" => with_micros(text.trim_start_matches("2000-01-01 ")),
        "uuid" if text.len() == 32 => {
            let mut text = text.to_owned();
            for at in [8, 13, 18, 23] {
                text.insert(at, '-');
            }
            text
        }
        "numeric" | "double precision" | "real" => {
            let number: f64 = text.parse().unwrap();
            let printed = format!("{number}");
            if printed.contains('.') {
                printed
            } else {
                format!("{printed}.0")
            }
        }
        "jsonb" => {
            let text = text.replace('\'', "''");
            let printed = target.rows(&format!("SELECT '{text}'::jsonb::text"));
            printed[0][0].clone().unwrap()
        }
        _ => text.to_owned(),
    }
}
