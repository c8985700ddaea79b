//! Whether rows are stored as they should be.

use super::*;

async fn stored(
    database: &SqliteDatabase,
    table: &TableSchema,
    plan: SetPlan,
    rows: &[Vec<Cell>],
) -> Result<Stored, DatabaseError> {
    let (_, loaded) = load_rows(database, load("run", table, plan), rows).await?;
    Ok(known(&loaded))
}

#[tokio::test]
async fn what_every_plan_writes_is_verified() {
    let plans: [fn(&TableSchema) -> SetPlan; 5] = [
        overwrite,
        newer,
        |_| skip(&["id"]),
        |_| append(&["id"]),
        |_| {
            update(
                &["id"],
                &[
                    ("name", ValueSource::Coalesce),
                    ("price", ValueSource::Greatest),
                    ("note", ValueSource::KeepLocal),
                ],
            )
        },
    ];
    for plan in plans {
        let folder = Folder::new();
        let (database, table) = goods(&folder).await;
        let found = stored(&database, &table, plan(&table), &delivery())
            .await
            .unwrap();
        assert_eq!(found, Stored::Verified);
    }
}

/// Each changes in another way what is written.
#[tokio::test]
async fn a_trigger_that_changes_rows_is_named() {
    for (body, plans) in [
        (
            "AFTER INSERT ON goods BEGIN UPDATE goods SET note = 'changed' WHERE id = NEW.id; END",
            "osa",
        ),
        (
            "AFTER UPDATE ON goods WHEN NEW.note IS NOT 'changed' BEGIN UPDATE goods SET note = 'changed' WHERE id = NEW.id; END",
            "o",
        ),
        (
            "AFTER INSERT ON goods BEGIN DELETE FROM goods WHERE id = NEW.id; END",
            "osa",
        ),
        (
            "BEFORE INSERT ON goods BEGIN SELECT RAISE(IGNORE); END",
            "osa",
        ),
        (
            "AFTER INSERT ON goods BEGIN UPDATE goods SET name = upper(name), price = price + 0.5 WHERE id = NEW.id; END",
            "osa",
        ),
    ] {
        for (letter, plan) in [
            ('o', overwrite as fn(&TableSchema) -> SetPlan),
            ('s', |_| skip(&["id"])),
            ('a', |_| append(&["id"])),
        ] {
            let folder = Folder::new();
            let (database, table) = goods(&folder).await;
            write(
                &folder.file("goods.db"),
                &format!(
                    "CREATE TRIGGER \"it is me\" {body};
                     CREATE TABLE other (x); CREATE TRIGGER not_me AFTER INSERT ON other BEGIN SELECT 1; END;"
                ),
            )
            .await;
            let found = stored(&database, &table, plan(&table), &delivery())
                .await
                .unwrap();
            let expected = match plans.contains(letter) {
                true => Stored::ChangedBy(vec!["it is me".to_owned()]),
                false => Stored::Verified,
            };
            assert_eq!(found, expected, "{letter}: {body}");
        }
    }
}

#[tokio::test]
async fn what_a_trigger_did_is_remembered_over_chunks_and_runs() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    write(
        &folder.file("goods.db"),
        "CREATE TRIGGER me AFTER INSERT ON goods WHEN NEW.id = 10 BEGIN DELETE FROM goods WHERE id = 10; END",
    )
    .await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    let row = |id| [good(id, "x", 1.5, None, 1)];
    stage(&mut *writer, &block(&row(10))).await;
    committed(&mut *writer).await;
    drop(writer);
    let found = stored(&database, &table, skip(&["id"]), &row(11)).await;
    assert_eq!(found.unwrap(), Stored::ChangedBy(vec!["me".to_owned()]));
}

/// Only a trigger makes SQLite store other values: one is created after the table is begun.
#[tokio::test]
async fn rows_that_nothing_explains_roll_the_chunk_back() {
    for plan in [skip(&["id"]), append(&["id"])] {
        let folder = Folder::new();
        let (database, table) = goods(&folder).await;
        let mut target = target(&database).await;
        let mut writer = begin(&mut *target, "run", &table, plan).await.unwrap();
        write(
            &folder.file("goods.db"),
            "CREATE TRIGGER late AFTER INSERT ON goods BEGIN UPDATE goods SET name = 'x' WHERE id = NEW.id; END",
        )
        .await;
        let rows = [good(10, "a", 1.5, None, 1), good(11, "b", 1.5, None, 1)];
        stage(&mut *writer, &block(&rows)).await;
        let error = writer.commit().await.unwrap_err();
        assert!(matches!(error, DatabaseError::NotStored { .. }), "{error}");
        writer.rollback().await.unwrap();
        assert_eq!(names(&folder).await, ["'tea'", "'Milk'", "'salt'"]);
    }
}

#[tokio::test]
async fn rows_without_a_key_are_verified_by_their_rowids() {
    let folder = Folder::new();
    let database = folder
        .database(
            "t.db",
            "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2), (1, 2)",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let rows = [
        vec![integer(1), integer(2)],
        vec![Cell::Real(1.0), Cell::Null],
        vec![text("a\0b"), Cell::Bytes(vec![])],
    ];
    let found = stored(&database, &table, append(&[]), &rows).await.unwrap();
    assert_eq!(found, Stored::Verified);
    // The greatest rowid exists, so that new ones are random.
    write(
        &folder.file("t.db"),
        "INSERT INTO t (rowid, a) VALUES (9223372036854775807, 1)",
    )
    .await;
    let found = stored(&database, &table, append(&[]), &rows).await.unwrap();
    assert!(matches!(found, Stored::Unverified(_)), "{found:?}");
}
