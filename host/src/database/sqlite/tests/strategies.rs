//! What becomes of rows by the plans of the strategies.

use super::*;

#[tokio::test]
async fn skip_leaves_rows_that_exist() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    assert_eq!(
        apply(&database, &table, skip(&["id"]), &delivery())
            .await
            .unwrap(),
        counts(1, 0, 0, 3)
    );
    assert_eq!(names(&folder).await, ["'tea'", "'Milk'", "'salt'", "'oil'"]);
}

#[tokio::test]
async fn overwrite_takes_everything_and_tells_what_was_the_same() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let applied = apply(&database, &table, overwrite(&table), &delivery())
        .await
        .unwrap();
    assert_eq!(applied, counts(1, 2, 1, 0));
    assert_eq!(
        literals(&folder.file("goods.db"), "goods").await,
        [
            ["1", "'tea'", "5", "'kept'", "1"],
            ["2", "'milk'", "1.75", "'y'", "5"],
            ["3", "'SALT'", "2.5", "NULL", "2"],
            ["4", "'oil'", "7.25", "NULL", "1"],
        ]
    );
    let again = apply(&database, &table, overwrite(&table), &delivery())
        .await
        .unwrap();
    assert_eq!(again, counts(0, 0, 4, 0));
}

#[tokio::test]
async fn merge_keeps_what_does_not_arrive() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let plan = update(
        &["id"],
        &[
            ("name", ValueSource::Coalesce),
            ("price", ValueSource::Coalesce),
            ("note", ValueSource::Coalesce),
        ],
    );
    let applied = apply(&database, &table, plan, &delivery()).await.unwrap();
    assert_eq!(applied, counts(1, 2, 1, 0));
    let rows = literals(&folder.file("goods.db"), "goods").await;
    assert_eq!(rows[1], ["2", "'milk'", "1.75", "'y'", "9"]);
    assert_eq!(rows[2], ["3", "'SALT'", "2.5", "'x'", "NULL"]);
}

#[tokio::test]
async fn append_gives_new_numbers() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let applied = apply(&database, &table, append(&["id"]), &delivery())
        .await
        .unwrap();
    assert_eq!(applied, counts(4, 0, 0, 0));
    let rows = literals(&folder.file("goods.db"), "goods").await;
    assert_eq!(
        rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5", "6", "7"]
    );
    assert_eq!(rows[6][1], "'oil'");
}

#[tokio::test]
async fn greatest_and_least_follow_the_columns_order_and_null_loses() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let plan = update(
        &["id"],
        &[
            ("version", ValueSource::Greatest),
            ("price", ValueSource::Least),
        ],
    );
    let applied = apply(&database, &table, plan, &delivery()).await.unwrap();
    assert_eq!(applied, counts(1, 1, 2, 0));
    let rows = literals(&folder.file("goods.db"), "goods").await;
    assert_eq!(rows[1], ["2", "'Milk'", "1.5", "NULL", "9"]);
    assert_eq!(rows[2], ["3", "'salt'", "2", "'x'", "2"]);
}

#[tokio::test]
async fn a_guard_leaves_rows_that_are_not_newer() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut plan = overwrite(&table);
    plan.update.as_mut().unwrap().only_if_newer = Some("version".to_owned());
    let mut rows = delivery();
    rows.push(good(4, "oil", 7.25, None, 1));
    rows[3] = good(1, "green tea", 5.5, None, 2);
    rows.remove(0);
    // 2 is older, 3 has no local version, 1 is newer, 4 is new.
    assert_eq!(
        apply(&database, &table, plan, &rows).await.unwrap(),
        counts(1, 1, 0, 2)
    );
    assert_eq!(
        names(&folder).await,
        ["'green tea'", "'Milk'", "'salt'", "'oil'"]
    );
}

#[tokio::test]
async fn text_keys_match_by_their_collation_and_images_bit_by_bit() {
    let folder = Folder::new();
    let database = folder
        .database(
            "text.db",
            "CREATE TABLE t (k TEXT COLLATE NOCASE, n INTEGER, v, w TEXT COLLATE NOCASE, PRIMARY KEY (k, n)) WITHOUT ROWID;
             INSERT INTO t VALUES ('a', 1, 1, 'x'), ('b', 1, 1, 'x');",
        )
        .await;
    let table = database.describe("t").await.unwrap();
    let row = |key: &str, n: i64, v: Cell, w: &str| vec![text(key), integer(n), v, text(w)];
    let rows = [
        row("A", 1, integer(1), "X"),
        row("B", 1, Cell::Real(1.0), "x"),
        row("a", 2, Cell::Null, "x"),
    ];
    assert_eq!(
        apply(&database, &table, overwrite(&table), &rows)
            .await
            .unwrap(),
        counts(1, 2, 0, 0)
    );
    assert_eq!(
        literals(&folder.file("text.db"), "t").await,
        [
            ["'a'", "1", "1", "'X'"],
            ["'a'", "2", "NULL", "'x'"],
            ["'b'", "1", "1.0", "'x'"]
        ]
    );
    let twice = [row("C", 1, Cell::Null, "x"), row("c", 1, Cell::Null, "x")];
    let error = apply(&database, &table, overwrite(&table), &twice)
        .await
        .unwrap_err();
    assert!(
        matches!(error, DatabaseError::TooManyRejects { .. }),
        "{error}"
    );
    assert_eq!(literals(&folder.file("text.db"), "t").await.len(), 3);
}

#[tokio::test]
async fn a_row_too_many_keeps_nothing_of_its_chunk() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut rows = delivery();
    rows.push(good(4, "again", 1.5, None, 1));
    for plan in [overwrite(&table), skip(&["id"])] {
        let error = apply(&database, &table, plan, &rows).await.unwrap_err();
        assert!(
            error.to_string().contains("its key arrived before"),
            "{error}"
        );
    }
    assert_eq!(names(&folder).await, ["'tea'", "'Milk'", "'salt'"]);
}
