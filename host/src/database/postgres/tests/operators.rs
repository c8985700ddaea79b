//! Tests keys whose operators PostgreSQL does not find by their names alone.

use super::*;

#[tokio::test]
async fn keys_of_extension_types_are_compared_by_their_own_operators() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    if site
        .value("SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'")
        .await
        == "0"
    {
        return;
    }
    site.run(
        "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;
         CREATE TABLE t (n extensions.citext, i int, PRIMARY KEY (n, i)); INSERT INTO t VALUES ('A', 1), ('b', 2), ('C', 3)",
    )
    .await;
    let snapshot = site.database.snapshot().await.unwrap();
    let schema = snapshot.describe("t").await.unwrap();
    let after = [text("B"), Cell::Integer(0)];
    let read = Read {
        after: Some(&after),
        ..Read::all(&schema)
    };
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
    let (done, block) = tokio::join!(snapshot.read(read, sender), receiver.recv());
    done.unwrap();
    assert_eq!(block.map(|block| block.row_count()), Some(2));

    // The same key in another spelling exists: the row would not come back as it was sent.
    let written = block_of_spellings();
    let moved = take(&site, &schema, &[written], overwrite(&schema))
        .await
        .unwrap();
    assert_eq!(moved, failed(counts(1, 0, 0, 0), 1));
}

fn block_of_spellings() -> RowBlock {
    block(&[
        vec![text("a"), Cell::Integer(1)],
        vec![text("a"), Cell::Integer(2)],
    ])
}
