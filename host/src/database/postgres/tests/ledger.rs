//! Tests the ledger, and connections after errors.

use super::*;
use crate::rows::RowBlock as Block;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, name text)";

fn schema() -> TableSchema {
    announced(
        "t",
        &[("name", LogicalType::Text), ("id", LogicalType::Integer)],
        &["id"],
    )
}

fn rows(ids: std::ops::Range<i64>) -> Block {
    let rows: Vec<_> = ids.map(|id| vec![text("row"), Cell::Integer(id)]).collect();
    block(&rows)
}

async fn begin(target: &mut dyn Target) -> Box<dyn TableWriter + '_> {
    let write = table_write(&schema(), overwrite(&schema()));
    target.begin_table(write).await.unwrap()
}

const LEDGER: &str = "SELECT (next_seq, encode(last_key, 'hex'), created, updated, same, skipped, failed, done) FROM tombolo.ledger";

#[tokio::test]
async fn the_ledger_moves_with_the_chunk() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = begin(target.as_mut()).await;
    assert_eq!(site.value(LEDGER).await, "(0,,0,0,0,0,0,f)");
    writer.stage(&rows(1..4)).await.done();
    writer.stage(&rows(4..6)).await.done();
    assert_eq!(site.value(LEDGER).await, "(0,,0,0,0,0,0,f)");
    assert_eq!(writer.commit().await.done(), counts(5, 0, 0, 0));
    assert_eq!(
        site.value(LEDGER).await,
        "(1,00000009030000000000000005,5,0,0,0,0,f)"
    );

    writer.stage(&rows(6..9)).await.done();
    writer.rollback().await.unwrap();
    writer.rollback().await.unwrap();
    assert_eq!(site.value("SELECT count(*) FROM t").await, "5");
    writer.stage(&rows(5..7)).await.done();
    assert_eq!(writer.commit().await.done(), counts(1, 0, 1, 0));
    assert_eq!(
        writer.commit().await.done(),
        counts(0, 0, 0, 0),
        "nothing staged"
    );
    writer.finish(&[]).await.unwrap();
    assert_eq!(
        site.value(LEDGER).await,
        "(2,00000009030000000000000006,6,0,1,0,0,t)"
    );
}

#[tokio::test]
async fn two_writers_of_one_run_do_not_both_get_in() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let mut first_target = site.target().await;
    let mut first = begin(first_target.as_mut()).await;
    let mut second_target = site.target().await;
    let mut second = begin(second_target.as_mut()).await;
    first.stage(&rows(1..3)).await.done();
    first.commit().await.done();
    second.stage(&rows(3..5)).await.done();
    let taken = second.commit().await.unwrap_err();
    assert!(
        matches!(taken, DatabaseError::LedgerTaken { .. }),
        "{taken}"
    );
    second.rollback().await.unwrap();
    assert_eq!(site.value("SELECT count(*) FROM t").await, "2");
    first.stage(&rows(3..5)).await.done();
    first.commit().await.done();
    assert!(matches!(
        second.finish(&[]).await,
        Err(DatabaseError::LedgerTaken { .. })
    ));
    let mut third_target = site.target().await;
    let mut third = begin(third_target.as_mut()).await;
    third.stage(&rows(5..6)).await.done();
    assert_eq!(
        third.commit().await.done(),
        counts(1, 0, 0, 0),
        "a new writer goes on"
    );
}

#[tokio::test]
async fn errors_leave_a_connection_that_is_usable_after_rollback() {
    let Some(mut site) =
        Site::new("CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad'), j json)")
            .await
    else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = begin(target.as_mut()).await;
    let bad = |name: &str| block(&[vec![text(name), Cell::Integer(1)]]);
    writer.stage(&bad("bad")).await.done();
    writer.stage(&bad("nul \0")).await.done();
    assert_eq!(
        writer.commit().await.done(),
        ChunkCounts {
            failed: 2,
            ..counts(0, 0, 0, 0)
        }
    );
    assert_eq!(
        site.value("SELECT count(*) FROM tombolo.rejects WHERE key = '1'")
            .await,
        "2"
    );

    // A COPY that the server refuses half way: its row is found.
    let schema = announced(
        "t",
        &[("id", LogicalType::Integer), ("j", LogicalType::Json)],
        &["id"],
    );
    let mut schema_of_postgres = schema.clone();
    schema_of_postgres.columns[1].origin = "pg:json".to_owned();
    drop(writer);
    let mut writer = target
        .begin_table(table_write(&schema_of_postgres, skip(&schema)))
        .await
        .unwrap();
    writer
        .stage(&block(&[vec![Cell::Integer(1), text("{secret")]]))
        .await
        .done();
    assert_eq!(writer.commit().await.done(), failed(counts(0, 0, 0, 0), 1));
    let refused = "SELECT reason FROM tombolo.rejects ORDER BY reason LIKE '%22P02%' DESC LIMIT 1";
    let refused = site.value(refused).await;
    assert!(
        refused.contains("22P02") && !refused.contains("secret"),
        "{refused}"
    );
    writer
        .stage(&block(&[vec![Cell::Integer(2), text("{}")]]))
        .await
        .done();
    assert_eq!(writer.commit().await.done(), counts(1, 0, 0, 0));
    assert_eq!(site.rows("t").await, "(2,,{})");
}

#[tokio::test]
async fn many_targets_are_prepared_at_once() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let prepare = || async {
        let mut target = site.database.target().await.unwrap();
        target.prepare().await.unwrap();
    };
    futures::future::join_all((0..8).map(|_| prepare())).await;
    assert_eq!(site.value("SELECT count(*) FROM tombolo.ledger").await, "0");
}

#[tokio::test]
async fn a_broken_connection_says_that_trying_again_helps() {
    let Some(mut site) = Site::new(&format!("{TABLE}; INSERT INTO t VALUES (1, 'a')")).await else {
        return;
    };
    let mut target = site.target().await;
    let mut writer = begin(target.as_mut()).await;
    writer.stage(&rows(1..2)).await.done();
    let pid = site
        .value("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()")
        .await;
    site.run(&format!("SELECT pg_terminate_backend({pid})"))
        .await;
    let error = writer.commit().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Busy(_)), "{error:?}");
}

#[tokio::test]
async fn a_login_that_may_create_nothing_needs_a_schema_of_its_own() {
    let Some(mut site) = Site::new("CREATE TABLE t (id int PRIMARY KEY)").await else {
        return;
    };
    let (login, name) = (site.server.unique_name("login"), site.name.clone());
    site.run(&format!(
        "CREATE ROLE {login} LOGIN PASSWORD 'pw'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE ON t TO {login}"
    ))
    .await;
    let url = site.server.url_as(&login, "pw", &name);
    let database = PostgresDatabase::open(&url).await.unwrap();
    let mut target = database.target().await.unwrap();
    let refused = target.prepare().await.unwrap_err();
    assert!(matches!(refused, DatabaseError::NoLedger(_)), "{refused}");
    assert!(refused.to_string().contains("42501"), "{refused}");

    site.run(&format!("CREATE SCHEMA tombolo AUTHORIZATION {login}"))
        .await;
    target.prepare().await.unwrap();
    let schema = announced("t", &[("id", LogicalType::Integer)], &["id"]);
    let mut writer = target
        .begin_table(table_write(&schema, skip(&schema)))
        .await
        .unwrap();
    writer.stage(&block(&[vec![Cell::Integer(1)]])).await.done();
    assert_eq!(writer.commit().await.done(), counts(1, 0, 0, 0));
    drop(writer);
    drop(target);
    drop(database);
    site.run(&format!("DROP OWNED BY {login}; DROP ROLE {login}"))
        .await;
}
