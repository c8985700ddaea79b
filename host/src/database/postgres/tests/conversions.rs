//! Tests columns that take the nearest value or hold every value.

use super::*;
use crate::bindings::types::{ChangeKind, ColumnChanges, Conversion};
use crate::database::buckets_of;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, n int, name varchar(3) NOT NULL)";

fn schema() -> TableSchema {
    announced(
        "t",
        &[
            ("id", LogicalType::Any),
            ("n", LogicalType::Any),
            ("name", LogicalType::Any),
        ],
        &["id"],
    )
}

fn policies(load: TableWrite, policy: &Conversion) -> TableWrite {
    let columns = load.incoming.columns.iter();
    let conversions = columns.map(|column| (column.name.clone(), policy.clone()));
    TableWrite {
        conversions: conversions.collect(),
        ..load
    }
}

fn lossy() -> TableWrite {
    policies(
        table_write(&schema(), overwrite(&schema())),
        &Conversion::Lossy,
    )
}

fn row(id: Cell, n: Cell, name: Cell) -> Vec<Cell> {
    vec![id, n, name]
}

fn changes(changes: &[(&str, u64)]) -> Vec<ColumnChanges> {
    let changes = changes.iter().map(|(column, values)| ColumnChanges {
        column: (*column).to_owned(),
        values: *values,
        kind: ChangeKind::Nearest,
    });
    changes.collect()
}

fn chunk(first: i64) -> RowBlock {
    let id = |more| Cell::Integer(first + more);
    block(&[
        row(id(0), text("x"), text("four")),
        row(id(1), Cell::Real(7.0), text("a\0")),
        row(id(2), Cell::Integer(2), text("ok")),
    ])
}

#[tokio::test]
async fn changed_values_are_counted_over_all_attempts_of_a_run_and_verified_as_changed() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let mut target = site.target().await;
    let mut first = target.begin_table(lossy()).await.unwrap();
    first.stage(&chunk(1)).await.done();
    first.commit().await.done();
    // A chunk that is rolled back changes nothing.
    first.stage(&chunk(11)).await.done();
    first.rollback().await.unwrap();
    drop(first);
    drop(target);
    let (moved, outcome) = chunks(&site, lossy(), &[chunk(21)]).await.unwrap();
    assert_eq!(moved, counts(3, 0, 0, 0));
    assert_eq!(outcome.stored, Stored::Verified);
    assert_eq!(outcome.changed, changes(&[("n", 4), ("name", 4)]));
    assert_eq!(
        site.rows("t").await,
        "(1,,fou)\n(2,7,a)\n(21,,fou)\n(22,7,a)\n(23,2,ok)\n(3,2,ok)"
    );
}

#[tokio::test]
async fn keys_and_what_may_not_be_null_are_rejected_and_not_counted() {
    let Some(mut site) = Site::new(&format!("{TABLE}; ALTER TABLE t ADD CHECK (n <> 13)")).await
    else {
        return;
    };
    let rows = block(&[
        row(text("1"), Cell::Integer(1), text("four")),
        row(Cell::Real(2.0), Cell::Integer(1), text("four")),
        row(Cell::Integer(3), text("x"), Cell::Null),
        row(Cell::Integer(4), Cell::Real(13.0), text("four")),
        row(Cell::Integer(5), Cell::Real(14.0), text("four")),
    ]);
    let (moved, outcome) = chunks(&site, lossy(), &[rows]).await.unwrap();
    assert_eq!(moved, failed(counts(1, 0, 0, 0), 4));
    assert_eq!(outcome.changed, changes(&[("n", 1), ("name", 1)]));
    assert_eq!(site.rows("t").await, "(5,14,fou)");
}

#[tokio::test]
async fn a_retry_reports_only_what_it_changed() {
    let Some(mut site) = Site::new(&format!("{TABLE}; ALTER TABLE t ADD CHECK (n <> 7)")).await
    else {
        return;
    };
    let (moved, outcome) = chunks(&site, lossy(), &[chunk(1)]).await.unwrap();
    assert_eq!(moved, failed(counts(2, 0, 0, 0), 1));
    assert_eq!(outcome.changed, changes(&[("n", 1), ("name", 1)]));
    site.run("ALTER TABLE t DROP CONSTRAINT t_n_check").await;
    let again = TableWrite {
        retry: true,
        ..lossy()
    };
    let rejected = block(&[row(Cell::Integer(2), Cell::Real(7.0), text("a\0"))]);
    let (moved, outcome) = chunks(&site, again, &[rejected]).await.unwrap();
    assert_eq!(moved, counts(1, 0, 0, 0));
    assert_eq!(outcome.changed, changes(&[("n", 1), ("name", 1)]));
}

#[tokio::test]
async fn resolved_rows_are_never_changed() {
    let Some(site) = Site::new(&format!("{TABLE}; INSERT INTO t VALUES (1, 1, 'old')")).await
    else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = target.begin_table(lossy()).await.unwrap();
    writer.stage(&chunk(1)).await.done();
    let page = writer.conflicts(10).await.unwrap();
    assert_eq!(page[0].incoming[1..], [Cell::Null, text("fou")]);
    let decided = row(Cell::Integer(1), text("x"), text("b"));
    let wrong = writer
        .resolve(vec![(1, crate::database::Resolution::Write(decided))])
        .await
        .unwrap_err();
    assert!(
        matches!(wrong, DatabaseError::Unrepresentable(_)),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_wide_column_is_filled_directly_and_read_back_as_it_was_sent() {
    let Some(site) = Site::new("").await else {
        return;
    };
    let mut schema = schema();
    for column in &mut schema.columns {
        column.logical = LogicalType::Integer;
        column.origin = "sqlite:INTEGER".to_owned();
    }
    let make = "CREATE TABLE t (id text PRIMARY KEY, n text, name text)";
    let wide = policies(
        created(table_write(&schema, overwrite(&schema)), &[make]),
        &Conversion::Widen,
    );
    let rows = block(&[
        row(Cell::Integer(1), text("1"), Cell::Null),
        row(text("1"), Cell::Real(1.0), text("a\0")),
        row(
            Cell::Bytes(vec![0, 1]),
            Cell::Integer(1),
            Cell::Bytes(vec![]),
        ),
    ]);
    let (moved, outcome) = chunks(&site, wide, std::slice::from_ref(&rows))
        .await
        .unwrap();
    assert_eq!(moved, counts(3, 0, 0, 0));
    assert_eq!(outcome.stored, Stored::Verified);
    let snapshot = site.database.snapshot().await.unwrap();
    let there = snapshot.describe("t").await.unwrap();
    for (there, sent) in there.columns.iter().zip(&schema.columns) {
        assert_eq!(
            (&there.logical, &there.origin),
            (&sent.logical, &sent.origin)
        );
    }
    let read_back = buckets_of(snapshot.as_ref(), Read::all(&there))
        .await
        .unwrap()
        .total();
    assert_eq!(read_back.digest, rows.digest());
    assert_eq!(
        site.database.widened("t").await.unwrap(),
        ["id", "n", "name"]
    );
}
