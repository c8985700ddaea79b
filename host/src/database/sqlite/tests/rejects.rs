//! Rows that the table does not take.

use super::*;
use crate::database::Resolution;

/// A load in which rows may be rejected.
fn lenient(incoming: &TableSchema, plan: SetPlan) -> TableWrite {
    TableWrite {
        reject_limit: 1_000,
        ..load("run", incoming, plan)
    }
}

/// What was rejected, in the order of arrival: number, key, reason.
async fn rejected(database: &SqliteDatabase) -> Vec<(u64, String, String)> {
    let mut rejects = database.rejects(10_000).await.unwrap();
    rejects.sort_by_key(|reject| reject.row);
    rejects
        .into_iter()
        .map(|reject| (reject.row, reject.key, reject.reason))
        .collect()
}

fn failed(created: u64, failed: u64) -> ChunkCounts {
    ChunkCounts {
        failed,
        ..counts(created, 0, 0, 0)
    }
}

#[tokio::test]
async fn values_that_no_column_holds_are_rejected_while_they_arrive() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut rows = delivery();
    rows[1][2] = text("0.12345678901234567890");
    let (applied, _) = load_rows(&database, lenient(&table, overwrite(&table)), &rows)
        .await
        .unwrap();
    assert_eq!(
        applied,
        ChunkCounts {
            failed: 1,
            ..counts(1, 1, 1, 0)
        }
    );
    let rejects = database.rejects(10).await.unwrap();
    let [reject] = rejects.as_slice() else {
        panic!("{rejects:?}");
    };
    assert_eq!(
        (reject.run.as_str(), reject.table.as_str()),
        ("run", "goods")
    );
    assert_eq!((reject.row, reject.key.as_str()), (2, "2"));
    assert!(reject.reason.contains("\"price\"") && !reject.reason.contains("0.123"));
    assert_eq!(RowBlock::parse_row(&reject.cells).unwrap(), rows[1]);
}

#[tokio::test]
async fn the_database_itself_says_which_rows_it_refuses() {
    let folder = Folder::new();
    let database = folder
        .database(
            "shop.db",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT UNIQUE, n INTEGER NOT NULL CHECK (n > 0), v INTEGER);
             CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.v = 13 BEGIN SELECT RAISE(FAIL, 'secret'); END;
             CREATE TRIGGER nor BEFORE UPDATE ON t WHEN NEW.v = 14 BEGIN SELECT RAISE(ABORT, 'secret'); END;
             INSERT INTO t VALUES (-1, 'taken', 1, 1), (-2, 'other', 1, 1);",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let row = |id: i64, mail: &str, n: Cell, v: i64| vec![integer(id), text(mail), n, integer(v)];
    let mut rows: Vec<_> = (1..=25_000)
        .map(|id| row(id, &format!("m{id}"), integer(1), 2))
        .collect();
    rows[9] = row(10, "taken", integer(1), 2);
    rows[11_110] = row(11_111, "m", Cell::Null, 2);
    rows[11_111] = row(11_112, "n", integer(0), 2);
    rows[19_999] = row(20_000, "o", integer(1), 13);
    rows[24_999] = row(-2, "other", integer(1), 14);
    let (applied, _) = load_rows(&database, lenient(&table, overwrite(&table)), &rows)
        .await
        .unwrap();
    assert_eq!(applied, failed(24_995, 5));
    let rejected = rejected(&database).await;
    let found: Vec<_> = rejected
        .iter()
        .map(|(row, key, _)| (*row, key.as_str()))
        .collect();
    let expected = [
        (10, "10"),
        (11_111, "11111"),
        (11_112, "11112"),
        (20_000, "20000"),
        (25_000, "-2"),
    ];
    assert_eq!(found, expected);
    let says = ["UNIQUE", "NOT NULL", "n > 0", "trigger", "trigger"];
    for ((_, _, reason), says) in rejected.iter().zip(says) {
        assert!(
            reason.contains(says) && !reason.contains("secret"),
            "{reason}"
        );
    }
    assert_eq!(literals(&folder.file("shop.db"), "t").await.len(), 24_997);
}

#[tokio::test]
async fn rows_without_a_parent_are_rejected_and_their_children_with_them() {
    let folder = Folder::new();
    let database = folder
        .database(
            "shop.db",
            "CREATE TABLE kind (a TEXT COLLATE NOCASE, b INTEGER, PRIMARY KEY (a, b));
             INSERT INTO kind VALUES ('tea', 1);
             CREATE TABLE t (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES t, a TEXT, b INTEGER,
                 FOREIGN KEY (a, b) REFERENCES kind);
             INSERT INTO t VALUES (100, NULL, NULL, NULL);",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let row = |id: i64, boss: Option<i64>, a: Cell, b: Cell| {
        vec![integer(id), boss.map_or(Cell::Null, integer), a, b]
    };
    let rows = [
        row(1, Some(3), text("TEA"), integer(1)),
        row(2, Some(100), text("tea"), Cell::Null),
        row(3, None, Cell::Null, integer(7)),
        // Its parent comes later and is rejected itself.
        row(4, Some(5), Cell::Null, Cell::Null),
        row(5, Some(6), Cell::Null, Cell::Null),
        row(7, None, text("tea"), integer(2)),
        row(8, Some(8), Cell::Null, Cell::Null),
    ];
    let (applied, loaded) = load_rows(&database, lenient(&table, skip(&["id"])), &rows)
        .await
        .unwrap();
    assert_eq!(applied, failed(4, 3));
    assert_eq!(loaded.counts, failed(4, 3));
    let rejected = rejected(&database).await;
    let keys: Vec<_> = rejected.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(keys, ["4", "5", "7"]);
    assert!(rejected[0].2.contains("\"t\"") && rejected[2].2.contains("\"kind\""));
    // The row that exists refers to what it referred to before.
    let stays = [row(2, Some(99), Cell::Null, Cell::Null)];
    let other = TableWrite {
        run: "other".to_owned(),
        ..lenient(&table, skip(&["id"]))
    };
    let (applied, _) = load_rows(&database, other, &stays).await.unwrap();
    assert_eq!(applied, counts(0, 0, 0, 1));
}

#[tokio::test]
async fn a_key_that_arrives_twice_is_taken_once() {
    let folder = Folder::new();
    let database = folder
        .database(
            "t.db",
            "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v)",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let rows: Vec<_> = [("a", 1), ("b", 2), ("A", 3), ("a", 4)]
        .map(|(key, value)| vec![text(key), integer(value)])
        .to_vec();
    let (applied, _) = load_rows(&database, lenient(&table, overwrite(&table)), &rows)
        .await
        .unwrap();
    assert_eq!(applied, failed(2, 2));
    assert_eq!(
        literals(&folder.file("t.db"), "t").await,
        [["'a'", "1"], ["'b'", "2"]]
    );
    let rejected = rejected(&database).await;
    assert_eq!((rejected[0].0, rejected[1].0), (3, 4));
}

#[tokio::test]
async fn too_many_rejects_end_the_run_and_leave_nothing_of_the_chunk() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let bad: Vec<_> = (10..14)
        .map(|id| vec![integer(id), Cell::Null, integer(1), Cell::Null, Cell::Null])
        .collect();
    for (limit, may) in [(3, false), (4, true)] {
        let load = TableWrite {
            reject_limit: limit,
            ..super::load("run", &table, skip(&["id"]))
        };
        match load_rows(&database, load, &bad).await {
            Ok((applied, _)) => assert!(may && applied == failed(0, 4)),
            Err(DatabaseError::TooManyRejects {
                limit: 3, reason, ..
            }) => {
                assert!(!may && reason.contains("NOT NULL"), "{reason}");
                assert!(database.rejects(10).await.unwrap().is_empty());
            }
            Err(other) => panic!("{other}"),
        }
    }
    // What earlier chunks rejected counts as well.
    let next = TableWrite {
        reject_limit: 4,
        ..load("run", &table, skip(&["id"]))
    };
    assert!(matches!(
        load_rows(&database, next, &bad[..1]).await,
        Err(DatabaseError::TooManyRejects { limit: 4, .. })
    ));
    assert_eq!(database.rejects(10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn rejects_are_kept_as_they_arrived_and_can_be_retried() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    write(
        &folder.file("goods.db"),
        "CREATE TRIGGER no BEFORE INSERT ON goods BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    // Stored, the price is a number.
    let mut row = good(10, "pepper", 0.0, None, 1);
    row[2] = text("1.10");
    let rows = [
        row,
        good(11, "oil", 1.5, None, 1),
        good(1, "tea", 5.5, None, 1),
    ];
    let (applied, _) = load_rows(&database, lenient(&table, overwrite(&table)), &rows)
        .await
        .unwrap();
    assert_eq!(
        applied,
        ChunkCounts {
            failed: 2,
            ..counts(0, 1, 0, 0)
        }
    );
    let again = |rejects: &[Reject]| -> Vec<Vec<Cell>> {
        rejects
            .iter()
            .map(|reject| RowBlock::parse_row(&reject.cells).unwrap())
            .collect()
    };
    let kept = again(&database.rejects(10).await.unwrap());
    assert_eq!(kept, rows[..2]);
    let retry = || TableWrite {
        retry: true,
        mode: LoadMode::Staged,
        ..lenient(&table, overwrite(&table))
    };
    // They are refused again: the same rows are kept, once.
    let (applied, loaded) = load_rows(&database, retry(), &kept).await.unwrap();
    assert_eq!((applied, loaded.counts.failed), (failed(0, 2), 2));
    assert_eq!(again(&database.rejects(10).await.unwrap()), kept);
    write(&folder.file("goods.db"), "DROP TRIGGER no").await;
    let (applied, loaded) = load_rows(&database, retry(), &kept).await.unwrap();
    assert_eq!(applied, counts(2, 0, 0, 0));
    assert_eq!(loaded.counts, counts(2, 1, 0, 0));
    assert!(database.rejects(10).await.unwrap().is_empty());
    // Retried rows do not change how far the run is.
    let mut target = target(&database).await;
    let entry = target.ledger_entry("run", "goods").await.unwrap().unwrap();
    assert_eq!(entry.last_key, Some(vec![integer(1)]));
}

#[tokio::test]
async fn a_resolved_row_can_still_be_rejected() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = target
        .begin_table(lenient(&table, overwrite(&table)))
        .await
        .unwrap();
    stage(&mut *writer, &block(&delivery())).await;
    let conflicts = writer.conflicts(10).await.unwrap();
    let nameless = vec![
        conflicts[0].incoming[0].clone(),
        Cell::Null,
        integer(1),
        Cell::Null,
        Cell::Null,
    ];
    writer
        .resolve(vec![
            (conflicts[0].position, Resolution::Write(nameless.clone())),
            (conflicts[1].position, Resolution::KeepLocal),
        ])
        .await
        .unwrap();
    let applied = committed(&mut *writer).await;
    assert_eq!(
        applied,
        ChunkCounts {
            failed: 1,
            ..counts(1, 0, 1, 1)
        }
    );
    let rejects = database.rejects(10).await.unwrap();
    assert_eq!(RowBlock::parse_row(&rejects[0].cells).unwrap(), nameless);
}

#[tokio::test]
async fn keys_are_shown_short_and_harmless() {
    let folder = Folder::new();
    let database = folder
        .database(
            "t.db",
            "CREATE TABLE t (a TEXT, b BLOB, n NOT NULL, PRIMARY KEY (a, b))",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let rows = [
        vec![text("\u{1b}[31mx"), Cell::Bytes(vec![0, 255]), Cell::Null],
        vec![text(&"ü".repeat(5_000)), Cell::Null, Cell::Null],
    ];
    load_rows(&database, lenient(&table, skip(&["a", "b"])), &rows)
        .await
        .unwrap();
    let rejected = rejected(&database).await;
    assert_eq!(rejected[0].1, "\u{fffd}[31mx, \\x00ff");
    assert_eq!(rejected[1].1.chars().count(), 121);
}
