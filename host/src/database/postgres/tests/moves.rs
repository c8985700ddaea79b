//! Tests unique values that move among the rows of a chunk.

use std::time::{Duration, Instant};

use super::*;

/// A table of lists with a unique place for each row.
fn schema() -> TableSchema {
    announced(
        "t",
        &[
            ("id", LogicalType::Integer),
            ("list", LogicalType::Integer),
            ("pos", LogicalType::Integer),
            ("name", LogicalType::Text),
        ],
        &["id"],
    )
}

fn row(id: i64, pos: i64) -> Vec<Cell> {
    vec![
        Cell::Integer(id),
        Cell::Integer(1),
        Cell::Integer(pos),
        text(&format!("n{pos}")),
    ]
}

fn table(declared: &str, more: &str, rows: i64) -> String {
    format!(
        "CREATE TABLE t (id int PRIMARY KEY, list int NOT NULL, pos {declared}); {more}; \
         INSERT INTO t SELECT n, 1, n, 'n' || n FROM generate_series(1, {rows}) n;"
    )
}

const SPAN: &str =
    "int NOT NULL, name text, span int4range GENERATED ALWAYS AS (int4range(pos, pos + 1)) STORED,
    EXCLUDE USING gist (span WITH &&)";

/// Declarations of the place and what follows it, and further statements.
const TABLES: &[(&str, &str)] = &[
    ("int UNIQUE, name text", ""),
    ("int NOT NULL UNIQUE, name text", ""),
    ("bigint NOT NULL UNIQUE CHECK (pos > 0), name text", ""),
    ("int NOT NULL, name text, UNIQUE (list, pos)", ""),
    ("int, name text", "CREATE UNIQUE INDEX ON t (pos) WHERE list = 1"),
    ("int, name text", "CREATE UNIQUE INDEX ON t ((pos * 2), list)"),
    ("int, name text NOT NULL", "CREATE UNIQUE INDEX ON t (lower(name))"),
    ("int NOT NULL UNIQUE, name varchar(9) NOT NULL UNIQUE", ""),
    (SPAN, ""),
    ("int UNIQUE DEFERRABLE INITIALLY IMMEDIATE, name text", ""),
    ("int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, name text", ""),
    ("int, name text, twice int GENERATED ALWAYS AS (pos * 2) STORED UNIQUE", ""),
    ("int NOT NULL UNIQUE CHECK (pos >= 0), name text", "CREATE TABLE c (t int REFERENCES t)"),
    ("int UNIQUE, name text", "CREATE TABLE c (t int REFERENCES t)"),
    ("int NOT NULL UNIQUE, name text NOT NULL UNIQUE", "CREATE TABLE c (t int REFERENCES t)"),
    ("int NOT NULL UNIQUE, name text", "CREATE TABLE c (t int REFERENCES t (pos) ON UPDATE CASCADE)"),
    ("smallint NOT NULL UNIQUE, name text", "CREATE TABLE c (t int REFERENCES t)"),
    ("numeric(7,0) NOT NULL UNIQUE, name text", "CREATE TABLE c (t int REFERENCES t)"),
    (
        "int NOT NULL UNIQUE, name text, changed int DEFAULT 0",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changed := 1; RETURN NEW; END';
         CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    ),
];

/// Where the row of an id goes among so many.
type Place = fn(i64, i64) -> i64;

const MOVES: &[(&str, Place)] = &[
    ("shift up", |id, _| id + 1),
    ("shift down", |id, _| id - 1),
    ("swap", |id, _| id + if id % 2 == 1 { 1 } else { -1 }),
    ("rotate", |id, rows| id % rows + 1),
    ("reverse", |id, rows| rows + 1 - id),
];

#[tokio::test]
async fn lists_can_be_reordered_in_postgres() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let mut wrong = Vec::new();
    for (at, (declared, more)) in TABLES.iter().enumerate() {
        for (number, (name, place)) in MOVES.iter().enumerate() {
            // Each table has two of them, and the others are spread.
            if (*name == "shift down" && declared.contains("CHECK (pos > 0)"))
                || (number + at) % MOVES.len() > 1
            {
                continue;
            }
            let rows = 40;
            site.run(&format!(
                "DROP TABLE IF EXISTS c; DROP TABLE IF EXISTS t; DROP FUNCTION IF EXISTS f; DROP SCHEMA IF EXISTS tombolo CASCADE; {}",
                table(declared, more, rows)
            ))
            .await;
            let children = more.contains("CREATE TABLE c");
            if children {
                site.run("INSERT INTO c SELECT n FROM generate_series(1, 40) n")
                    .await;
            }
            let sent: Vec<_> = (1..=rows).map(|id| row(id, place(id, rows))).collect();
            let write = table_write(&schema(), overwrite(&schema()));
            let (moved, outcome) = chunks(&site, write, &[block(&sent)]).await.unwrap();
            let changed = (1..=rows).filter(|id| place(*id, rows) != *id).count() as u64;
            let expected: String = (1..=rows)
                .map(|id| format!("{} ", place(id, rows)))
                .collect();
            let found = site
                .value("SELECT string_agg(pos::text || ' ', '' ORDER BY id) FROM t")
                .await;
            let mut lost = "0".to_owned();
            if children {
                let sql = match more.contains("CASCADE") {
                    true => "SELECT count(*) FROM c WHERE t NOT IN (SELECT pos FROM t)",
                    false => "SELECT 40 - count(DISTINCT t) FROM c",
                };
                lost = site.value(sql).await;
            }
            if moved != counts(0, changed, rows as u64 - changed, 0)
                || matches!(outcome.stored, Stored::Unverified(_))
                || found != expected
                || lost != "0"
            {
                let rejects = site.database.rejects(1).await.unwrap_or_default();
                let reason = rejects.first().map(|one| one.reason.clone());
                wrong.push(format!(
                    "{declared} {more} {name}: {moved:?} {lost} {reason:?}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn ten_thousand_rows_are_reordered_in_seconds_in_postgres() {
    for more in ["", "CREATE TABLE c (t int REFERENCES t)"] {
        for rows in [200, 10_000] {
            let make = table("int NOT NULL UNIQUE, name text", more, rows);
            let Some(mut site) = Site::new(&make).await else {
                return;
            };
            let sent: Vec<_> = (1..=rows).map(|id| row(id, id + 1)).collect();
            let write = table_write(&schema(), overwrite(&schema()));
            let began = Instant::now();
            let (moved, _) = chunks(&site, write, &[block(&sent)]).await.unwrap();
            let took = began.elapsed();
            println!("{rows} rows: {took:?}");
            assert_eq!(moved, counts(0, rows as u64, 0, 0));
            assert_eq!(
                site.value("SELECT sum(pos - id) FROM t").await,
                rows.to_string()
            );
            assert!(took < Duration::from_secs(30), "{took:?}");
        }
    }
}

#[tokio::test]
async fn only_values_that_others_keep_are_rejected_in_postgres() {
    for declared in [
        "CREATE TABLE t (id int PRIMARY KEY, list int, pos int NOT NULL UNIQUE, name text)",
        "CREATE TABLE t (id int PRIMARY KEY, list int, pos int UNIQUE, name text); CREATE TABLE c (t int REFERENCES t)",
        "CREATE TABLE t (id int PRIMARY KEY, list int, pos int NOT NULL, name text);
         CREATE UNIQUE INDEX ON t (pos, (list + 0)) WHERE list = 1",
    ] {
        let keep = "INSERT INTO t VALUES (1000, 1, 41, 'n41'), (1001, 1, 77, 'n77');
            INSERT INTO t SELECT n, 1, n, 'n' || n FROM generate_series(1, 40) n";
        let Some(mut site) = Site::new(&format!("{declared}; {keep}")).await else {
            return;
        };
        // 31 to 40 shift into the place of a row that does not arrive; 1 and 2 swap; 3 to 9 rotate; 50 is new.
        let place = |id: i64| match id {
            1 => 2,
            2 => 1,
            3..=8 => id + 1,
            9 => 3,
            31..=40 => id + 1,
            other => other,
        };
        let mut sent: Vec<_> = (1..=40).map(|id| row(id, place(id))).collect();
        sent.push(row(50, 500));
        sent.push(row(51, 77));
        let write = table_write(&schema(), overwrite(&schema()));
        let (moved, _) = chunks(&site, write, &[block(&sent)]).await.unwrap();
        assert_eq!(moved, failed(counts(1, 9, 21, 0), 11), "{declared}");
        let found = "SELECT string_agg(pos::text, ' ' ORDER BY id) FROM t WHERE id < 11";
        assert_eq!(site.value(found).await, "2 1 4 5 6 7 8 9 3 10");
        let stay = "SELECT sum(pos - id) FROM t WHERE id BETWEEN 10 AND 40";
        assert_eq!(site.value(stay).await, "0");
        let rejects = site.database.rejects(20).await.unwrap();
        assert!(
            rejects.iter().all(|one| one.reason.contains("constraint")),
            "{rejects:?}"
        );
    }
}

#[tokio::test]
async fn a_row_that_is_refused_keeps_its_old_value_and_others_wait_for_it_in_postgres() {
    let trigger = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.name = ''n6'' THEN RAISE ''no''; END IF; RETURN NEW; END';
        CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let checked = "int NOT NULL UNIQUE, name text, CHECK (id <> 5 OR name <> 'n6')";
    for (declared, more) in [
        ("int NOT NULL UNIQUE, name text", trigger),
        (checked, ""),
        (checked, "CREATE TABLE c (t int REFERENCES t)"),
    ] {
        let Some(mut site) = Site::new(&table(declared, more, 5)).await else {
            return;
        };
        site.run("INSERT INTO t SELECT n, 1, n, 'x' FROM generate_series(6, 10) n")
            .await;
        // 5 may not move to 6, so that 4 may not move to 5, and so on; 6 to 10 may.
        let sent: Vec<_> = (1..=10).map(|id| row(id, id + 1)).collect();
        let write = table_write(&schema(), overwrite(&schema()));
        let (moved, _) = chunks(&site, write, &[block(&sent)]).await.unwrap();
        assert_eq!(moved, failed(counts(0, 5, 0, 0), 5), "{declared} {more}");
        let found = "SELECT string_agg(pos::text, ' ' ORDER BY id) FROM t";
        assert_eq!(site.value(found).await, "1 2 3 4 5 7 8 9 10 11");
    }
}
