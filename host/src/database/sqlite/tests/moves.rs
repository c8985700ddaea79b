//! Rows whose unique values move among each other.

use super::*;

/// Reads the rows that a script makes in another file.
async fn rows_of(folder: &Folder, name: &str, sql: &str) -> (TableSchema, Vec<Vec<Cell>>) {
    let source = folder.database(name, sql).await;
    let snapshot = source.snapshot().await.unwrap();
    let table = snapshot.describe("t").await.unwrap();
    let rows = read(&*snapshot, &table).await.unwrap();
    (table, rows)
}

/// Overwrites the rows of a target with those that a change of it makes, and returns what became of them. The target is
/// compared with the source unless rows are rejected.
async fn overwritten(schema: &str, change: &str) -> ChunkCounts {
    let folder = Folder::new();
    let (table, rows) = rows_of(&folder, "source.db", &format!("{schema}; {change}")).await;
    let target = folder.database("target.db", schema).await;
    let write = TableWrite {
        reject_limit: 1_000,
        ..load("run", &table, overwrite(&table))
    };
    let (counts, outcome) = load_rows(&target, write, &rows).await.unwrap();
    assert_eq!(known(&outcome), Stored::Verified, "{schema}: {change}");
    if counts.failed == 0 {
        let of = |name| folder.file(name);
        let (source, target) = (of("source.db"), of("target.db"));
        assert_eq!(
            literals(&source, "t").await,
            literals(&target, "t").await,
            "{schema}: {change}"
        );
    }
    counts
}

const SERIES: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO t (id, pos) SELECT i, i FROM n";

#[tokio::test]
async fn unique_values_move_among_the_rows_of_a_chunk() {
    let changes = [
        ("UPDATE t SET pos = -pos; UPDATE t SET pos = 1 - pos", 200),
        ("UPDATE t SET pos = -pos; UPDATE t SET pos = -pos - 1", 200),
        ("UPDATE t SET pos = -pos; UPDATE t SET pos = 201 + pos", 200),
        (
            "UPDATE t SET pos = -pos; UPDATE t SET pos = 1 + (7 - pos) % 200",
            200,
        ),
        (
            "UPDATE t SET pos = 1000 WHERE id = 3; UPDATE t SET pos = 3 WHERE id = 190; UPDATE t SET pos = 190 WHERE id = 3",
            2,
        ),
    ];
    for columns in [
        "id INTEGER PRIMARY KEY, pos INT UNIQUE",
        "id INTEGER PRIMARY KEY, pos INT NOT NULL UNIQUE CHECK (pos BETWEEN -1000 AND 1000)",
        "id INTEGER PRIMARY KEY, pos INT NOT NULL UNIQUE ON CONFLICT REPLACE",
        "id INTEGER PRIMARY KEY, pos UNIQUE ON CONFLICT IGNORE CHECK (typeof(pos) = 'integer')",
        "id INTEGER PRIMARY KEY, pos REAL NOT NULL UNIQUE",
        "id INTEGER PRIMARY KEY, pos TEXT NOT NULL UNIQUE COLLATE NOCASE",
        "id INTEGER PRIMARY KEY, list INT DEFAULT 1, pos INT NOT NULL, UNIQUE (list, pos)",
        "id TEXT PRIMARY KEY, pos INT NOT NULL UNIQUE",
        "id INTEGER PRIMARY KEY, pos INT NOT NULL, twice INT AS (pos * 2) UNIQUE",
    ] {
        for suffix in ["", " STRICT", " WITHOUT ROWID"] {
            if suffix == " STRICT" && columns.contains("pos UNIQUE") {
                continue;
            }
            let schema = format!("CREATE TABLE t ({columns}){suffix}; {SERIES}");
            for (change, updated) in changes {
                let found = overwritten(&schema, change).await;
                assert_eq!(found, counts(0, updated, 200 - updated, 0), "{schema}");
            }
        }
    }
}

#[tokio::test]
async fn values_of_expressions_and_of_parts_of_the_rows_move() {
    let rows = "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 1), (4, '{\"n\":1}', 1), (5, '{\"n\":2}', 1)";
    for index in [
        "(name)",
        "(lower(name))",
        "(name || '')",
        "(name, gone)",
        "(name) WHERE gone = 0",
        "(lower(name)) WHERE name IS NOT NULL",
        "(json_extract(name, '$.n')) WHERE json_valid(name)",
        "(CASE WHEN json_valid(name) THEN json_extract(name, '$.n') END)",
    ] {
        for nullable in ["", " NOT NULL"] {
            let schema = format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT{nullable}, gone INT); {rows}; CREATE UNIQUE INDEX i ON t {index}"
            );
            for (change, updated) in [
                (
                    "UPDATE t SET name = 'x' || name WHERE id < 3; UPDATE t SET name = 'b' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 2",
                    2,
                ),
                (
                    "UPDATE t SET name = 'x' WHERE id = 4; UPDATE t SET name = '{\"n\":1}' WHERE id = 5; UPDATE t SET name = '{\"n\":2}' WHERE id = 4",
                    2,
                ),
                (
                    "UPDATE t SET name = 'x' WHERE id = 3; UPDATE t SET name = 'C' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 2; UPDATE t SET name = 'b' WHERE id = 3",
                    3,
                ),
            ] {
                let found = overwritten(&schema, change).await;
                assert_eq!(
                    found,
                    counts(0, updated, 5 - updated, 0),
                    "{schema}: {change}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_row_that_leaves_a_partial_index_makes_room_in_it() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, gone INT NOT NULL);
        INSERT INTO t VALUES (1, 'x', 1), (2, 'x', 0), (3, 'y', 1), (4, 'y', 0);
        CREATE UNIQUE INDEX i ON t (name) WHERE gone = 0";
    let found = overwritten(
        schema,
        "UPDATE t SET gone = 1; UPDATE t SET gone = 0 WHERE id IN (1, 3)",
    )
    .await;
    assert_eq!(found, counts(0, 4, 0, 0));
}

#[tokio::test]
async fn only_values_that_other_rows_keep_are_rejected() {
    // The target's row 9 does not arrive and keeps 4, which 3 would take from it, 2 from 3, and 1 from 2.
    let folder = Folder::new();
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, pos INT NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (5, 5), (6, 6)";
    let change = "UPDATE t SET pos = -pos; UPDATE t SET pos = 1 - pos WHERE id < 5; UPDATE t SET pos = 5 WHERE id = 6; UPDATE t SET pos = 6 WHERE id = 5";
    let (table, rows) = rows_of(&folder, "source.db", &format!("{schema}; {change}")).await;
    let target = folder
        .database(
            "target.db",
            &format!("{schema}; INSERT INTO t VALUES (9, 4)"),
        )
        .await;
    let write = TableWrite {
        reject_limit: 3,
        ..load("run", &table, overwrite(&table))
    };
    let (found, _) = load_rows(&target, write, &rows).await.unwrap();
    assert_eq!((found.updated, found.failed), (2, 3));
    let rows = literals(&folder.file("target.db"), "t").await;
    let rows: Vec<_> = rows.iter().map(|row| row.join(" ")).collect();
    assert_eq!(rows, ["1 1", "2 2", "3 3", "5 6", "6 5", "9 4"]);
    let rejects = target.rejects(10).await.unwrap();
    let mut keys: Vec<_> = rejects.iter().map(|reject| reject.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["1", "2", "3"]);
    assert!(rejects.iter().all(|one| one.reason.contains("UNIQUE")));
}

#[tokio::test]
async fn long_chains_that_end_at_a_kept_value_are_rejected_from_both_ends() {
    for (from, change) in [
        (201, "UPDATE t SET pos = -pos; UPDATE t SET pos = 1 - pos"),
        (0, "UPDATE t SET pos = -pos; UPDATE t SET pos = -pos - 1"),
    ] {
        let folder = Folder::new();
        let schema = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, pos INT UNIQUE); {SERIES}");
        let (table, rows) = rows_of(&folder, "source.db", &format!("{schema}; {change}")).await;
        let kept = format!("{schema}; INSERT INTO t VALUES (999, {from})");
        let target = folder.database("target.db", &kept).await;
        let write = |reject_limit| TableWrite {
            reject_limit,
            ..load("run", &table, overwrite(&table))
        };
        let refused = load_rows(&target, write(199), &rows).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::TooManyRejects { .. }));
        let (found, _) = load_rows(&target, write(200), &rows).await.unwrap();
        assert_eq!((found.updated, found.failed), (0, 200));
        let stored = literals(&folder.file("target.db"), "t").await;
        assert!(stored[..200].iter().all(|row| row[0] == row[1]));
    }
}

#[tokio::test]
async fn children_stay_with_the_values_that_move_or_follow_them() {
    let parents = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    let swap = "UPDATE t SET code = 'x' WHERE id = 1; UPDATE t SET code = 'a' WHERE id = 2; UPDATE t SET code = 'b' WHERE id = 1";
    for (action, wanted) in [
        ("", [["1", "'a'"], ["2", "'b'"]]),
        ("ON UPDATE CASCADE", [["1", "'b'"], ["2", "'a'"]]),
    ] {
        let folder = Folder::new();
        let (table, rows) = rows_of(&folder, "source.db", &format!("{parents}; {swap}")).await;
        let children = format!(
            "CREATE TABLE child (id INTEGER PRIMARY KEY, code TEXT NOT NULL REFERENCES t (code) {action});
             INSERT INTO child VALUES (1, 'a'), (2, 'b')"
        );
        let target = folder
            .database("target.db", &format!("{parents}; {children}"))
            .await;
        let write = load("run", &table, overwrite(&table));
        let (found, _) = load_rows(&target, write, &rows).await.unwrap();
        assert_eq!(found, counts(0, 2, 0, 0), "{action}");
        let stored = literals(&folder.file("target.db"), "child").await;
        assert_eq!(stored, wanted, "{action}");
    }
}

#[tokio::test]
async fn children_of_a_value_that_no_row_has_any_more_prevent_its_move() {
    let folder = Folder::new();
    let parents = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    let change = "UPDATE t SET code = 'c' WHERE id = 2; UPDATE t SET code = 'b' WHERE id = 1";
    let (table, rows) = rows_of(&folder, "source.db", &format!("{parents}; {change}")).await;
    let child =
        "CREATE TABLE child (code TEXT REFERENCES t (code)); INSERT INTO child VALUES ('a')";
    let target = folder
        .database("target.db", &format!("{parents}; {child}"))
        .await;
    let write = TableWrite {
        reject_limit: 2,
        ..load("run", &table, overwrite(&table))
    };
    let (found, _) = load_rows(&target, write, &rows).await.unwrap();
    assert_eq!((found.updated, found.failed), (1, 1));
    let stored = literals(&folder.file("target.db"), "t").await;
    assert_eq!(stored, [["1", "'a'"], ["2", "'c'"]]);
}

#[tokio::test]
async fn the_table_of_parked_values_fires_no_trigger_and_merge_keeps_local_values() {
    let folder = Folder::new();
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, pos INT UNIQUE, name TEXT UNIQUE);
        INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')";
    let change = "UPDATE t SET name = NULL, pos = -pos; UPDATE t SET pos = 4 + pos";
    let (table, rows) = rows_of(&folder, "source.db", &format!("{schema}; {change}")).await;
    let trigger = "CREATE TABLE log (name TEXT);
        CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.name); END";
    let target = folder
        .database("target.db", &format!("{schema}; {trigger}"))
        .await;
    let columns = [
        ("pos", ValueSource::TakeIncoming),
        ("name", ValueSource::Coalesce),
    ];
    let write = load("run", &table, update(&["id"], &columns));
    let (found, _) = load_rows(&target, write, &rows).await.unwrap();
    assert_eq!(found, counts(0, 2, 1, 0));
    let stored = literals(&folder.file("target.db"), "t").await;
    assert_eq!(
        stored,
        [["1", "3", "'a'"], ["2", "2", "'b'"], ["3", "1", "'c'"]]
    );
    let log = literals(&folder.file("target.db"), "log").await;
    assert_eq!(log, [["'a'"], ["'c'"]]);
}
