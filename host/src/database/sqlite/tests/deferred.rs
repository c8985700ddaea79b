//! Foreign keys that fail only when the chunk is committed.

use super::*;

/// What was rejected: key and reason.
async fn rejected(database: &SqliteDatabase) -> Vec<(String, String)> {
    let mut rejects = database.rejects(100).await.unwrap();
    rejects.sort_by_key(|reject| reject.row);
    rejects
        .into_iter()
        .map(|reject| (reject.key, reject.reason))
        .collect()
}

async fn lenient(
    database: &SqliteDatabase,
    table: &TableSchema,
    plan: SetPlan,
    rows: &[Vec<Cell>],
) -> ChunkCounts {
    let load = TableWrite {
        reject_limit: 100,
        ..load("run", table, plan)
    };
    let (applied, loaded) = load_rows(database, load, rows).await.unwrap();
    assert_eq!(applied, loaded.counts);
    assert_eq!(known(&loaded), Stored::Verified);
    applied
}

#[tokio::test]
async fn children_of_rows_that_the_table_refuses_are_rejected_with_them() {
    type Plan = fn(&TableSchema) -> SetPlan;
    let plans: [Plan; 2] = [overwrite, |_| skip(&["id"])];
    for plan in plans {
        let folder = Folder::new();
        let database = folder
            .database(
                "staff.db",
                "CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff, pay INTEGER CHECK (pay > 0));
                 INSERT INTO staff VALUES (100, NULL, 1);",
            )
            .await;
        let table = database.describe("staff").await.unwrap();
        let row = |id: i64, boss: Option<i64>, pay: i64| {
            vec![integer(id), boss.map_or(Cell::Null, integer), integer(pay)]
        };
        let rows = [
            row(1, None, 5),
            row(2, Some(3), 5),
            // It violates CHECK, so that neither its children nor theirs have a parent.
            row(3, Some(1), 0),
            row(4, Some(2), 5),
            row(5, Some(100), 5),
            row(6, Some(7), 0),
            row(7, Some(5), 5),
        ];
        let counts = lenient(&database, &table, plan(&table), &rows).await;
        assert_eq!(
            counts,
            ChunkCounts {
                created: 3,
                failed: 4,
                ..ChunkCounts::default()
            }
        );
        let rejected = rejected(&database).await;
        let keys: Vec<_> = rejected.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["2", "3", "4", "6"]);
        for (key, reason) in &rejected {
            let expected = if ["3", "6"].contains(&key.as_str()) {
                "CHECK"
            } else {
                "\"staff\""
            };
            assert!(reason.contains(expected), "{key}: {reason}");
        }
        assert_eq!(literals(&folder.file("staff.db"), "staff").await.len(), 4);
    }
}

#[tokio::test]
async fn a_parent_that_would_leave_its_children_behind_is_rejected() {
    let folder = Folder::new();
    let database = folder
        .database(
            "shop.db",
            "CREATE TABLE kind (id INTEGER PRIMARY KEY, code TEXT UNIQUE, note TEXT);
             CREATE TABLE goods (id INTEGER PRIMARY KEY, kind TEXT REFERENCES Kind (code));
             CREATE TABLE more (id INTEGER PRIMARY KEY, kind TEXT REFERENCES kind (code) ON UPDATE CASCADE);
             INSERT INTO kind VALUES (1, 'tea', NULL), (2, 'ink', NULL), (3, 'oil', NULL);
             INSERT INTO goods VALUES (1, 'tea'); INSERT INTO more VALUES (1, 'oil');",
        )
        .await;
    let table = database.describe("kind").await.unwrap();
    let row = |id: i64, code: &str| vec![integer(id), text(code), text("new")];
    let rows = [
        row(1, "coffee"),
        row(2, "paint"),
        row(3, "fat"),
        row(4, "salt"),
    ];
    let counts = lenient(&database, &table, overwrite(&table), &rows).await;
    assert_eq!(
        counts,
        ChunkCounts {
            created: 1,
            updated: 2,
            failed: 1,
            ..ChunkCounts::default()
        }
    );
    let rejected = rejected(&database).await;
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].0, "1");
    assert!(
        rejected[0].1.contains("\"goods\"") && !rejected[0].1.contains("tea"),
        "{rejected:?}"
    );
    assert_eq!(
        literals(&folder.file("shop.db"), "kind").await,
        [
            ["1", "'tea'", "NULL"],
            ["2", "'paint'", "'new'"],
            ["3", "'fat'", "'new'"],
            ["4", "'salt'", "'new'"]
        ]
    );
}

#[tokio::test]
async fn rows_with_new_numbers_cannot_refer_to_the_old_ones() {
    let folder = Folder::new();
    let database = folder
        .database(
            "staff.db",
            "CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff, name TEXT);
             INSERT INTO staff VALUES (100, NULL, 'here');",
        )
        .await;
    let table = database.describe("staff").await.unwrap();
    let row = |id: i64, boss: Cell, name: &str| vec![integer(id), boss, text(name)];
    let rows = [
        row(1, Cell::Null, "a"),
        row(2, integer(1), "b"),
        row(3, integer(100), "c"),
    ];
    let counts = lenient(&database, &table, append(&["id"]), &rows).await;
    assert_eq!(
        counts,
        ChunkCounts {
            created: 2,
            failed: 1,
            ..ChunkCounts::default()
        }
    );
    assert_eq!(rejected(&database).await[0].0, "2");
}

#[tokio::test]
async fn what_no_row_is_found_for_still_fails() {
    let folder = Folder::new();
    let database = folder
        .database(
            "shop.db",
            "CREATE TABLE kind (id INTEGER PRIMARY KEY);
             CREATE TABLE log (id INTEGER PRIMARY KEY, kind INTEGER REFERENCES kind);
             CREATE TABLE goods (id INTEGER PRIMARY KEY, kind INTEGER REFERENCES kind);
             CREATE TRIGGER logs AFTER INSERT ON goods BEGIN INSERT INTO log VALUES (NEW.id, 77); END;
             INSERT INTO kind VALUES (1);",
        )
        .await;
    let table = database.describe("goods").await.unwrap();
    let load = TableWrite {
        reject_limit: 100,
        ..load("run", &table, overwrite(&table))
    };
    let error = load_rows(&database, load, &[vec![integer(1), integer(1)]])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("787"), "{error}");
    assert!(literals(&folder.file("shop.db"), "goods").await.is_empty());
    assert!(rejected(&database).await.is_empty());
}
