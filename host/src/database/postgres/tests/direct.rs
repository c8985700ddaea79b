//! Tests rows that go directly into a table of the run.

use super::*;
use crate::database::buckets_of;

const MAKE: &str = "CREATE TABLE t (id int PRIMARY KEY, name text, n numeric)";

fn schema() -> TableSchema {
    let mut schema = announced(
        "t",
        &[
            ("id", LogicalType::Integer),
            ("name", LogicalType::Text),
            ("n", LogicalType::Decimal),
        ],
        &["id"],
    );
    for column in &mut schema.columns {
        column.origin = "pg:any".to_owned();
    }
    schema
}

fn rows(ids: std::ops::Range<i64>) -> RowBlock {
    let rows: Vec<_> = ids
        .map(|id| vec![Cell::Integer(id), text("a"), text("1.50")])
        .collect();
    block(&rows)
}

fn direct() -> TableWrite {
    created(table_write(&schema(), overwrite(&schema())), &[MAKE])
}

#[tokio::test]
async fn rows_go_directly_into_a_table_of_the_run_and_are_read_back() {
    let Some(site) = Site::new("").await else {
        return;
    };
    // Many pages, in chunks that end in the middle of one.
    let blocks = [rows(1..2_000), rows(2_000..4_999), rows(4_999..5_001)];
    let (moved, outcome) = chunks(&site, direct(), &blocks).await.unwrap();
    assert_eq!(moved, counts(5_000, 0, 0, 0));
    assert_eq!((outcome.stored, outcome.digest), (Stored::Verified, None));
}

#[tokio::test]
async fn a_row_of_another_session_leaves_the_table_to_be_read() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = target.begin_table(direct()).await.unwrap();
    site.run("INSERT INTO t VALUES (-1, 'a', 1.50)").await;
    writer.stage(&rows(1..500)).await.done();
    writer.commit().await.done();
    let outcome = Outcome::from(writer.finish(&[]).await.unwrap());
    assert!(matches!(outcome.stored, Stored::Unverified(_)));
    let snapshot = site.database.snapshot().await.unwrap();
    let there = snapshot.describe("t").await.unwrap();
    let stored = buckets_of(snapshot.as_ref(), Read::all(&there))
        .await
        .unwrap()
        .total();
    assert_ne!(outcome.digest, Some(stored.digest));
}

#[tokio::test]
async fn a_table_that_was_read_back_is_known_to_be() {
    let Some(site) = Site::new("").await else {
        return;
    };
    let (_, outcome) = chunks(&site, direct(), &[rows(1..9)]).await.unwrap();
    assert_eq!(outcome.stored, Stored::Verified);
    let mut target = site.target().await;
    // As its run does where it verified the rows.
    target.mark_read_back("run-1", "t").await.unwrap();
    let writer = target.begin_table(direct()).await.unwrap();
    let again = Outcome::from(writer.finish(&[]).await.unwrap());
    assert_eq!((again.stored, again.digest), (Stored::Verified, None));
}

#[tokio::test]
async fn a_direct_row_that_does_not_fit_goes_through_the_staging() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = target.begin_table(direct()).await.unwrap();
    writer.stage(&rows(1..5)).await.done();
    writer.commit().await.done();
    writer.stage(&rows(4..7)).await.done();
    let refused = writer.commit().await.unwrap();
    assert_eq!(refused, Step::NeedsStaging);
    writer.rollback().await.unwrap();
    let unfit = block(&[vec![Cell::Integer(5), text("nul \0"), text("1")]]);
    let refused = writer.stage(&unfit).await.unwrap();
    assert_eq!(refused, Step::NeedsStaging);
    writer.rollback().await.unwrap();
    assert_eq!(site.value("SELECT count(*) FROM t").await, "4");

    let again = TableWrite {
        mode: LoadMode::Staged,
        ..direct()
    };
    drop(writer);
    let mut writer = target.begin_table(again).await.unwrap();
    writer.stage(&rows(5..7)).await.done();
    writer.stage(&unfit).await.done();
    let moved = writer.commit().await.done();
    assert_eq!(moved, failed(counts(2, 0, 0, 0), 1));
    let outcome = Outcome::from(writer.finish(&[]).await.unwrap());
    assert_eq!((outcome.counts.created, outcome.digest), (6, None));
    assert!(
        matches!(outcome.stored, Stored::Unverified(_)),
        "the first four were not checked"
    );
}

#[tokio::test]
async fn a_table_that_existed_is_staged() {
    let Some(site) = Site::new(MAKE).await else {
        return;
    };
    let write = table_write(&schema(), overwrite(&schema()));
    let (moved, outcome) = chunks(&site, write, &[rows(1..5)]).await.unwrap();
    assert_eq!(moved, counts(4, 0, 0, 0));
    assert_eq!((outcome.digest, outcome.stored), (None, Stored::Verified));
}

/// SQLite's decimals are numbers of several kinds.
fn decimals() -> (TableWrite, RowBlock) {
    let mut schema = schema();
    for column in &mut schema.columns {
        column.origin = "sqlite:DECIMAL".to_owned();
    }
    let write = created(table_write(&schema, overwrite(&schema)), &[MAKE]);
    let rows = block(&[
        vec![Cell::Integer(1), text("a"), Cell::Integer(5)],
        vec![Cell::Integer(2), text("a"), Cell::Real(0.25)],
        vec![Cell::Integer(3), Cell::Null, text("1.50")],
    ]);
    (write, rows)
}

#[tokio::test]
async fn decimals_of_several_forms_are_compared_as_they_were_sent() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let (write, rows) = decimals();
    let (moved, outcome) = chunks(&site, write, &[rows]).await.unwrap();
    assert_eq!(moved, counts(3, 0, 0, 0));
    assert_eq!((outcome.stored, outcome.digest), (Stored::Verified, None));
    let stored = site.value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t");
    assert_eq!(stored.await, "5 0.25 1.50");
}

#[tokio::test]
async fn decimals_of_several_forms_cannot_be_read_back() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let (write, rows) = decimals();
    let mut target = site.target().await;
    let mut writer = target.begin_table(write).await.unwrap();
    site.run("INSERT INTO t VALUES (-1, 'a', 1.50)").await;
    writer.stage(&rows).await.done();
    writer.commit().await.done();
    let outcome = Outcome::from(writer.finish(&[]).await.unwrap());
    assert_eq!(outcome.digest, None);
    assert!(matches!(outcome.stored, Stored::Unverified(_)));
}

#[tokio::test]
async fn a_table_of_the_run_is_dropped_only_while_it_is_empty_in_postgres() {
    const COUNT: &str = "SELECT count(*)::text FROM pg_class WHERE relname = 't' AND relnamespace = 'public'::regnamespace";
    // What happens before the table is dropped, whether the run makes the table, and whether it is there in the end.
    let cases = [
        ("", true, "0"),
        ("INSERT INTO t VALUES (-1, 'a', 1.50)", true, "1"),
        ("CREATE VIEW v AS SELECT id FROM t", true, "1"),
        ("", false, "1"),
    ];
    for (between, makes, there) in cases {
        let Some(mut site) = Site::new(if makes { "" } else { MAKE }).await else {
            return;
        };
        let write = match makes {
            true => direct(),
            false => table_write(&schema(), overwrite(&schema())),
        };
        let mut target = site.target().await;
        let writer = target.begin_table(write).await.unwrap();
        site.run(between).await;
        let dropped = writer.discard_new_table().await;
        assert_eq!(dropped.is_err(), between.contains("VIEW"), "{between}");
        assert_eq!(site.value(COUNT).await, there, "{between} {makes}");
    }
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = target.begin_table(direct()).await.unwrap();
    writer.stage(&rows(1..5)).await.done();
    writer.commit().await.done();
    writer.discard_new_table().await.unwrap();
    assert_eq!(site.value("SELECT count(*)::text FROM t").await, "4");
}

/// The check of statements is not the only wall: by the extended protocol, a text holds one statement.
#[tokio::test]
async fn a_checked_text_that_holds_a_second_statement_runs_none_in_postgres() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let two = format!("{MAKE}; CREATE TABLE u (id int)");
    let write = created(table_write(&schema(), overwrite(&schema())), &[&two]);
    let mut target = site.target().await;
    let begun = target.begin_table(write).await.err().unwrap();
    assert!(begun.to_string().contains("42601"), "{begun}");
    let made = "SELECT count(*)::text FROM pg_class WHERE relname IN ('t', 'u') AND relnamespace = 'public'::regnamespace";
    assert_eq!(site.value(made).await, "0");
}
