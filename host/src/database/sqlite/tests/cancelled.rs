//! Calls that are polled once and dropped, nearly always before they end.

use futures::FutureExt as _;

use super::*;

fn rows(range: std::ops::Range<i64>) -> Vec<Vec<Cell>> {
    range.map(|id| good(id, "x", 1.5, None, 1)).collect()
}

async fn created(writer: &mut dyn TableWriter) -> u64 {
    let entry = writer.ledger_entry().await.unwrap().unwrap();
    entry.counts.created
}

#[tokio::test]
async fn a_chunk_whose_staging_was_not_awaited_can_only_be_rolled_back() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *writer, &block(&rows(10..20))).await;
    // The error, that a row has too few cells, is lost.
    let narrow = block(&[vec![integer(20)]]);
    drop(writer.stage(&narrow).now_or_never());
    for _ in 0..2 {
        let refused = writer.commit().await;
        assert!(matches!(refused, Err(DatabaseError::Unsuitable { .. })));
    }
    assert!(writer.stage(&block(&rows(20..30))).await.is_err());
    writer.rollback().await.unwrap();
    assert_eq!(created(&mut *writer).await, 0);
    stage(&mut *writer, &block(&rows(10..30))).await;
    assert_eq!(committed(&mut *writer).await, counts(20, 0, 0, 0));
    let outcome = writer.finish(&[]).await.unwrap();
    assert_eq!(outcome.counts, counts(20, 0, 0, 0));
    assert_eq!(known(&outcome), Stored::Verified);
}

#[tokio::test]
async fn a_commit_that_was_not_awaited_is_known_to_the_ledger() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *writer, &block(&rows(10..20))).await;
    drop(writer.commit().now_or_never());
    // It ends before the next call begins.
    writer.rollback().await.unwrap();
    assert_eq!(created(&mut *writer).await, 10);
    stage(&mut *writer, &block(&rows(20..25))).await;
    committed(&mut *writer).await;
    let outcome = writer.finish(&[]).await.unwrap();
    assert_eq!(outcome.counts, counts(15, 0, 0, 0));
    assert_eq!(database.count("goods").await.unwrap().rows, 18);
}

#[tokio::test]
async fn a_table_whose_begin_was_not_awaited_can_be_begun_again() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut load = load("run", &table, skip(&["id"]));
    load.create = Some(vec![statement(
        "CREATE TABLE fresh (id INTEGER PRIMARY KEY)",
    )]);
    load.incoming.table = "fresh".to_owned();
    load.incoming.columns.truncate(1);
    drop(target.begin_table(load.clone()).now_or_never());
    let mut writer = target.begin_table(load).await.unwrap();
    stage(&mut *writer, &block(&[vec![integer(1)]])).await;
    committed(&mut *writer).await;
    assert!(digest(&writer.finish(&[]).await.unwrap()).is_some());
}

#[tokio::test]
async fn a_writer_that_is_dropped_gives_its_chunk_up() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *writer, &block(&rows(10..20))).await;
    drop(writer.stage(&block(&rows(20..30))).now_or_never());
    drop(writer);
    let entry = target.ledger_entry("run", "goods").await.unwrap().unwrap();
    assert_eq!(entry.counts, ChunkCounts::default());
    // Nothing locks the database any more.
    write(&folder.file("goods.db"), "DELETE FROM goods WHERE id = 1").await;
    assert_eq!(database.count("goods").await.unwrap().rows, 2);
}

#[tokio::test]
async fn a_finish_gives_up_the_chunk_under_way() {
    let folder = Folder::new();
    let (database, table) = goods(&folder).await;
    let mut target = target(&database).await;
    let mut writer = begin(&mut *target, "run", &table, skip(&["id"]))
        .await
        .unwrap();
    stage(&mut *writer, &block(&rows(10..20))).await;
    let outcome = writer.finish(&[]).await.unwrap();
    assert_eq!(outcome.counts, ChunkCounts::default());
    assert_eq!(database.count("goods").await.unwrap().rows, 3);
}
