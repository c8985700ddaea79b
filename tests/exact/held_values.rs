//! Tables of SQLite that are new in PostgreSQL: each column gets a type that holds what it really holds.

use crate::support::postgres::{Database, databases};
use crate::support::site::Site;
use crate::support::sqlite::{Sqlite, quote};

/// Declared types that say little about what their columns hold.
const DECLARED: [&str; 30] = [
    "",
    "INTEGER",
    "INT2",
    "TEXT",
    "VARCHAR(2)",
    "CLOB",
    "BLOB",
    "REAL",
    "FLOAT",
    "NUMERIC",
    "DECIMAL(10,2)",
    "BOOLEAN",
    "BOOL",
    "DATE",
    "DATETIME",
    "TIMESTAMP",
    "TIME",
    "YEAR",
    "MONEY",
    "BIT",
    "NUMBER",
    "POINT",
    "UUID",
    "JSON",
    "STRING",
    "GEOMETRY",
    "INTERVAL",
    "ÄRGER",
    "ANY",
    "BYTEA",
];

/// Groups of values; a table has the values of one group in columns of all declared types.
const GROUPS: [(&str, &[&str]); 14] = [
    ("nothing", &["NULL"]),
    ("truth", &["0", "1", "NULL"]),
    ("whole", &["0", "2", "-1"]),
    ("large", &["9223372036854775807", "-9223372036854775808"]),
    ("broken", &["0.1", "1e300", "5e-324", "-2.5"]),
    ("numbers", &["1", "2.5", "9007199254740993", "1e19"]),
    ("endless", &["9e999", "-9e999", "0.5"]),
    ("some endless", &["7", "9e999"]),
    ("moments", &["'2000-01-01 12:34:56.500'", "'gestern'", "''"]),
    ("mixed", &["1", "'x'", "2.5", "x'00'", "'7'"]),
    ("nul", &["'a' || char(0) || 'b'", "char(0)"]),
    ("bytes", &["x'00ff'", "x''"]),
    ("bytes and texts", &["x'31'", "'n'"]),
    ("whole reals", &["7.0", "7", "-0.0"]),
];

fn script() -> String {
    let columns: Vec<String> = (0..DECLARED.len())
        .map(|number| format!("{} {}", quote(&format!("Ü {number}")), DECLARED[number]))
        .collect();
    let table = |(name, cells): &(&str, &[&str])| {
        let rows: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(id, cell)| format!("({id}{})", format!(", {cell}").repeat(DECLARED.len())))
            .collect();
        let name = quote(name);
        let (columns, rows) = (columns.join(", "), rows.join(", "));
        format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, {columns}); INSERT INTO {name} VALUES {rows};"
        )
    };
    GROUPS.iter().map(table).collect()
}

const KEYS: &str = "
    CREATE TABLE free (k PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO free VALUES (1, 'i'), ('1', 't'), (x'31', 'b'), (1.5, 'r');
    CREATE TABLE numbered (k INTEGER PRIMARY KEY DESC, v); INSERT INTO numbered VALUES (1, 'i'), ('x', 't');
    CREATE TABLE texts (k INT, l DATETIME, v, PRIMARY KEY (l, k)); INSERT INTO texts VALUES ('a', 5, 1), ('b', 6, 2);
    CREATE TABLE strict (id INT PRIMARY KEY, a ANY, t TEXT) STRICT; INSERT INTO strict VALUES (1, '007', char(0)), (2, 7, 'x');
    CREATE TABLE keyless (rowid DATETIME, _rowid_ YEAR, oid BIT); INSERT INTO keyless VALUES (1, 'x', x'00'), ('y', 2, 0);
    CREATE TABLE made (id INTEGER PRIMARY KEY, n DATETIME, twice TEXT AS (n * 2) STORED); INSERT INTO made (id, n) VALUES (1, 5);";

#[test]
fn no_row_of_a_new_postgres_table_is_rejected_for_its_type() {
    let Some([target, further]) = databases() else {
        return;
    };
    let site = Site::new();
    let (source, back) = (site.path("source.db"), site.path("back.db"));
    Sqlite::script(&source, &format!("{}{KEYS}", script()));
    let tables = Sqlite::open(&source).tables();
    let report = site.transfer(&source, &target.url(), &[]);
    for table in &tables {
        let failed = report.counts(table).failed;
        assert_eq!(failed, 0, "{table}: {:?}", site.rejects(&target.url()));
        assert_eq!(report.entry(table)["stored"], "verified", "{table}");
    }
    // A second pull and a diff find no difference.
    let keyed: Vec<&str> = tables
        .iter()
        .map(String::as_str)
        .filter(|table| *table != "keyless")
        .collect();
    let again = [&keyed[..], &["--strategy", "overwrite"]].concat();
    let again = site.transfer(&source, &target.url(), &again);
    for table in &keyed {
        let counts = again.counts(table);
        assert_eq!((counts.created, counts.updated), (0, 0), "{table}");
    }
    let share = site.share(&[&source]);
    site.diff(&share, &["--with", &target.url()]).expect_exit(0);
    // The copy of the copy has the same values.
    site.transfer(&target.url(), &further.url(), &[]);
    site.transfer(&further.url(), &back, &[]);
    let (mut one, mut other) = (Sqlite::open(&source), Sqlite::open(&back));
    for table in tables.iter().filter(|table| *table != "made") {
        assert_eq!(
            one.table(table).rows(),
            other.table(table).rows(),
            "{table}"
        );
    }
    let share = site.share(&[&further.url()]);
    site.diff(&share, &["--with", &back]).expect_exit(0);
}

fn types(target: &Database, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
    );
    let rows = target.rows(&sql);
    rows.into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect()
}

#[test]
fn a_new_postgres_table_has_the_narrowest_types() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    Sqlite::script(
        &source,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, y YEAR, m MONEY, b BIT, f BOOLEAN, g BOOLEAN, geom POINT, free, n INTEGER);
         INSERT INTO t VALUES (1, 1700000000000, 2024, 1.5, 0, 1, 2, x'01', 5000000000, 'x'), (2, 5, 1999, 2, 1, 0, 'yes', x'02', 7, NULL)",
    );
    let report = site.transfer(&source, &target.url(), &[]);
    assert_eq!(report.counts("t").failed, 0);
    assert_eq!(
        types(&target, "t"),
        [
            "bigint", "bigint", "bigint", "numeric", "bigint", "boolean", "text", "bytea",
            "bigint", "text"
        ]
    );
    let wide = target.rows("SELECT g FROM t ORDER BY id");
    assert_eq!(wide, [[Some("2".to_owned())], [Some("yes".to_owned())]]);
}

#[test]
fn a_table_that_takes_long_to_look_at_is_looked_at_whole() {
    let Some(target) = Database::new() else {
        return;
    };
    let site = Site::new();
    let source = site.path("source.db");
    // The only value that needs another type is in the last row.
    Sqlite::script(
        &source,
        "CREATE TABLE t (a DATETIME, b, c, d, e, f, g, h, i, j) ;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
         INSERT INTO t SELECT i, i, i, i, i, i, i, i, i, i FROM n;
         INSERT INTO t VALUES ('last', 1, 1, 1, 1, 1, 1, 1, 1, x'00')",
    );
    let report = site.transfer(&source, &target.url(), &[]);
    assert_eq!(report.counts("t").created, 400_001);
    let types = types(&target, "t");
    assert_eq!(
        (types[0].as_str(), types[1].as_str(), types[9].as_str()),
        ("text", "bigint", "text")
    );
}
