//! The digests of a table's rows.

use tokio::sync::mpsc;

use super::{DatabaseError, Read, Snapshot};
use crate::rows::{Buckets, KeyColumns};

/// Reads a table and returns the digests of all its rows, by buckets of their keys.
pub async fn buckets_of(snapshot: &dyn Snapshot, read: Read<'_>) -> Result<Buckets, DatabaseError> {
    let key = KeyColumns::of(read.table);
    let mut buckets = Buckets::default();
    let (sender, mut blocks) = mpsc::channel(2);
    let add = async {
        while let Some(block) = blocks.recv().await {
            buckets.add(&block, &key);
        }
    };
    let (read, ()) = tokio::join!(snapshot.read(read, sender), add);
    read?;
    Ok(buckets)
}
