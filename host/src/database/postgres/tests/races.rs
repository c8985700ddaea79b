//! Tests writing while other sessions write, and that no plan scans the table.

use std::time::Duration;

use super::*;

const TABLE: &str =
    "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'old');";

fn schema() -> TableSchema {
    announced(
        "t",
        &[("id", LogicalType::Integer), ("name", LogicalType::Text)],
        &["id"],
    )
}

fn rows(ids: std::ops::Range<i64>) -> RowBlock {
    let rows: Vec<_> = ids.map(|id| vec![Cell::Integer(id), text("new")]).collect();
    block(&rows)
}

type Plan = fn(&TableSchema) -> SetPlan;

/// Another session inserts a row of the chunk, and commits when the chunk waits for it.
async fn race(table: &str, plan: Plan) -> Option<(ChunkCounts, String)> {
    let mut site = Site::new(table).await?;
    let mut target = site.target().await;
    let write = table_write(&schema(), plan(&schema()));
    let mut writer = target.begin_table(write).await.unwrap();
    writer.stage(&rows(1..6)).await.done();
    site.run("BEGIN; INSERT INTO t VALUES (3, 'theirs')").await;
    let theirs = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'tombolo' AND wait_event_type = 'Lock'";
        for _ in 0..200 {
            if site.value(waiting).await == "1" {
                break;
            }
            // Statistics are fixed within a transaction.
            site.run("SELECT pg_stat_clear_snapshot()").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        site.run("COMMIT").await;
    };
    let (moved, ()) = tokio::join!(writer.commit(), theirs);
    let moved = moved.done();
    let outcome = Outcome::from(writer.finish(&[]).await.unwrap());
    assert_eq!(outcome.stored, Stored::Verified);
    Some((moved, site.value("SELECT name FROM t WHERE id = 3").await))
}

#[tokio::test]
async fn rows_that_another_session_inserts_meanwhile_exist() {
    let Some(raced) = race(TABLE, overwrite).await else {
        return;
    };
    assert_eq!(raced, (counts(3, 2, 0, 0), "new".to_owned()));
    let raced = race(TABLE, skip).await.unwrap();
    assert_eq!(raced, (counts(3, 0, 0, 2), "theirs".to_owned()));
    let raced = race(TABLE, merge).await.unwrap();
    assert_eq!(raced, (counts(3, 2, 0, 0), "new".to_owned()));
}

#[tokio::test]
async fn a_deferrable_key_that_on_conflict_cannot_name_is_raced_for_as_well() {
    let table = TABLE.replace("PRIMARY KEY", "PRIMARY KEY DEFERRABLE");
    let Some(raced) = race(&table, skip).await else {
        return;
    };
    assert_eq!(raced, (counts(3, 0, 0, 2), "theirs".to_owned()));
}

#[tokio::test]
async fn a_row_that_changes_after_it_was_shown_is_shown_again() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let mut target = site.target().await;
    let write = TableWrite {
        row_by_row: true,
        ..table_write(&schema(), overwrite(&schema()))
    };
    let mut writer = target.begin_table(write).await.unwrap();
    for change in [
        "UPDATE t SET name = 'theirs'",
        "INSERT INTO t VALUES (2, 'theirs')",
    ] {
        writer.stage(&rows(1..3)).await.done();
        writer.conflicts(10).await.unwrap();
        site.run(change).await;
        let late = writer.commit().await.unwrap_err();
        assert!(matches!(late, DatabaseError::Busy(_)), "{change}: {late}");
        writer.rollback().await.unwrap();
    }
    writer.stage(&rows(1..3)).await.done();
    let page = writer.conflicts(10).await.unwrap();
    let names: Vec<_> = page.iter().map(|conflict| &conflict.local[1]).collect();
    assert_eq!(names, [&text("theirs"), &text("theirs")]);
    assert_eq!(writer.commit().await.done(), counts(0, 2, 0, 0));
}

/// How many rows of the table were read by scans, and how many by its indexes.
async fn reads(site: &mut Site) -> (u64, u64) {
    let mut reads = String::new();
    // The statistics come with a delay.
    for _ in 0..100 {
        reads = site
            .value("SELECT seq_tup_read || '/' || coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 't'")
            .await;
        if !reads.ends_with("/0") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (scanned, indexed) = reads.split_once('/').unwrap();
    (scanned.parse().unwrap(), indexed.parse().unwrap())
}

#[tokio::test]
async fn no_plan_scans_a_table_of_ten_million_rows() {
    let Some(mut site) = Site::new(
        "CREATE UNLOGGED TABLE t (id int, name text); \
         INSERT INTO t SELECT 2 * i, 'old' FROM generate_series(1, 10000000) i; \
         ALTER TABLE t ADD PRIMARY KEY (id)",
    )
    .await
    else {
        return;
    };
    site.run("VACUUM ANALYZE t").await;
    let plans: [(Plan, bool, u64); 4] = [
        (overwrite, false, 1_000),
        (overwrite, true, 1_000),
        (merge, false, 1_000),
        (skip, false, 0),
    ];
    for (number, (plan, row_by_row, updated)) in plans.into_iter().enumerate() {
        site.run("SELECT pg_stat_reset()").await;
        let from = 10_000 * i64::try_from(number).unwrap();
        let write = TableWrite {
            run: format!("run-{number}"),
            row_by_row,
            ..table_write(&schema(), plan(&schema()))
        };
        let mut target = site.target().await;
        let mut writer = target.begin_table(write).await.unwrap();
        // Every second row is there.
        let staged = writer.stage(&rows(from + 1..from + 2_001)).await;
        staged.done();
        while row_by_row && !writer.conflicts(300).await.unwrap().is_empty() {}
        let moved = writer.commit().await.done();
        let outcome = Outcome::from(writer.finish(&[]).await.unwrap());
        assert_eq!(moved, counts(1_000, updated, 0, 1_000 - updated));
        assert_eq!(outcome.stored, Stored::Verified);
        let (scanned, indexed) = reads(&mut site).await;
        assert_eq!(scanned, 0, "plan {number}");
        assert!(indexed > 0, "plan {number}");
    }
}

#[tokio::test]
async fn rows_that_all_change_are_matched_once() {
    let Some(mut site) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, name text); \
         INSERT INTO t SELECT i, 'old' FROM generate_series(1, 50000) i",
    )
    .await
    else {
        return;
    };
    site.run("VACUUM ANALYZE t").await;
    site.run("SELECT pg_stat_reset()").await;
    let write = table_write(&schema(), overwrite(&schema()));
    let (moved, outcome) = chunks(&site, write, &[rows(1..5_001)]).await.unwrap();
    assert_eq!(moved, counts(0, 5_000, 0, 0));
    assert_eq!(outcome.stored, Stored::Verified);
    let (_, indexed) = reads(&mut site).await;
    // A sample of the first rows, and one match for each.
    assert!(
        (5_000..5_500).contains(&indexed),
        "{indexed} looks into the index"
    );
}
