//! What a target does with the rows of a chunk.

use super::*;
use crate::bindings::types::{Generation, LogicalType};
use crate::database::Resolution;

#[tokio::test]
async fn rows_may_refer_to_later_rows_of_their_chunk() {
    let folder = Folder::new();
    let database = folder
        .database(
            "staff.db",
            "CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff (id))",
        )
        .await;
    let table = database.describe("staff").await.unwrap();
    let rows = [
        vec![integer(1), integer(3)],
        vec![integer(2), integer(1)],
        vec![integer(3), Cell::Null],
    ];
    assert_eq!(
        apply(&database, &table, overwrite(&table), &rows)
            .await
            .unwrap(),
        counts(3, 0, 0, 0)
    );
    // The row that exists is changed before the one it refers to is inserted.
    let hired = [vec![integer(3), integer(4)], vec![integer(4), Cell::Null]];
    assert_eq!(
        apply(&database, &table, overwrite(&table), &hired)
            .await
            .unwrap(),
        counts(1, 1, 0, 0)
    );
    assert_eq!(literals(&folder.file("staff.db"), "staff").await.len(), 4);
}

#[tokio::test]
async fn triggers_run_and_do_not_change_the_counts() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    write(
        &folder.file("goods.db"),
        "CREATE TABLE log (what);
         CREATE TRIGGER i AFTER INSERT ON goods BEGIN INSERT INTO log VALUES ('i'), ('i'); END;
         CREATE TRIGGER u AFTER UPDATE ON goods BEGIN INSERT INTO log VALUES ('u'), ('u'); END;",
    )
    .await;
    let applied = apply(&database, &table, overwrite(&table), &delivery())
        .await
        .unwrap();
    assert_eq!(applied, counts(1, 2, 1, 0));
    assert_eq!(literals(&folder.file("goods.db"), "log").await.len(), 6);
}

#[tokio::test]
async fn only_one_process_advances_a_ledger() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut targets = [target(&database).await, target(&database).await];
    let [first, second] = &mut targets;
    let mut first = begin(&mut **first, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    let mut second = begin(&mut **second, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *first, &block(&[good(10, "a", 1.5, None, 1)])).await;
    committed(&mut *first).await;
    stage(&mut *second, &block(&[good(11, "b", 1.5, None, 1)])).await;
    assert!(matches!(
        second.commit().await,
        Err(DatabaseError::LedgerTaken { .. })
    ));
    second.rollback().await.unwrap();
    stage(
        &mut *first,
        &block(&[good(12, "c", 1.5, None, 1), good(2, "d", 1.5, None, 1)]),
    )
    .await;
    committed(&mut *first).await;
    first.finish(&[]).await.unwrap();
    assert_eq!(
        names(&folder).await,
        ["'tea'", "'Milk'", "'salt'", "'a'", "'c'"]
    );
    let ledger = &literals(&folder.file("goods.db"), "tombolo_ledger").await[0];
    assert_eq!(ledger[..3], ["'run'", "'goods'", "2"]);
    assert_eq!(ledger[4..9], ["2", "0", "0", "1", "0"]);
    let last_key = block(&[vec![integer(2)]])
        .data()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<String>();
    assert_eq!(ledger[3], format!("X'{last_key}'"));
}

#[tokio::test]
async fn a_busy_database_says_so() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *writer, &block(&delivery())).await;
    let mut other = database.target().await.unwrap();
    assert!(matches!(other.prepare().await, Err(DatabaseError::Busy(_))));
    writer.rollback().await.unwrap();
    other.prepare().await.unwrap();
    stage(&mut *writer, &block(&delivery())).await;
    assert_eq!(committed(&mut *writer).await, counts(1, 0, 0, 3));
}

#[tokio::test]
async fn conflicts_are_returned_and_resolved_row_by_row() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, overwrite(&table))
        .await
        .unwrap();
    assert!(writer.conflicts(10).await.unwrap().is_empty());
    let mut rows = delivery();
    rows.insert(0, good(9, "first", 1.5, None, 1));
    stage(&mut *writer, &block(&rows)).await;
    let first = writer.conflicts(1).await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].incoming, rows[2]);
    assert_eq!(
        first[0].local,
        [
            integer(2),
            text("Milk"),
            Cell::Real(1.5),
            Cell::Null,
            integer(9)
        ]
    );
    let second = writer.conflicts(10).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].incoming[1], text("SALT"));

    assert!(writer.conflicts(10).await.unwrap().is_empty());
    let mixed = good(3, "mixed", 9.5, None, 3);
    writer
        .resolve(vec![
            (first[0].position, Resolution::KeepLocal),
            (second[0].position, Resolution::Write(mixed)),
        ])
        .await
        .unwrap();
    assert!(
        writer
            .resolve(vec![(first[0].position, Resolution::KeepLocal)])
            .await
            .is_err()
    );
    writer.rollback().await.unwrap();

    stage(&mut *writer, &block(&rows)).await;
    let conflicts = writer.conflicts(10).await.unwrap();
    let mixed = good(3, "mixed", 9.5, None, 3);
    writer
        .resolve(vec![
            (conflicts[0].position, Resolution::KeepLocal),
            (conflicts[1].position, Resolution::Write(mixed)),
        ])
        .await
        .unwrap();
    assert_eq!(committed(&mut *writer).await, counts(2, 1, 1, 1));
    writer.finish(&[]).await.unwrap();
    assert_eq!(
        names(&folder).await,
        ["'tea'", "'Milk'", "'mixed'", "'oil'", "'first'"]
    );
}

#[tokio::test]
async fn a_page_of_conflicts_ends_at_a_mebibyte() {
    let folder = Folder::new();
    let database = folder
        .database("large.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB); INSERT INTO t VALUES (1, x''), (2, x''), (3, x'')")
        .await;
    let table = database.describe("t").await.unwrap();
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, overwrite(&table))
        .await
        .unwrap();
    let rows: Vec<_> = (1..=3)
        .map(|id| vec![integer(id), Cell::Bytes(vec![1; 700_000])])
        .collect();
    stage(&mut *writer, &block(&rows)).await;
    assert_eq!(writer.conflicts(10).await.unwrap().len(), 2);
    assert_eq!(writer.conflicts(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn tables_that_do_not_fit_are_refused_before_anything_is_written() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut unknown = table.clone();
    unknown.columns[4].name = "other".to_owned();
    assert!(matches!(
        begin(&mut *target, "run", &unknown, skip(&["id"])).await,
        Err(DatabaseError::Unsuitable { .. })
    ));
    assert!(matches!(
        begin(&mut *target, "run", &table, skip(&["name"])).await,
        Err(DatabaseError::Unsuitable { .. })
    ));
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    assert!(matches!(
        writer.stage(&block(&[vec![integer(1)]])).await,
        Err(DatabaseError::Unsuitable { .. })
    ));
    writer.rollback().await.unwrap();
    assert_eq!(committed(&mut *writer).await, ChunkCounts::default());
}

#[tokio::test]
async fn values_of_another_database_come_back_by_their_origin() {
    let folder = Folder::new();
    let database = SqliteDatabase::open(&folder.file("new.db"), true)
        .await
        .unwrap();
    let column = |name: &str, logical, origin: &str| crate::bindings::types::Column {
        name: name.to_owned(),
        logical,
        origin: origin.to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    let mut table = TableSchema {
        table: "typed".to_owned(),
        columns: vec![
            column("id", LogicalType::Uuid, "pg:uuid"),
            column("price", LogicalType::Decimal, "pg:numeric(12,2)"),
            column(
                "at",
                LogicalType::Timestamptz,
                "pg:timestamp with time zone",
            ),
            column("paid", LogicalType::Boolean, "pg:boolean"),
            column("plain", LogicalType::Text, "sqlite:TEXT"),
        ],
        primary_key: vec!["id".to_owned()],
        unique_keys: vec![],
        foreign_keys: vec![],
        enums: Vec::new(),
    };
    let mut target = target(&database).await;
    let create = statement(
        "CREATE TABLE typed (id TEXT PRIMARY KEY, price TEXT, at TEXT, paid BOOLEAN, plain TEXT)",
    );
    let made = |statements: &[CheckedStatement], table: &TableSchema| TableWrite {
        create: Some(statements.to_vec()),
        ..load("run", table, overwrite(table))
    };
    target.begin_table(made(&[create], &table)).await.unwrap();
    let described = database.describe("typed").await.unwrap();
    assert_eq!(described.columns, table.columns);
    assert_eq!(
        literals(&folder.file("new.db"), "tombolo_columns")
            .await
            .len(),
        4
    );

    let rows = [vec![
        Cell::Bytes(vec![7; 16]),
        text("1.10"),
        integer(0),
        Cell::Boolean(false),
        text("1.10"),
    ]];
    assert_eq!(
        apply(&database, &table, overwrite(&table), &rows)
            .await
            .unwrap(),
        counts(1, 0, 0, 0)
    );
    assert_eq!(
        literals(&folder.file("new.db"), "typed").await,
        [[
            "'07070707-0707-0707-0707-070707070707'",
            "'1.10'",
            "'2000-01-01 00:00:00+00'",
            "0",
            "'1.10'"
        ]]
    );
    let snapshot = database.snapshot().await.unwrap();
    assert_eq!(read(&*snapshot, &described).await.unwrap(), rows);

    // A failed statement leaves neither the table nor its origins.
    table.table = "half".to_owned();
    let twice = [
        statement("CREATE TABLE half (id)"),
        statement("CREATE TABLE half (id)"),
    ];
    let failed = target.begin_table(made(&twice, &table)).await;
    assert!(matches!(failed.err(), Some(DatabaseError::Refused(_))));
    assert!(matches!(
        database.describe("half").await,
        Err(DatabaseError::NotFound { .. })
    ));
}

#[tokio::test]
async fn journal_modes_are_respected_and_new_files_get_wal() {
    let folder = Folder::new();
    let (old, table) = goods(&folder).await;
    apply(&old, &table, skip(&["id"]), &delivery())
        .await
        .unwrap();
    let new = SqliteDatabase::open(&folder.file("new.db"), true)
        .await
        .unwrap();
    target(&new).await;
    for (file, mode) in [("goods.db", "delete"), ("new.db", "wal")] {
        let mut connection = connect(&folder.file(file)).await;
        let found: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, mode, "{file}");
    }
}

#[tokio::test]
async fn a_match_looks_keys_up_and_never_scans_the_table() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    write(
        &folder.file("goods.db"),
        "CREATE TABLE pair (a TEXT, b INTEGER, v, PRIMARY KEY (a, b)); ANALYZE;",
    )
    .await;
    let pair = database.describe("pair").await.unwrap();
    for table in [table, pair] {
        let mut connection = connect(&folder.file("goods.db")).await;
        let local = crate::database::sqlite::catalog::table(&mut connection, "", &table.table)
            .await
            .unwrap();
        let merge = crate::database::sqlite::write::merge_sql::Merge::new(
            &table,
            &local,
            &CheckedPlan::of_tests(&newer(&table), &table),
        )
        .unwrap();
        connection
            .execute(AssertSqlSafe(merge.create_staging()))
            .await
            .unwrap();
        for sql in [
            merge.leave_existing().unwrap(),
            merge.update().unwrap(),
            merge.insert(true),
            merge.unstored(),
            merge.images(false).unwrap().0,
            merge.conflicts(),
        ] {
            let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(
                plan.iter().any(|step| step.starts_with("SEARCH t ")),
                "{sql}: {plan:?}"
            );
            assert!(
                !plan.iter().any(|step| step.starts_with("SCAN t")),
                "{sql}: {plan:?}"
            );
        }
    }
}
