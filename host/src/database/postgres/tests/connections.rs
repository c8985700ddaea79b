//! Tests how many connections are open, and that nobody waits for ever.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn the_ninth_connection_is_refused_in_time() {
    let Some(mut site) = Site::new("CREATE TABLE t (id int PRIMARY KEY)").await else {
        return;
    };
    let mut snapshots = Vec::new();
    for _ in 0..7 {
        snapshots.push(site.database.snapshot().await.unwrap());
    }
    let began = Instant::now();
    let refused = site.database.snapshot().await.err().unwrap();
    assert!(
        matches!(refused, DatabaseError::TooManyConnections { limit: 8, .. }),
        "{refused}"
    );
    assert!(
        (2..5).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    let refused = site.database.target().await.err().unwrap();
    assert_eq!(crate::bindings::types::Failure::from(refused).code, "limit");
    // The last one is for short queries.
    assert_eq!(site.database.tables().await.unwrap().len(), 1);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tombolo'";
    assert_eq!(site.value(open).await, "8");
    // Each view can be read, and a place that gets free is taken.
    for snapshot in &snapshots {
        snapshot.describe("t").await.unwrap();
    }
    let (opened, ()) = tokio::join!(site.database.snapshot(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        snapshots.pop();
    });
    opened.unwrap();
}

#[tokio::test]
async fn a_view_is_read_by_the_connection_that_keeps_it_where_no_other_is_free() {
    let Some(site) =
        Site::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await
    else {
        return;
    };
    let mut snapshots = Vec::new();
    for _ in 0..7 {
        snapshots.push(site.database.snapshot().await.unwrap());
    }
    for snapshot in &snapshots {
        for _ in 0..2 {
            let schema = snapshot.describe("t").await.unwrap();
            let (sender, mut receiver) = mpsc::channel::<RowBlock>(1);
            let (done, block) =
                tokio::join!(snapshot.read(Read::all(&schema), sender), receiver.recv());
            done.unwrap();
            assert_eq!(block.map(|block| block.row_count()), Some(1));
        }
    }
}
