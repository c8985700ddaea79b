//! Reads the rows that went directly into a table of the run again, while more of them arrive.
//!
//! Only the run's own COPY fills such a table, page after page, so that what is before the last page does not change
//! any more. Rows are compared as they are in a COPY stream, which is what was sent: nothing is decoded. Where the
//! server prints a value otherwise, or another session writes to the table, the sums differ, and the table has to be
//! read and decoded.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_128;

use super::plan::TablePlan;
use crate::database::postgres::codec::copy_stream::CopyReader;
use crate::database::postgres::codec::decode::DecodeError;
use crate::database::postgres::codec::types::PhysicalType;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;
use crate::database::postgres::server::Server;
use crate::database::{DatabaseError, quote};
use crate::rows::BucketDigest;

/// Returns the digest of one row of a COPY stream.
pub(super) fn digest_of(row: &[u8]) -> BucketDigest {
    BucketDigest {
        rows: 1,
        digest: xxh3_128(row),
    }
}

/// The reading of a table behind its COPY, on a connection of its own. Dropped, it is given up.
pub(super) struct ReadbackTask {
    commits: watch::Sender<()>,
    work: JoinSet<Result<BucketDigest, DatabaseError>>,
}

/// The table that is read.
struct Table {
    name: String,
    /// Quoted, without tables that inherit from it.
    only: String,
    /// The sent columns in their order.
    columns: String,
    types: Vec<PhysicalType>,
}

impl ReadbackTask {
    /// Starts with what is committed.
    pub fn start(server: Arc<Server>, plan: &TablePlan) -> Self {
        let table = Table::of(plan);
        let (commits, committed) = watch::channel(());
        commits.send_replace(());
        let mut work = JoinSet::new();
        work.spawn(read(server, table, committed));
        Self { commits, work }
    }

    /// Says that more is committed.
    pub fn go_on(&self) {
        self.commits.send_replace(());
    }

    /// Reads the rest. Returns the sum of [`digest_of`] all rows in the table.
    pub async fn finish(mut self) -> Result<BucketDigest, DatabaseError> {
        drop(self.commits);
        match self.work.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(lost)) => Err(lost_connection(&lost.to_string())),
            None => Err(lost_connection("no task read")),
        }
    }
}

async fn read(
    server: Arc<Server>,
    table: Table,
    mut commits: watch::Receiver<()>,
) -> Result<BucketDigest, DatabaseError> {
    let Some(mut session) = server.connect_if_free().await? else {
        let message = "no connection is free to read rows back".to_owned();
        return Err(DatabaseError::Busy(error::plain(message)));
    };
    let mut sum = BucketDigest::default();
    let mut from = 0;
    // Older servers find a range of pages only by a scan of the whole table.
    let has_ranges = session.version() >= 140_000;
    while commits.changed().await.is_ok() {
        if !has_ranges {
            continue;
        }
        // The next chunk may fill the last page.
        let to = table.last_page(&mut session, from).await?;
        if to > from {
            let range = format!("ctid >= '({from},0)' AND ctid < '({to},0)'");
            sum.add(table.digest(&mut session, &range).await?);
            from = to;
        }
    }
    let rest = format!("ctid >= '({from},0)'");
    sum.add(table.digest(&mut session, &rest).await?);
    Ok(sum)
}

/// Reads a table in the session's own transaction. Returns the sum of [`digest_of`] all its rows.
pub(super) async fn of_table(
    session: &mut Session,
    plan: &TablePlan,
) -> Result<BucketDigest, DatabaseError> {
    Table::of(plan).digest(session, "true").await
}

impl Table {
    fn of(plan: &TablePlan) -> Self {
        let columns = plan.encoder.columns();
        let expressions = columns
            .iter()
            .map(|column| column.kind.read_expression(&quote(&column.name)));
        Self {
            name: plan.table().to_owned(),
            only: plan.local.relation.only(),
            columns: expressions.collect::<Vec<_>>().join(", "),
            types: columns.iter().map(|one| one.kind.physical).collect(),
        }
    }

    /// Returns the last page that has a row, from a page on.
    async fn last_page(&self, session: &mut Session, from: i64) -> Result<i64, DatabaseError> {
        let sql = format!(
            "SELECT (max(ctid)::text::point)[0]::int8 FROM {} WHERE ctid >= '({from},0)'",
            self.only
        );
        let row = session.row(query(sql)).await?;
        let page: Option<i64> = row.map_or(Ok(None), |row| column(&row, 0))?;
        Ok(page.unwrap_or(from))
    }

    /// Returns the digest of the rows in a range of pages.
    async fn digest(
        &self,
        session: &mut Session,
        range: &str,
    ) -> Result<BucketDigest, DatabaseError> {
        let statement = format!(
            "COPY (SELECT {} FROM {} WHERE {range}) TO STDOUT (FORMAT binary)",
            self.columns, self.only
        );
        let malformed = |error: DecodeError| DatabaseError::Unsuitable {
            table: self.name.clone(),
            reason: error.to_string(),
        };
        let broken = |error| error::at_work(&error);
        let mut copy = CopyReader::new(self.types.clone());
        let mut sum = BucketDigest::default();
        let mut pieces = session
            .raw()
            .copy_out_raw(&statement)
            .await
            .map_err(broken)?;
        while let Some(piece) = pieces.next().await {
            copy.push(&piece.map_err(broken)?);
            while let Some(row) = copy.next_encoded().map_err(malformed)? {
                sum.add(digest_of(&row));
            }
        }
        match copy.is_complete() {
            true => Ok(sum),
            false => Err(malformed(DecodeError::Format)),
        }
    }
}

fn lost_connection(reason: &str) -> DatabaseError {
    let message = format!("the connection that reads rows back was lost: {reason}");
    DatabaseError::Busy(error::plain(message))
}
